"""`catalens serve`: its options. What it does is in `api/serve_commands.py`."""

from pathlib import Path
from typing import Annotated

import typer

from api.options import DEFAULT_COLLECTION, RuntimeOption


def serve(
    collection: Annotated[
        list[Path] | None,
        typer.Option(
            "--collection",
            metavar="DIR|NAME=DIR",
            envvar="CATALENS_COLLECTION",
            help="Folder of a collection; several times for several. Otherwise .catalens",
        ),
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 lets other machines in.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 for a free one.")] = 8000,
    runtime: RuntimeOption = None,
) -> None:
    """Serve collections over HTTP: a page to search with at /, an API for programs at /v1, its description at /docs."""
    from api import serve_commands

    serve_commands.serve(collection or [DEFAULT_COLLECTION], host, port, {"runtime": runtime})


def register(main: typer.Typer) -> None:
    """Add `serve` to the program."""
    main.command(short_help="Serve collections over HTTP, with a page to search.")(serve)
