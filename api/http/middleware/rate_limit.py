"""No client may ask for more than its share."""

import ipaddress
from collections import OrderedDict
from collections.abc import Callable
from math import ceil
from time import monotonic

from starlette.types import ASGIApp, Receive, Scope, Send

from api.http.errors import RateLimited
from api.http.keys import ApiKey
from api.http.middleware.refusal import refuse, state_of

CLIENTS = 10_000  # some 3 MB


class RateLimit:
    """Answers 429 with Retry-After to a client that asks for more than `per_minute` under /v1.

    A token bucket each: it holds a minute's worth, a request takes one, and it fills evenly. A client is an API key,
    else an address (of IPv6 the first 64 bits: one household or machine has all the rest). Of more than `clients` the
    one longest silent is forgotten; its bucket has filled most.
    """

    def __init__(
        self, app: ASGIApp, per_minute: float, *, clients: int = CLIENTS, clock: Callable[[], float] = monotonic
    ) -> None:
        self.app, self.clients, self.clock = app, clients, clock
        self.rate = per_minute / 60
        self.size = max(1.0, per_minute)
        self.buckets: OrderedDict[object, tuple[float, float]] = OrderedDict()  # client -> requests left, and when

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].removeprefix(scope.get("root_path", "")).startswith("/v1/"):
            await self.app(scope, receive, send)
            return
        wait = self._take(client_of(scope))
        if wait:
            message = f"this client asks for more than {self.rate * 60:g} requests a minute"
            hint = f"ask again in {wait} s; Retry-After says so too"
            await refuse(scope, send, RateLimited(message, hint=hint, retry_after=wait))
            return
        await self.app(scope, receive, send)

    def _take(self, client: object) -> int:
        """Takes one request from a client's bucket: 0, or where there is none the whole seconds until there is."""
        now = self.clock()
        left, then = self.buckets.pop(client, (self.size, now))
        left = min(self.size, left + (now - then) * self.rate)
        wait = 0 if left >= 1 else max(1, ceil((1 - left) / self.rate))
        self.buckets[client] = (left if wait else left - 1, now)
        if len(self.buckets) > self.clients:
            self.buckets.popitem(last=False)
        return wait


def client_of(scope: Scope) -> object:
    """Whom to count a request for: the API key it showed, else where it came from."""
    key = state_of(scope).get("api_key")
    if isinstance(key, ApiKey):
        return key.digest
    host = scope["client"][0] if scope.get("client") else ""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:  # a Unix socket has none: all of its clients are one
        return host
    if isinstance(address, ipaddress.IPv6Address):
        return address.ipv4_mapped or int(address) >> 64
    return address
