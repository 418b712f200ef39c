"""One HTTP request to an address that was checked before: no second look-up can lead it elsewhere."""

import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from http.client import HTTPConnection
from threading import Timer
from types import TracebackType

Dial = Callable[[str, int, float], socket.socket]
"""Connects to an address and port within so many seconds."""


def dial(address: str, port: int, seconds: float) -> socket.socket:
    """A TCP connection to an address in plain notation; no name is looked up."""
    return socket.create_connection((address, port), timeout=seconds)


class PinnedConnection(HTTPConnection):
    """A connection to `address` for the server `host`: in the Host header, and in TLS as the name of its certificate.

    As a context it is cut off after `seconds`, whatever goes on then: a server that sends a byte now and then never
    runs into the time-out of a single read. `was_cut` says whether that happened.
    Knows no proxies, no cookies and no redirects.
    """

    def __init__(
        self, host: str, port: int, address: str, seconds: float, *, tls: ssl.SSLContext | None, dial: Dial
    ) -> None:
        super().__init__(host, port, timeout=seconds)
        # http.client leaves the port out of the Host header where it is this one
        self.default_port = 443 if tls else 80
        self._address, self._tls, self._dial = address, tls, dial
        self._seconds, self.was_cut = seconds, False
        # Kept beside `sock`, which http.client gives up once an answer has begun that ends with the connection.
        self._connected: socket.socket | None = None
        self._timer = Timer(seconds, self._cut)
        self._timer.daemon = True

    def connect(self) -> None:
        """Connect to the checked address, and greet by TLS if there is a context for it."""
        self.sock = self._connected = self._dial(self._address, self.port, self._seconds)
        if self._tls:
            # The greeting comes after, so that `_cut` finds the socket while it lasts.
            wrapped = self._tls.wrap_socket(self.sock, server_hostname=self.host, do_handshake_on_connect=False)
            self.sock = self._connected = wrapped
            if not self.was_cut:  # while there was nothing yet to cut
                wrapped.do_handshake()
        if self.was_cut:
            raise TimeoutError

    def __enter__(self) -> "PinnedConnection":
        self._timer.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._timer.cancel()
        self.close()

    def _cut(self) -> None:
        self.was_cut = True
        with suppress(OSError):  # not SSLSocket's own shutdown: what it reads after would be taken for plain text
            if self._connected is not None:
                socket.socket.shutdown(self._connected, socket.SHUT_RDWR)
