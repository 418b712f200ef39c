"""What other sites' pages may make a browser send here: nothing that changes anything, unless the site is named."""

from collections.abc import Collection

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from api.http.errors import Forbidden
from api.http.middleware.refusal import refuse

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


class CrossSiteCheck:
    """Answers 403 to what a page of another origin sends, unless `origins` names it.

    CORS alone keeps such a page from reading the answer, not from sending a form: without keys, any site could upload
    to a server on the visitor's machine. Programs send neither of the two headers that tell, and are not asked.
    """

    def __init__(self, app: ASGIApp, origins: Collection[str] = ()) -> None:
        self.app, self.origins = app, frozenset(origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] not in SAFE and not self._may(Headers(scope=scope)):
            message = "this came from a page of another site"
            hint = "name its origin with --cors where the server is started"
            await refuse(scope, send, Forbidden(message, hint=hint))
            return
        await self.app(scope, receive, send)

    def _may(self, headers: Headers) -> bool:
        site, origin = headers.get("sec-fetch-site"), headers.get("origin")
        if site in ("same-origin", "none"):  # also behind a proxy that puts another name into Host
            return True
        if origin is None:
            return site is None
        if "*" in self.origins or origin in self.origins:
            return True
        return origin.partition("://")[2].lower() == headers.get("host", "").lower()
