"""One line of JSON about every request, on the logger `catalens.access`."""

import json
import logging
from datetime import UTC, datetime
from time import perf_counter

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.http.middleware.refusal import state_of

logger = logging.getLogger("catalens.access")

LONGEST_PATH = 300  # characters: what a person needs to recognise a request


class AccessLog:
    """Logs when a request came, what it asked for, how it was answered, how long that took and how much went over.

    Never logged: query strings, other headers than the request id, bodies. So no search words, no keys, no pictures.
    `status` is null where the client went away before an answer; `key` is the name of an API key, not the key.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        came, began = datetime.now(UTC), perf_counter()
        bytes_in = bytes_out = 0
        status: int | None = None

        async def counted_receive() -> Message:
            nonlocal bytes_in
            message = await receive()
            bytes_in += len(message.get("body", b""))
            return message

        async def counted_send(message: Message) -> None:
            nonlocal bytes_out, status
            status = message.get("status", status)
            bytes_out += len(message.get("body", b""))
            await send(message)

        try:
            await self.app(scope, counted_receive, counted_send)
        finally:
            state = state_of(scope)
            line = {
                "time": came.isoformat(timespec="milliseconds"),
                "method": scope["method"],
                "path": scope["path"][:LONGEST_PATH],
                "route": getattr(scope.get("route"), "path", None),
                "status": status,
                "ms": round((perf_counter() - began) * 1e3, 1),
                "bytes_in": bytes_in,
                "bytes_out": bytes_out,
                "client": scope["client"][0] if scope.get("client") else None,
                "key": getattr(state.get("api_key"), "name", None),
                "error": state.get("error"),
                "request_id": state.get("request_id"),
            }
            logger.info("%s", json.dumps(line))  # ASCII only: a line break in a path cannot begin a line of its own
