"""A request body has a greatest size, counted on the bytes that come and not on what a header claims, and an end."""

import asyncio
from time import monotonic

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.http.errors import BadRequest, Busy, HttpError, TooLarge, TooSlow
from api.http.middleware.refusal import refuse

PATIENCE = 20.0  # seconds for a body to come, and one more for each
BYTES_A_SECOND = 16 * 2**10  # that came: a tenth of what a slow phone sends
HELD = 16  # bodies of the greatest size that all requests may hold together: 320 MiB by default

DRAIN_BYTES = 64 * 2**20
DRAIN_SECONDS = 10.0

_CLOSE = {"Connection": "close"}


class _BrokenOff(HTTPException):
    """Ends the reading of a body. An HTTPException, since FastAPI answers 400 for any other at that place."""

    def __init__(self) -> None:
        super().__init__(413)


class BodyLimit:
    """Answers 413 to a body of more than `limit` bytes, at once if Content-Length says so, else when they have come.

    408 to one that comes too slowly, and 429 while there is no room for more: what came is held until its request is
    answered, so a thousand clients that keep back their last byte would otherwise fill 20 GB.

    Whatever the application makes of a body that breaks off is dropped, so the answer is always this one. It is sent
    whole while the client may still be sending; then up to 64 MiB or 10 s of the rest are read and thrown away. Many
    clients read no answer before they have sent all, and a connection closed under them would show as a broken pipe.
    """

    def __init__(self, app: ASGIApp, limit: int, *, patience: float = PATIENCE) -> None:
        self.app, self.limit, self.patience = app, limit, patience
        self.room = HELD * limit  # bytes that are still free

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        waits = headers.get("expect", "").lower() == "100-continue"  # such a client sends nothing after a 413
        if "content-length" in headers and "transfer-encoding" in headers:
            # RFC 9112, 6.3: a proxy in front may have gone by the other one and take the rest for the next request.
            message, hint = "the body says its length in two ways", "leave Content-Length out"
            await refuse(scope, send, BadRequest(message, hint=hint, headers=_CLOSE))
            return
        if _declared(headers) > self.limit:
            await _break_off(self.too_large(), scope, receive, send, drain=not waits)
            return
        body, begun = _Body(self, receive), False

        async def unless_broken(message: Message) -> None:
            nonlocal begun
            if begun or body.broken is None:
                begun = True
                await send(message)

        try:
            await self.app(scope, body.receive, unless_broken)
        except Exception:
            if begun or body.broken is None:
                raise
        finally:
            self.room += body.received
        if body.broken is not None and not begun:
            drain = body.more and not isinstance(body.broken, TooSlow)
            await _break_off(body.broken, scope, receive, send, drain=drain)

    def too_large(self) -> HttpError:
        """The error of a body of more than `limit` bytes."""
        message = f"the request is larger than the {_size(self.limit)} that this server takes"
        hint = "send a smaller picture or fewer items at a time; the server's --upload-limit sets how much it takes"
        return TooLarge(message, hint=hint, headers=_CLOSE)


class _Body:
    """A body while it comes. received: bytes. more: whether there are more. broken: why it is read no further."""

    def __init__(self, limits: BodyLimit, receive: Receive) -> None:
        self._limits, self._receive = limits, receive
        self._began: float | None = None
        self.received, self.more = 0, True
        self.broken: HttpError | None = None

    async def receive(self) -> Message:
        """In place of the server's own. Raises _BrokenOff."""
        message: Message = {}
        if self.broken is None:
            # After the end it tells when the client goes away, however long that takes.
            message = await (self._next() if self.more else self._receive())
        if self.broken is not None:
            raise _BrokenOff
        return message

    async def _next(self) -> Message:
        self._began = self._began or monotonic()
        ends = self._began + self._limits.patience + self.received / BYTES_A_SECOND
        try:
            async with asyncio.timeout(ends - monotonic()):
                message = await self._receive()
        except TimeoutError:
            self.broken = TooSlow(
                f"after {monotonic() - self._began:.0f} s {self.received:,} bytes of the request have come, and no end",
                hint="send it again",
                headers=_CLOSE,
            )
            return {}
        size = len(message.get("body", b""))
        self.more = message.get("more_body", False)
        self.received += size
        self._limits.room -= size
        if self.received > self._limits.limit:
            self.broken = self._limits.too_large()
        elif self._limits.room < 0:
            self.broken = Busy("others send as much as this server holds at once", hint="come again in a second")
        return message


async def _break_off(error: HttpError, scope: Scope, receive: Receive, send: Send, *, drain: bool) -> None:
    await refuse(scope, send, error, finish=False)
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
