"""What `catalens serve` does and prints."""

import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from api.output import err
from retrieval.errors import CatalensError

GRACE_SECONDS = 30  # for requests in flight when the server is asked to end


class CannotListen(CatalensError):
    """The address and port cannot be listened on."""


def serve(collections: Sequence[Path], host: str, port: int, others: Mapping[str, Any]) -> None:
    """Serve until a signal ends it. others: fields of `ServerSettings`.

    Raises CannotListen for a port that is taken, CollectionNotFound and other errors of collections, and what
    `load_encoder` raises, in this order: what is quick to find out comes before a model is loaded.
    """
    from api.http.settings import ServerSettings, named
    from retrieval.collection import Collection

    settings = ServerSettings(named(collections), **others)
    for folder in settings.collections.values():
        Collection.open(folder).close()
    with listening(host, port) as bound:
        _run(settings, bound)


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
        raise CannotListen(
            f"cannot listen on {host} port {port}: {_why(error)}",
            hint=f"is a server running there already? choose another port: --port {min(port + 1, 65535)}",
        ) from error
    return bound


def _run(settings: Any, bound: socket.socket) -> None:
    import uvicorn

    from api.http.app import create_app

    app = create_app(settings)

    class Announced(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            if self.started:
                err.print(f"Catalens is at {_address(bound)}  (Ctrl-C ends it)", markup=False, soft_wrap=True)

    config = uvicorn.Config(
        app, log_level="critical", access_log=False, server_header=False, timeout_graceful_shutdown=GRACE_SECONDS
    )
    server = Announced(config)
    try:
        server.run(sockets=[bound])
    except SystemExit:
        if app.state.failed is None:
            raise
    if app.state.failed is not None:
        raise app.state.failed


def _address(bound: socket.socket) -> str:
    host, port = bound.getsockname()[:2]
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104
    return f"http://{shown}:{port}/"


def _why(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
