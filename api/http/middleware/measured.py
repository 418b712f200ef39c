"""Every request counts in the metrics."""

from time import perf_counter

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.http.metrics import Metrics
from api.http.middleware.refusal import state_of

SEARCHES = ("/search", "/search/image")
"""How routes end that search: the `total` beside the stages within."""

GONE = 499  # nginx's number for a client that went away before its answer


class Measured:
    """Tells `metrics` of each request: method, route template, status, seconds, and the type of an error."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app, self.metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began, status = perf_counter(), GONE

        async def watched(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        try:
            await self.app(scope, receive, watched)
        finally:
            route = getattr(scope.get("route"), "path", "none")  # refused before, or no such route
            seconds = perf_counter() - began
            self.metrics.request(scope["method"], route, status, seconds)
            if status == 200 and route.endswith(SEARCHES):
                self.metrics.stage("total", seconds)
            if isinstance(kind := state_of(scope).get("error"), str):
                self.metrics.error(kind)
