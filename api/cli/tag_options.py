"""`catalens tag`: its options. What it does is in `api/cli/tag_commands.py`."""

from pathlib import Path
from typing import Annotated

import typer

from api.cli.options import CollectionOption, JsonOption, RuntimeOption
from api.defaults import DEFAULT_COLLECTION


def tag(
    labels: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Text file with one label a line; # begins a comment.")
    ] = None,
    collection: CollectionOption = DEFAULT_COLLECTION,
    field: Annotated[str, typer.Option(help="Name of the attribute that keeps them.")] = "tags",
    min_confidence: Annotated[
        float, typer.Option("--min-confidence", help="Leave out labels less certain than this, from 0 to 1.")
    ] = 0.5,
    top: Annotated[int, typer.Option(help="At most so many labels an item.")] = 3,
    store: Annotated[
        bool, typer.Option("--store", help="Keep them, in place of those kept before: hits and filters see them.")
    ] = False,
    remove: Annotated[bool, typer.Option("--remove", help="Remove the field again; needs no labels.")] = False,
    runtime: RuntimeOption = None,
    json: JsonOption = False,
) -> None:
    """Give each item the labels of a list that fit its photos, and none where none fits. One list asks one question."""
    from api.cli import tag_commands as commands

    if remove:
        commands.remove(collection, field, labels, store=store, as_json=json)
    else:
        commands.tag(labels, collection, field, min_confidence, top, store=store, runtime=runtime, as_json=json)


def register(main: typer.Typer) -> None:
    """Add `tag` to the program."""
    main.command(short_help="Give items labels from a list of yours.")(tag)
