"""The answer of a middleware that lets a request through no further, in the one shape that errors have."""

import json

from starlette.types import Scope, Send

from api.http.errors import HttpError, error_json

State = dict[str, object]


def state_of(scope: Scope) -> State:
    """What a request carries beside itself; `request.state` shows the same values."""
    state: State = scope.setdefault("state", {})
    return state


async def refuse(scope: Scope, send: Send, error: HttpError, *, finish: bool = True) -> None:
    """Answer with an error.

    finish: False leaves the answer open, though all of it is sent; a last empty body must follow.
    """
    shaped = error_json(error)
    state_of(scope)["error"] = shaped["error"]["type"]
    body = json.dumps(shaped, separators=(",", ":")).encode()
    headers = {"content-type": "application/json", "content-length": str(len(body)), **error.headers}
    start = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": error.status, "headers": start})
    await send({"type": "http.response.body", "body": body, "more_body": not finish})
