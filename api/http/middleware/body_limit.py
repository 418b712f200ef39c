"""A request body has a greatest size, counted on the bytes that come and not on what a header claims."""

import asyncio

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.http.errors import BadRequest, TooLarge
from api.http.middleware.refusal import refuse

DRAIN_BYTES = 64 * 2**20
DRAIN_SECONDS = 10.0


class _BrokenOff(HTTPException):
    """Ends the reading of a body. An HTTPException, since FastAPI answers 400 for any other at that place."""

    def __init__(self) -> None:
        super().__init__(413)


class BodyLimit:
    """Answers 413 to a body of more than `limit` bytes, at once if Content-Length says so, else when they have come.

    Whatever the application makes of the body that breaks off is dropped, so the answer is always this one. It is sent
    whole while the client may still be sending; then up to 64 MiB or 10 s of the rest are read and thrown away. Many
    clients read no answer before they have sent all, and a connection closed under them would show as a broken pipe.
    """

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self.app, self.limit = app, limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        waits = headers.get("expect", "").lower() == "100-continue"  # such a client sends nothing after a 413
        if "content-length" in headers and "transfer-encoding" in headers:
            # RFC 9112, 6.3: a proxy in front may have gone by the other one and take the rest for the next request.
            message, hint = "the body says its length in two ways", "leave Content-Length out"
            await refuse(scope, send, BadRequest(message, hint=hint, headers={"Connection": "close"}))
            return
        if _declared(headers) > self.limit:
            await self._refuse(scope, receive, send, drain=not waits)
            return
        received, begun, more = 0, False, True

        async def counted() -> Message:
            nonlocal received, more
            if received > self.limit:
                raise _BrokenOff
            message = await receive()
            if message["type"] == "http.request":
                received += len(message.get("body", b""))
                more = message.get("more_body", False)
                if received > self.limit:
                    raise _BrokenOff
            return message

        async def unless_too_large(message: Message) -> None:
            nonlocal begun
            if begun or received <= self.limit:
                begun = True
                await send(message)

        try:
            await self.app(scope, counted, unless_too_large)
        except Exception:
            if begun or received <= self.limit:
                raise
        if received > self.limit and not begun:
            await self._refuse(scope, receive, send, drain=more)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send, *, drain: bool) -> None:
        message = f"the request is larger than the {_size(self.limit)} that this server takes"
        hint = "send a smaller picture or fewer items at a time; the server's --upload-limit sets how much it takes"
        await refuse(scope, send, TooLarge(message, hint=hint, headers={"Connection": "close"}), finish=False)
        if drain:
            await _drain(receive)
        await send({"type": "http.response.body", "body": b""})


def _declared(headers: Headers) -> int:
    """What Content-Length says, in bytes; 0 where it says nothing that makes sense."""
    stated = headers.get("content-length", "")
    return int(stated) if stated.isascii() and stated.isdigit() and len(stated) < 20 else 0


def _size(count: int) -> str:
    return f"{count / 2**20:,.1f}".removesuffix(".0") + " MiB" if count >= 2**20 else f"{count:,} bytes"


async def _drain(receive: Receive) -> None:
    thrown_away = 0
    try:
        async with asyncio.timeout(DRAIN_SECONDS):
            while thrown_away < DRAIN_BYTES:
                message = await receive()
                thrown_away += len(message.get("body", b""))
                if not message.get("more_body", False):
                    return
    except TimeoutError:
        return
