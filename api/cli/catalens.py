"""The command line: parse, build, call, print. Results go to stdout, progress and messages to stderr.

Everything heavier than the parser is imported inside the command that needs it, so that `catalens --help` is quick.
"""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from api.cli import (
    explain_options,
    export_options,
    key_options,
    search_options,
    serve_options,
    tag_options,
)
from api.cli.evaluation import options as evaluation_options
from api.cli.options import CollectionOption, JsonOption, RuntimeOption
from api.cli.rules import options as rules_options
from api.cli.training import options as training_options
from api.defaults import DEFAULT_COLLECTION

app = typer.Typer(
    name="catalens",
    epilog="Start with:  catalens index PHOTO-FOLDER  and then  catalens search red shoes",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # rich would double what `catalens --help` takes: 0.34 s of CPU instead of 0.16
)


def _print_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        typer.echo(f"catalens {version('catalens')}")
        raise typer.Exit


@app.callback()
def catalens(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Print the version.")
    ] = False,
) -> None:
    """Find pictures by words and words by pictures."""


@app.command(short_help="Index folders or catalogue files, or bring them up to date.")
def index(
    sources: Annotated[
        list[Path] | None,
        typer.Argument(help="Folders of photos, or CSV, TSV, JSON lines or Parquet files.", show_default=False),
    ] = None,
    collection: CollectionOption = DEFAULT_COLLECTION,
    model: Annotated[
        str | None, typer.Option(help="Encoder; the collection's own, or starter for a new one. See: catalens models")
    ] = None,
    images_dir: Annotated[
        Path | None, typer.Option(help="Where a catalogue's photo paths start; otherwise beside the catalogue.")
    ] = None,
    id_column: Annotated[str | None, typer.Option(help="Column with the item's id; otherwise guessed.")] = None,
    image_column: Annotated[str | None, typer.Option(help="Column with the photo paths; otherwise guessed.")] = None,
    title_column: Annotated[str | None, typer.Option(help="Column with the title; otherwise guessed.")] = None,
    max_pixels: Annotated[
        int | None, typer.Option(min=1, help="Refuse photos with more pixels than this; otherwise 40 million.")
    ] = None,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Also read the files again that failed three times.")
    ] = False,
    rerank_tokens: Annotated[
        bool,
        typer.Option("--rerank-tokens", help="From now on also keep what a reranker looks at, 10 KB a photo."),
    ] = False,
    add_tokens: Annotated[
        bool,
        typer.Option("--add-tokens", help="Without SOURCES: give it to the photos and texts that lack it."),
    ] = False,
    runtime: RuntimeOption = None,
    json: JsonOption = False,
) -> None:
    """Index folders or catalogue files, or bring them up to date: only what changed is encoded again."""
    from api.cli import commands, token_commands

    columns = {"id_column": id_column, "image_column": image_column, "title_column": title_column}
    limits = {"max_pixels": max_pixels, "retry_failed": retry_failed, "rerank_tokens": rerank_tokens}
    if add_tokens:
        if sources or model or images_dir or any(columns.values()) or any(limits.values()):
            raise typer.BadParameter(
                "it takes no sources and only --collection, --runtime and --json", param_hint="--add-tokens"
            )
        token_commands.add_tokens(collection, runtime=runtime, as_json=json)
        return
    if not sources:
        more = "; for what is indexed already: catalens index --add-tokens" if rerank_tokens else ""
        raise typer.BadParameter(f"name a folder or a file to index{more}", param_hint="SOURCES")
    commands.index(sources, collection, model, images_dir, columns, limits, runtime=runtime, as_json=json)


@app.command(short_help="Take a source out of a collection.")
def forget(
    source: Annotated[
        Path,
        typer.Argument(
            help="The folder or catalogue file, as catalens status names it; program:items for what programs put."
        ),
    ],
    collection: CollectionOption = DEFAULT_COLLECTION,
) -> None:
    """Take a source out of a collection, with all that came from it. No file of yours is touched."""
    from api.cli import commands

    commands.forget(source, collection)


search_options.register(app)
serve_options.register(app)


@app.command(short_help="Say what a collection holds, and what failed and why.")
def status(collection: CollectionOption = DEFAULT_COLLECTION, json: JsonOption = False) -> None:
    """Say what a collection holds, what failed and why, and how its index stands."""
    from api.cli import commands

    commands.status(collection, as_json=json)


@app.command(short_help="List the encoders and what each is good for.")
def models(
    name: Annotated[str | None, typer.Argument(help="One model, to see everything that is known about it.")] = None,
    json: JsonOption = False,
) -> None:
    """List the encoders: size, languages, speed, published quality, and whether their weights are on this machine."""
    from api.cli import commands

    commands.models(name, as_json=json)


@app.command(short_help="The whole thing on a real catalogue of 54 products.")
def demo(
    folder: Annotated[
        Path, typer.Argument(help="Where the catalogue, the collection and the contact sheet go.")
    ] = Path("demo"),
) -> None:
    """Fetch a catalogue of 54 products, index it, search it, and draw a contact sheet."""
    from api.cli import commands

    commands.demo(folder)


evaluation_options.register(app)
training_options.register(app)
export_options.register(app)
explain_options.register(app)
rules_options.register(app)
tag_options.register(app)
key_options.register(app)


def main() -> None:
    """Entry point: 0 for success, 1 for an error, 2 for wrong usage, 130 for Ctrl-C."""
    from api.cli.streams import guard_stdout
    from retrieval.errors import CatalensError, QueryError
    from retrieval.settings import share_cores

    share_cores()
    try:
        guard_stdout()
        try:
            app()
        finally:
            sys.stdout.flush()  # a closed pipe shows here, and not while the interpreter shuts down
    except CatalensError as error:
        typer.echo(f"error: {error}", err=True)
        if error.hint:
            typer.echo(f"  {error.hint}", err=True)
        sys.exit(2 if isinstance(error, QueryError) else 1)
    except BrokenPipeError:
        # The reader (head, less) went away: nobody is left to tell, and the last flush must not raise again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
