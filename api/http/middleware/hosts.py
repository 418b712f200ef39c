"""Which names the server answers to: a guard against DNS rebinding."""

import re
from collections.abc import Collection

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from api.http.errors import Misdirected
from api.http.middleware.refusal import refuse

LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^:\[\]/@\s]+)(?::[0-9]*)?")


class HostCheck:
    """Answers 421 to a Host header that names none of `hosts`; the port may be any.

    Any site can give its own name the address 127.0.0.1 after its page has loaded, and the browser then takes a server
    on this machine for that site, with all its pages may read. The name in the Host header is what it cannot change.
    """

    def __init__(self, app: ASGIApp, hosts: Collection[str] = LOOPBACK) -> None:
        self.app = app
        self.hosts = frozenset(host.lower() for host in hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or self._is_ours(Headers(scope=scope).getlist("host")):
            await self.app(scope, receive, send)
            return
        message = "this server does not go by the name in the Host header"
        hint = "call it by its address, such as http://127.0.0.1, or name it with --allow-host where it is started"
        await refuse(scope, send, Misdirected(message, hint=hint))

    def _is_ours(self, stated: list[str]) -> bool:
        if len(stated) != 1 or not (named := _HOST.fullmatch(stated[0].strip())):
            return False
        return named[1].lower().removesuffix(".") in self.hosts
