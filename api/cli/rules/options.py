"""The command line of rules: `catalens rules`. Nothing heavy is imported with it."""

from pathlib import Path
from typing import Annotated

import typer

from api.cli.options import CollectionOption, JsonOption, RuntimeOption
from api.defaults import DEFAULT_COLLECTION

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

FileArgument = Annotated[Path, typer.Argument(metavar="FILE", help="Rules as YAML.")]
NoteOption = Annotated[str, typer.Option(help="What for; shown in the history.")]


@app.callback()
def rules() -> None:
    """Synonyms, boosts, pins and hides: what a shop adds to its search, in one YAML file."""


@app.command(short_help="Print the rules that hold.")
def show(
    version: Annotated[int | None, typer.Option(min=1, help="An older version, as the history names it.")] = None,
    collection: CollectionOption = DEFAULT_COLLECTION,
) -> None:
    """Print the rules that hold, or an older version, as they were written."""
    from api.cli.rules import commands

    commands.show(collection, version)


@app.command(short_help="Say what is wrong or doubtful in a file.")
def check(
    file: FileArgument,
    strict: Annotated[bool, typer.Option("--strict", help="Doubts are an error too, for CI.")] = False,
    collection: CollectionOption = DEFAULT_COLLECTION,
    json: JsonOption = False,
) -> None:
    """Say what is wrong in a file, and doubtful: attributes or items that are not there, rules that touch nothing."""
    from api.cli.rules import commands

    commands.check(file, collection, strict=strict, as_json=json)


@app.command(short_help="Say what a file would change, for a list of queries.")
def preview(
    file: FileArgument,
    queries: Annotated[Path, typer.Option(metavar="FILE", help="Queries, one a line; - is standard input.")],
    k: Annotated[int, typer.Option("-k", min=1, max=100, help="How many of the first hits to compare.")] = 10,
    by: Annotated[str, typer.Option(help="What queries are compared with, as in catalens search.")] = "image",
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a page with pictures, too.")] = None,
    collection: CollectionOption = DEFAULT_COLLECTION,
    runtime: RuntimeOption = None,
    json: JsonOption = False,
) -> None:
    """Say what a file would change, for a list of queries, against the rules that hold. Nothing is applied."""
    from api.cli.rules import preview as commands

    commands.preview(file, queries, k, by, html, collection, runtime=runtime, as_json=json)


@app.command(short_help="Make a file the collection's rules.")
def apply(file: FileArgument, note: NoteOption = "", collection: CollectionOption = DEFAULT_COLLECTION) -> None:
    """Make a file the collection's rules, from the next search on. One that says only `version: 1` takes all away."""
    from api.cli.rules import commands

    commands.apply(file, note, collection)


@app.command(short_help="List all versions of the rules.")
def history(collection: CollectionOption = DEFAULT_COLLECTION, json: JsonOption = False) -> None:
    """List all versions of the rules, newest first."""
    from api.cli.rules import commands

    commands.history(collection, as_json=json)


@app.command(short_help="Go back to an older version.")
def revert(
    version: Annotated[int, typer.Argument(min=1, help="As the history names it.")],
    note: NoteOption = "",
    collection: CollectionOption = DEFAULT_COLLECTION,
) -> None:
    """Go back to an older version. It becomes a new one, so that nothing is lost."""
    from api.cli.rules import commands

    commands.revert(version, note, collection)


def register(main: typer.Typer) -> None:
    """Add `rules` to the program."""
    main.add_typer(app, name="rules", short_help="Synonyms, boosts, pins and hides.")
