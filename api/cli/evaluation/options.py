"""The command line of evaluation: `catalens eval` and `catalens doctor`. Nothing heavy is imported with it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from api.cli.options import CollectionOption, JsonOption, RuntimeOption
from api.defaults import DEFAULT_COLLECTION

if TYPE_CHECKING:
    from collections.abc import Sequence

RUN = "run"
_NO_BRACES = str.maketrans("", "", "{}")  # newer versions of typer put them around the names of arguments


class EvaluationGroup(TyperGroup):
    """`catalens eval DATASET` beside `catalens eval compare A B`: what is no command's name goes to `run`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """A first word that is no command, option or not, is the beginning of what `run` takes."""
        if args and args[0] not in self.commands and args[0] not in ctx.help_option_names:
            args = [RUN, *args]
        return super().parse_args(ctx, args)

    def format_usage(self, ctx: Any, formatter: Any) -> None:
        """The usage of `run` first, under the name that people type."""
        formatter.write_usage(ctx.command_path, "[OPTIONS] DATASET")
        for name in self._shown():
            pieces = " ".join((name, *self.commands[name].collect_usage_pieces(ctx)))
            formatter.write_usage(ctx.command_path, pieces.translate(_NO_BRACES), prefix="       ")

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """The options of `run`, then the other commands."""
        self.commands[RUN].format_options(ctx, formatter)
        with formatter.section("Commands"):
            formatter.write_dl([(name, self.commands[name].get_short_help_str(80)) for name in self._shown()])

    def _shown(self) -> "Sequence[str]":
        return [name for name in self.commands if name != RUN]


app = typer.Typer(cls=EvaluationGroup, no_args_is_help=True, rich_markup_mode=None)

SplitOption = Annotated[str, typer.Option(help="Split of a set that has several, such as test or val.")]
LanguageOption = Annotated[str, typer.Option(help="Language of the captions where a set has several, such as zh.")]
ImagesOption = Annotated[
    Path | None, typer.Option("--images-dir", help="Where the set's image paths start; otherwise beside its file.")
]
QueriesOption = Annotated[
    str, typer.Option(help="For a catalogue: what asks. title, attributes, or a CSV of query, item_id[, grade].")
]
MissingOption = Annotated[bool, typer.Option("--allow-missing", help="Leave out images that are missing, and say so.")]


@app.callback()
def evaluation() -> None:
    """Say with numbers how good search is: on a benchmark, or on your own catalogue.

    DATASET is a file or folder (captions, Karpathy JSON, .token, BEIR, TREC, WebDataset, pairs, a catalogue) or the
    name of a built-in set; see catalens eval --list.
    """


@app.command(RUN)
def run(
    dataset: Annotated[str | None, typer.Argument(metavar="DATASET", help="What to evaluate on.")] = None,
    model: Annotated[
        str | None, typer.Option(help="Encoder; starter, or with --collection the collection's own.")
    ] = None,
    collection: Annotated[
        Path | None, typer.Option(help="Answer through this collection's search, index and all.")
    ] = None,
    by: Annotated[
        str | None, typer.Option(help="With --collection: find pictures by their photo (image) or their texts (text).")
    ] = None,
    k: Annotated[str, typer.Option("--k", help="Places that success@k looks at; the largest is for the others.")] = (
        "1,5,10"
    ),
    rerank: Annotated[
        bool, typer.Option("--rerank", help="Also re-order the best 5 to 100 with a reranker, and say whether it pays.")
    ] = False,
    reranker: Annotated[
        str | None,
        typer.Option(metavar="NAME|DIR", help="Reranker, by name or folder; otherwise the model's own. With --rerank."),
    ] = None,
    split: SplitOption = "",
    language: LanguageOption = "",
    images_dir: ImagesOption = None,
    queries: QueriesOption = "title",
    allow_missing: MissingOption = False,
    out: Annotated[
        Path | None, typer.Option(help="Folder for report.html, report.json, TREC runs and qrels, and every query.")
    ] = None,
    fail_under: Annotated[
        list[str] | None,
        typer.Option(
            metavar="MEASURE=VALUE", help="Exit with 1 if missed: success@10=0.6 or image_to_text:success@1=0.5."
        ),
    ] = None,
    runtime: RuntimeOption = None,
    listing: Annotated[bool, typer.Option("--list", help="Name the built-in data sets.")] = False,
    json: JsonOption = False,
) -> None:
    """Evaluate one model on one data set."""
    from api.cli.evaluation import commands

    if listing:
        commands.list_sets(as_json=json)
        return
    if dataset is None:
        raise typer.BadParameter("name a data set, or see: catalens eval --list")
    chosen = commands.SetChoice(dataset, split, language, images_dir, queries, allow_missing)
    if reranker is not None and not rerank:
        raise typer.BadParameter("--reranker says which one; add --rerank to use it")
    second = commands.RerankChoice(reranker) if rerank else None
    commands.run(chosen, model, collection, by, k, out, fail_under or [], second, runtime=runtime, as_json=json)


@app.command()
def compare(
    before: Annotated[Path, typer.Argument(metavar="A", help="Folder that an earlier eval --out wrote.")],
    after: Annotated[Path, typer.Argument(metavar="B", help="Folder of a later one, on the same set.")],
    measure: Annotated[
        list[str] | None, typer.Option(help="Measure to compare, such as success@10; may be repeated. Default: all.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Say what got better and worse between two evaluations.

    With 95 % intervals, p values of a paired randomisation test, and the queries that changed most.
    """
    from api.cli.evaluation.compare import compare_runs

    compare_runs(before, after, measure or [], as_json=json)


@app.command()
def models(
    names: Annotated[list[str], typer.Argument(metavar="MODEL... DATASET", help="Models, and the set they try.")],
    split: SplitOption = "",
    language: LanguageOption = "",
    images_dir: ImagesOption = None,
    queries: QueriesOption = "title",
    allow_missing: MissingOption = False,
    runtime: RuntimeOption = None,
    json: JsonOption = False,
) -> None:
    """Try models on one set: quality, speed, memory side by side."""
    from api.cli.evaluation import commands

    *candidates, dataset = names
    if not candidates:
        raise typer.BadParameter("name one model or more, then the data set")
    chosen = commands.SetChoice(dataset, split, language, images_dir, queries, allow_missing)
    commands.rehearse_models(candidates, chosen, runtime=runtime, as_json=json)


def doctor(
    collection: CollectionOption = DEFAULT_COLLECTION,
    json: JsonOption = False,
) -> None:
    """Measure the index against exact search, and say what to change. Exit code 1: an index file is broken."""
    from api.cli.evaluation import commands

    if commands.doctor(collection, as_json=json):
        raise typer.Exit(1)


def register(main: typer.Typer) -> None:
    """Add `eval` and `doctor` to the program."""
    main.add_typer(app, name="eval")
    main.command()(doctor)
