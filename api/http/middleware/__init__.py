"""What every request goes through before a route sees it: one ASGI class a file, put in order by `api.http.app`."""
