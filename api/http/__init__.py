"""The HTTP server: `create_app` in `app.py` makes it, `catalens serve` runs it."""
