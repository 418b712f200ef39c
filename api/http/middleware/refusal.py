"""The answer of a middleware that lets a request through no further, in the one shape that errors have."""

import json
from collections.abc import Mapping

from starlette.types import Scope, Send

State = dict[str, object]


def state_of(scope: Scope) -> State:
    """What a request carries beside itself; `request.state` shows the same values."""
    state: State = scope.setdefault("state", {})
    return state


async def refuse(
    scope: Scope,
    send: Send,
    status: int,
    kind: str,
    message: str,
    *,
    hint: str | None = None,
    headers: Mapping[str, str] | None = None,
    finish: bool = True,
) -> None:
    """Answer `{"error": {"type", "message", "hint", "field"}}`.

    finish: False leaves the answer open, though all of it is sent; a last empty body must follow.
    """
    state_of(scope)["error"] = kind
    error = {"type": kind, "message": message, "hint": hint, "field": None}
    body = json.dumps({"error": error}, separators=(",", ":")).encode()
    named = {"content-type": "application/json", "content-length": str(len(body)), **(headers or {})}
    start = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in named.items()]
    await send({"type": "http.response.start", "status": status, "headers": start})
    await send({"type": "http.response.body", "body": body, "more_body": not finish})
