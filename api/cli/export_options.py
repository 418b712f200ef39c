"""`catalens export`: its options. What it does is in `api/cli/export_commands.py`."""

from pathlib import Path
from typing import Annotated

import typer


def export(
    model: Annotated[str, typer.Option(help="Encoder to export. See: catalens models")] = "starter",
    images: Annotated[
        Path | None, typer.Option(help="Folder of photos of yours to compare on too, up to 200 of them.")
    ] = None,
    int8: Annotated[
        str | None,
        typer.Option(
            metavar="DATASET", help="Try int8 too, judged on this labelled set, as catalens eval reads it. Needs nncf."
        ),
    ] = None,
    split: Annotated[str, typer.Option(help="Split of that set, such as val.")] = "",
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")] = False,
) -> None:
    """Export an encoder to OpenVINO, once: faster, and a search starts without PyTorch. Refused if vectors differ."""
    from api.cli import export_commands as commands

    commands.export(model, images, int8, split, as_json=json)


def register(main: typer.Typer) -> None:
    """Add `export` to the program."""
    main.command(short_help="Make an encoder fast: export it to OpenVINO.")(export)
