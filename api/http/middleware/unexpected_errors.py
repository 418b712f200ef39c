"""What nobody expected is logged, and answered without a word of the inside."""

import logging

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.http.errors import INTERNAL, unexpected
from api.http.middleware.refusal import state_of

log = logging.getLogger("catalens.http")


class UnexpectedErrors:
    """The innermost: whatever the app did not expect is logged and answered with 500.

    Starlette would do so outside of all other middleware, so that such answers had no request id.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = False

        async def sending(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self.app(scope, receive, sending)
        except ClientDisconnect:  # it went away while it was sending: no failure, and nobody to answer
            return
        except Exception as error:
            state = state_of(scope)
            state["error"] = INTERNAL
            log.exception("request %s: %r failed", state.get("request_id"), scope["path"][:300], exc_info=error)
            if started:  # half an answer is out; closing the connection says that it is broken
                raise
            await unexpected()(scope, receive, send)
