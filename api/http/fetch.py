"""Pictures by URL, fetched by the server: a guard stands between the caller and the network that the server is in.

Whoever may name a URL could otherwise have the server ask for what only it can reach: other machines of its network,
or the address at which clouds hand out credentials (server-side request forgery).
"""

import re
import socket
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from http.client import HTTPException, HTTPResponse, IncompleteRead
from time import monotonic
from typing import Any
from urllib.parse import quote, urljoin, urlsplit

from api.http.addresses import is_public
from api.http.errors import HttpError
from api.http.pinned import Dial, PinnedConnection, dial

MAX_URL = 2_048  # characters, as most servers and browsers agree on
REDIRECTS = 3
PORTS = {"http": 80, "https": 443}
SECONDS = 10.0
_REDIRECTED = frozenset({301, 302, 303, 307, 308})
_ODD = re.compile(r"[\x00-\x20\x7f\\]")  # what parsers of URLs disagree about

Resolve = Callable[..., Sequence[tuple[Any, ...]]]
"""As `socket.getaddrinfo`."""


class UrlError(HttpError):
    """A picture that is named by URL is not fetched, or cannot be."""

    status = 422


@dataclass(frozen=True)
class _Target:
    scheme: str
    host: str
    port: int
    path: str


@dataclass(frozen=True)
class Fetcher:
    """Fetches from public addresses only.

    limit: bytes of a picture. seconds: all of it may take that long, redirects included, but for the looking up of a
    name, which the system's resolver ends. resolve, dial: how names become addresses, and addresses connections.
    """

    limit: int
    seconds: float = SECONDS
    resolve: Resolve = socket.getaddrinfo
    dial: Dial = dial

    def image_bytes(self, url: str) -> bytes:
        """The bytes at a URL, at most `limit`, which nobody has decoded yet: they are as hostile as an upload.

        At most three redirects are followed, and each is checked as the first.
        Raises UrlError for what the guard refuses, for any status but 200, and for what is too large or too slow.
        """
        ends = monotonic() + self.seconds
        target = _target(url)
        for _ in range(1 + REDIRECTS):
            answer = self._ask(target, ends)
            if isinstance(answer, bytes):
                return answer
            before, (url, target) = target, _redirected(url, answer)
            if (before.scheme, target.scheme) == ("https", "http"):
                raise UrlError("the URL redirects from https to http", hint="give the picture's own address")
        raise UrlError(f"the URL redirects more than {REDIRECTS} times", hint="give the picture's own address")

    def _ask(self, target: _Target, ends: float) -> bytes | str:
        """What is there, or where it redirects to."""
        address = self._checked_address(target)
        left = ends - monotonic()
        if left <= 0:
            raise self._too_slow()
        tls = self._tls if target.scheme == "https" else None
        with PinnedConnection(target.host, target.port, address, left, tls=tls, dial=self.dial) as connection:
            try:
                # identity: what comes packed would be small on the way and large here
                headers = {"User-Agent": "catalens", "Accept": "image/*", "Accept-Encoding": "identity"}
                connection.request("GET", target.path, headers=headers)
                answered = self._read(connection.getresponse())
            except (OSError, HTTPException, ValueError) as error:
                if connection.was_cut or isinstance(error, TimeoutError):
                    raise self._too_slow() from error
                reason = "its certificate is not valid" if isinstance(error, ssl.SSLCertVerificationError) else ""
                raise _failed(target, reason or "the connection failed") from error
            if connection.was_cut:  # an answer without a length just seems to end
                raise self._too_slow()
            return answered

    def _checked_address(self, target: _Target) -> str:
        """An address of the host; all of them must be public, since nobody knows which one another look-up gives."""
        try:
            found = self.resolve(target.host, target.port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            found = []
        addresses = [str(entry[4][0]) for entry in found]
        if not addresses or not all(map(is_public, addresses)):
            # Not which address, and not whether there is one: strangers would learn the names of machines in here.
            raise UrlError(f"{target.host} is not on the public internet", hint="send the picture itself, as base64")
        return addresses[0]

    def _read(self, response: HTTPResponse) -> bytes | str:
        if response.status in _REDIRECTED and (location := response.headers.get("Location")):
            return str(location)
        if response.status != 200:
            raise UrlError(f"the server at the URL answered {response.status}", hint="give another URL")
        if (response.length or 0) > self.limit:
            raise self._too_large()
        read = bytearray()
        while chunk := response.read1(65_536):
            read += chunk
            if len(read) > self.limit:
                raise self._too_large()
        if response.length:
            raise IncompleteRead(bytes(read), response.length)
        return bytes(read)

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        return ssl.create_default_context()

    def _too_large(self) -> UrlError:
        return UrlError(f"what is at the URL is larger than {self.limit:,} bytes", hint="give a smaller picture")

    def _too_slow(self) -> UrlError:
        return UrlError(f"the picture did not come within {self.seconds:g} s", hint="send the picture itself")


def _target(url: str) -> _Target:
    """Whom to ask for what. Raises UrlError for all but http and https at their own ports, without a user."""
    if len(url) > MAX_URL:
        raise UrlError(f"the URL is longer than {MAX_URL:,} characters", hint="send the picture itself, as base64")
    try:
        parts = urlsplit(url) if not _ODD.search(url) else None
        port = parts.port if parts else None
        host = (parts.hostname or "") if parts else ""
        host = host if ":" in host else host.encode("idna").decode("ascii")
        path = quote(parts.path or "/", safe="/%:=&~+!$,;@()*'") if parts else ""
        query = quote(parts.query, safe="/%:=&~+!$,;@()*'?[]|") if parts else ""
    except (ValueError, UnicodeError):
        parts = None
    if not parts or not host:
        raise UrlError("that is no URL of a picture", hint="give one such as https://example.com/shoe.jpg")
    if parts.scheme not in PORTS:
        raise UrlError("the URL is neither http nor https", hint="give one such as https://example.com/shoe.jpg")
    if "@" in parts.netloc:
        raise UrlError("the URL holds a user name", hint="give one that anybody may open")
    port = PORTS[parts.scheme] if port is None else port
    if port not in PORTS.values():
        raise UrlError(f"the URL names port {port}", hint="only 80 and 443 are asked")
    return _Target(parts.scheme, host, port, f"{path}?{query}" if query else path)


def _redirected(url: str, location: str) -> tuple[str, _Target]:
    """Where a redirect leads. Raises UrlError as `_target` does."""
    try:
        url = urljoin(url, location)
    except ValueError:
        raise UrlError("the URL redirects to what is no URL", hint="give the picture's own address") from None
    return url, _target(url)


def _failed(target: _Target, reason: str) -> UrlError:
    return UrlError(f"{target.host} cannot be asked: {reason}", hint="check the URL, or send the picture itself")
