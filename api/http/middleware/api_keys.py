"""Who may ask for what: an API key, and its scope."""

import re

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from api.http.errors import Forbidden, Unauthorized
from api.http.keys import ApiKeys
from api.http.keys import Scope as KeyScope
from api.http.middleware.refusal import refuse, state_of

OPEN = frozenset({"/", "/health", "/ready", "/docs", "/openapi.json", "/favicon.ico"})
"""Paths for which nobody needs a key: they tell nothing about what a collection holds."""

OPEN_FOLDER = "/page/"  # the page's own files, which are in the package for all to read

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
READS = re.compile(
    r"/v1/(?:embeddings|rerank|collections/[^/]+/(?:search|search/image|explain|items/.+/heatmap))", re.DOTALL
)
"""Where POST changes nothing. All else but GET needs a key that may write, so a new route is safe by default."""

_HINT = "send it as X-API-Key: KEY or as Authorization: Bearer KEY; who runs the server makes one: catalens api-key"


def needed_scope(method: str, path: str) -> KeyScope | None:
    """The scope that a request needs; None where it needs no key."""
    own_file = path.startswith(OPEN_FOLDER) and ".." not in path.split("/")
    if method in ("GET", "HEAD") and (path in OPEN or own_file):
        return None
    return "read" if method in SAFE or (method == "POST" and READS.fullmatch(path)) else "write"


class ApiKeyCheck:
    """Lets a request through that shows a key of the right scope: 401 without one, 403 where the key may only read.

    What is kept of the key is then `request.state.api_key`; on a path that is open it is None where no known key was
    shown. All this is before any of the body is read.
    """

    def __init__(self, app: ASGIApp, keys: ApiKeys) -> None:
        self.app, self.keys = app, keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":  # there is none, and one that came later must not come without a key
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        needed = needed_scope(scope["method"], path)
        shown = keys_shown(scope)
        key = self.keys.find(shown[0]) if len(shown) == 1 else None
        state_of(scope)["api_key"] = key
        if needed is None:
            await self.app(scope, receive, send)
            return
        if key is None:
            message = "this API key is not known" if shown else "this server asks for an API key"
            headers = {"WWW-Authenticate": 'Bearer realm="catalens"' + (', error="invalid_token"' if shown else "")}
            await refuse(scope, send, Unauthorized(message, hint=_HINT, headers=headers))
            return
        if needed == "write" and key.scope != "write":
            message = "this API key may read, and not write"
            hint = "use one of scope write; who runs the server makes one: catalens api-key --scope write"
            headers = {"WWW-Authenticate": 'Bearer realm="catalens", error="insufficient_scope", scope="write"'}
            await refuse(scope, send, Forbidden(message, hint=hint, headers=headers))
            return
        await self.app(scope, receive, send)


def keys_shown(scope: Scope) -> list[bytes]:
    """The keys in a request's headers, as the bytes that came. X-API-Key goes first: a proxy may own Authorization."""
    headers = Headers(scope=scope).raw
    own = [value.strip() for name, value in headers if name.lower() == b"x-api-key"]
    stated = [value.partition(b" ") for name, value in headers if name.lower() == b"authorization"]
    return own or [rest.strip() for scheme, _, rest in stated if scheme.lower() == b"bearer"]
