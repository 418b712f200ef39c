"""A real server on loopback, asked byte by byte: what clients would not send is what attackers do."""

import json
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import uvicorn
from starlette.types import ASGIApp


@dataclass(frozen=True)
class Answer:
    """status: 0 where the server closed the connection without a word."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def error(self) -> dict[str, Any]:
        """The error within, whose shape is checked; NaN and the like are no JSON."""
        value: dict[str, Any] = json.loads(self.body, parse_constant=_refused)["error"]
        assert value.keys() == {"type", "message", "hint", "field"}
        assert value["message"]
        return value


def _refused(constant: str) -> None:
    raise AssertionError(constant)


@contextmanager
def serving(app: ASGIApp, **others: Any) -> Iterator[int]:
    """The app behind uvicorn, as `catalens serve` has it; its port. others: settings of uvicorn's."""
    plain = {"port": 0, "http": "h11", "ws": "none", "log_config": None, "proxy_headers": False}
    config = uvicorn.Config(app, **{**plain, **others})
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        assert thread.is_alive(), "the server does not start"
        time.sleep(0.005)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        thread.join()


def send(port: int, request: bytes, *, to_the_end: bool = False) -> Answer:
    """The answer to these bytes, on a connection of their own. to_the_end: with all that the server sends after it."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
        with suppress(OSError):  # it has heard enough; what it said is there to be read
            client.sendall(request)
        received = b""
        with suppress(ConnectionResetError):
            while (to_the_end or not _is_whole(received)) and (read := client.recv(65_536)):
                received += read
    head, _, body = received.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
    if headers.get("transfer-encoding") == "chunked":
        body = _joined(body)
    return Answer(int(lines[0].split()[1]) if received else 0, headers, body)


def _is_whole(received: bytes) -> bool:
    """Has all come that an answer's Content-Length says?"""
    head, ended, body = received.partition(b"\r\n\r\n")
    _, stated, length = head.lower().partition(b"\r\ncontent-length: ")
    return bool(ended and stated) and len(body) >= int(length.split(b"\r\n")[0])


def ask(
    port: int,
    method: str,
    target: str | bytes,
    body: bytes | None = None,
    kind: str = "application/json",
    headers: Mapping[str, str | bytes] | None = None,
) -> Answer:
    """The answer to one request; target goes into its first line as it is."""
    target = target if isinstance(target, bytes) else target.encode("latin-1")
    lines = [b"%s %s HTTP/1.1" % (method.encode(), target)]
    named: dict[str, str | bytes] = {"Host": f"127.0.0.1:{port}", "Connection": "close", **(headers or {})}
    if body is not None:
        named |= {"Content-Type": kind, "Content-Length": str(len(body))}
    for name, value in named.items():
        lines.append(name.encode() + b": " + (value if isinstance(value, bytes) else value.encode("latin-1")))
    return send(port, b"\r\n".join(lines) + b"\r\n\r\n" + (body or b""))


def _joined(chunked: bytes) -> bytes:
    whole = b""
    while chunked:
        size, _, rest = chunked.partition(b"\r\n")
        count = int(size, 16)
        whole, chunked = whole + rest[:count], rest[count + 2 :]
        if not count:
            break
    return whole


def form(*parts: tuple[str, bytes], boundary: str = "b0undary") -> tuple[bytes, str]:
    """A multipart body of (headers after `form-data`, content), and its media type."""
    body = b"".join(
        b"--%s\r\nContent-Disposition: form-data; %s\r\n\r\n%s\r\n" % (boundary.encode(), head.encode(), content)
        for head, content in parts
    )
    return body + b"--%s--\r\n" % boundary.encode(), f"multipart/form-data; boundary={boundary}"
