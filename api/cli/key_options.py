"""`catalens api-key`: a key for who may ask a server."""

from pathlib import Path
from typing import Annotated

import typer

from api.cli.options import JsonOption


def register(main: typer.Typer) -> None:
    """Add `api-key` to the program."""

    @main.command("api-key", short_help="Make a key for catalens serve --api-key-file.")
    def api_key(
        scope: Annotated[
            str, typer.Option(metavar="read|write", help="read: search and look; write: change items, too.")
        ],
        name: Annotated[str, typer.Option(help="Whose it is; the access log shows the name, never the key.")] = "",
        file: Annotated[
            Path | None, typer.Option(help="Add its line to this file; otherwise the line is printed after the key.")
        ] = None,
        json: JsonOption = False,
    ) -> None:
        """Make a key for `catalens serve --api-key-file`. It is printed this once: the file only holds its hash."""
        from api.cli import key_commands

        if scope not in ("read", "write"):
            raise typer.BadParameter("a scope is read or write", param_hint="--scope")
        if len(name) > 100 or not name.isprintable():
            raise typer.BadParameter("a name is one line of at most 100 characters", param_hint="--name")
        key_commands.api_key("write" if scope == "write" else "read", name.strip(), file, as_json=json)
