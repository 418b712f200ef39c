"""One request to an ASGI app, byte by byte as a test wants it: no client that puts headers right, no network."""

import asyncio
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

Headers = Sequence[tuple[str | bytes, str | bytes]]


@dataclass
class Answer:
    """What an app sent. left: body chunks that nobody read."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    left: int = 0

    @property
    def error(self) -> dict[str, Any]:
        value: dict[str, Any] = json.loads(self.body)["error"]
        assert value.keys() == {"type", "message", "hint", "field"}
        return value


def ask(
    app: ASGIApp,
    method: str = "GET",
    path: str = "/",
    headers: Headers = (),
    chunks: Iterable[bytes] = (),
    *,
    client: tuple[str, int] | None = ("127.0.0.1", 50_000),
    query: bytes = b"",
) -> Answer:
    """The app's answer; `chunks` are the request's body as it comes in."""
    waiting = list(chunks) or [b""]
    answer = Answer()
    scope: Scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode("utf-8", "surrogateescape"),
        "root_path": "",
        "query_string": query,
        "headers": [(_bytes(name).lower(), _bytes(value)) for name, value in headers],
        "client": client,
        "server": ("127.0.0.1", 8000),
        "state": {},
    }

    async def receive() -> Message:
        if not waiting:
            return {"type": "http.disconnect"}
        body = waiting.pop(0)
        return {"type": "http.request", "body": body, "more_body": bool(waiting)}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            answer.status = message["status"]
            answer.headers = {name.decode().lower(): value.decode("latin-1") for name, value in message["headers"]}
        else:
            answer.body += message.get("body", b"")

    asyncio.run(_called(app, scope, receive, send))
    answer.left = len(waiting)
    return answer


async def _called(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    await app(scope, receive, send)


def _bytes(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode("latin-1")


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """An app that answers with the body it got."""
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": body})
