"""What `catalens serve` does and prints."""

import errno
import gc
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from api.cli.output import err
from retrieval.errors import CatalensError

if TYPE_CHECKING:
    from api.http.settings import ServerSettings

GRACE_SECONDS = 30  # for requests in flight when the server is asked to end


class CannotListen(CatalensError):
    """The address and port cannot be listened on."""


@dataclass(frozen=True)
class Outside:
    """What concerns the process and not the app.

    hosts: names to answer to beside those of the address. proxy: address that may say who its clients are.
    access_log: whether requests are logged.
    """

    hosts: tuple[str, ...] = ()
    proxy: str | None = None
    access_log: bool = True


def serve(
    collections: Sequence[Path], host: str, port: int, others: Mapping[str, Any], outside: Outside | None = None
) -> None:
    """Serve until a signal ends it; requests in flight are answered first. others: fields of `ServerSettings`.

    Raises KeyFileError, CannotListen for a port that is taken, CollectionNotFound and other errors of collections, and
    what `load_encoder` raises, in this order: what is quick to find out comes before a model is loaded.
    """
    from api.http.exposure import hosts_of, warning
    from api.http.keys import ApiKeys
    from api.http.settings import ServerSettings, named
    from retrieval.collection import Collection

    outside = outside or Outside()
    settings = ServerSettings(named(collections), **others)
    if settings.api_key_file is not None:
        ApiKeys.read(settings.api_key_file)
    for folder in settings.collections.values():
        Collection.open(folder).close()
    with listening(host, port) as bound:
        address = bound.getsockname()[0]
        if text := warning(address, keys=settings.api_key_file is not None):
            err.print(text, markup=False, soft_wrap=True)
        _run(replace(settings, hosts=hosts_of(address, host, outside.hosts)), bound, outside)


def listening(host: str, port: int) -> socket.socket:
    """A bound socket. Raises CannotListen."""
    try:
        family, kind, proto, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        bound = socket.socket(family, kind, proto)
    except (OSError, UnicodeError) as error:
        raise CannotListen(f"cannot listen on {host}: {_why(error)}", hint="give --host 127.0.0.1") from error
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
        bound.listen(2048)  # here already, so that a second server is told that the port is taken
    except OSError as error:
        bound.close()
        taken = f"is a server running there already? choose another port: --port {min(port + 1, 65535)}"
        foreign = "that is no address of this machine; give --host 127.0.0.1, or 0.0.0.0 for all that it has"
        raise CannotListen(
            f"cannot listen on {host} port {port}: {_why(error)}",
            hint=foreign if error.errno == errno.EADDRNOTAVAIL else taken,
        ) from error
    return bound


def _run(settings: "ServerSettings", bound: socket.socket, outside: Outside) -> None:
    import uvicorn

    from api.http.allocator import return_large_blocks
    from api.http.app import create_app
    from api.http.logs import log_to

    return_large_blocks()
    log_to(sys.stderr, requests=outside.access_log)
    app = create_app(settings)

    class Announced(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            if self.started:
                # What is loaded now stays: to look through it all for garbage took 70 to 180 ms every few seconds of
                # load, in which nobody was answered.
                gc.collect()
                gc.freeze()
                err.print(f"Catalens is at {_address(bound)}  (Ctrl-C ends it)", markup=False, soft_wrap=True)

    config = uvicorn.Config(
        app,
        http="h11",  # httptools, which uvicorn takes where it is installed, has no limit on the size of headers
        ws="none",
        proxy_headers=outside.proxy is not None,
        forwarded_allow_ips=outside.proxy,
        log_config=None,  # its own would switch loggers on again that are off
        log_level="critical",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    # uvicorn ends in order at either signal and then raises it again, for whoever had it before.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with suppress(KeyboardInterrupt), suppress(SystemExit):  # it exits where a start failed, which is told below
        Announced(config).run(sockets=[bound])
    if app.state.failed is not None:
        raise app.state.failed


def _address(bound: socket.socket) -> str:
    host, port = bound.getsockname()[:2]
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104
    return f"http://{shown}:{port}/"


def _why(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
