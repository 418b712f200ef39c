"""What the commands do and print. Each imports what it alone needs: `catalens models` opens no database."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from api.cli.formats import one_line
from api.cli.output import err, out, print_json
from retrieval.errors import (
    CollectionDamaged,
    CollectionError,
    CollectionNotFound,
    EncoderError,
    FingerprintMismatch,
    SourceError,
)

if TYPE_CHECKING:
    from retrieval.catalogue.queries import Problem
    from retrieval.encoders.base import DualEncoder

SHOWN_PROBLEMS = 20


def index(
    paths: Sequence[Path],
    collection: Path,
    model: str | None,
    images_dir: Path | None,
    columns: Mapping[str, str | None],
    limits: Mapping[str, Any],
    *,
    runtime: str | None = None,
    as_json: bool,
) -> None:
    """Index the sources and report every outcome."""
    from api.cli.progress import show_progress
    from indexer.pipeline import index_sources
    from indexer.sources import open_source
    from retrieval.collection import Collection

    sources = [open_source(path, images_dir=images_dir, **columns) for path in paths]
    new = sum(source.count() for source in sources) - _photos_in(collection)
    encoder = _encoder_for(model, _model_of(collection), runtime=runtime, pictures=new)
    given = {name: value for name, value in limits.items() if value is not None}
    try:
        with show_progress(err) as on_progress:
            summary = index_sources(collection, sources, encoder, on_progress=on_progress, **given)
    except KeyboardInterrupt:
        err.print(f"\nStopped. {_photos_in(collection):,} photos are stored and can be searched.")
        err.print("  To go on from there, run the same command again.")
        sys.exit(130)
    counts = summary.to_json()
    with Collection.open(collection) as opened:
        problems = opened.problems([str(source.location) for source in sources])
    _report_problems(err, problems)
    if as_json:
        print_json(counts)
    if summary.taken_over:
        summary.notes.append(f"{summary.taken_over:,} items that came from another catalogue belong to this one now")
    for note in summary.notes:
        err.print(note, soft_wrap=True, markup=False)
    err.print("catalens index: " + " ".join(f"{name}={value}" for name, value in counts.items()), soft_wrap=True)
    if summary.fruitless:
        raise SourceError(
            f"none of the {len(problems)} photos or rows could be indexed",
            hint="if the paths are wrong, name their folder with --images-dir",
        )


def status(collection: Path, *, as_json: bool) -> None:
    """Print what a collection holds."""
    from api.cli.token_commands import told
    from retrieval.collection import Collection
    from retrieval.runtime.choose import runtime_of

    with Collection.open(collection) as opened:
        state = opened.status()
        problems = opened.problems()
    state["runtime"] = runtime_of(state["model"])
    if as_json:
        print_json({**state, "problems": [asdict(problem) for problem in problems]})
        return
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row("collection", Text(str(state["collection"])))
    table.add_row("model", Text(f"{state['model']} (fingerprint {state['fingerprint']})"))
    table.add_row("runtime", Text(state["runtime"]))
    for name in ("items", "photos", "embedded_photos", "embedded_texts", "failed", "skipped", "revision"):
        table.add_row(name.replace("_", " "), f"{state[name]:,}")
    for modality, one in state["index"].items():
        newer, gone = one["newer_rows"], one["deleted_rows"]
        table.add_row(f"{modality} index", f"{one['kind']}, {one['rows']:,} rows + {newer:,} newer - {gone:,} deleted")
    table.add_row("rerank tokens", told(state["tokens"]))
    for location in state["sources"]:
        table.add_row("source", Text(str(location)))
    out.print(table)
    _report_problems(out, problems)


def forget(source: Path, collection: Path) -> None:
    """Take a source out of a collection."""
    from indexer.forget import forget as forget_source

    removed = forget_source(collection, source)
    err.print(f"catalens forget: removed={removed}")


def models(name: str | None = None, *, as_json: bool) -> None:
    """Print the model registry, or one model of it."""
    from api.cli.models_table import list_models, show_model, tab_separated
    from retrieval.encoders import registry

    known = (registry.model(name),) if name else registry.models()
    if as_json:
        print_json({"models": [asdict(model) for model in known]})
    elif name:
        show_model(out, known[0])
    elif out.is_terminal:
        list_models(out, known)
    else:
        sys.stdout.writelines(tab_separated(model) + "\n" for model in known)


def demo(folder: Path) -> None:
    """The main job from end to end on a real catalogue."""
    from api.cli.demo import run

    run(out, err, folder)


def _model_of(collection: Path) -> str | None:
    """The model a collection was made with; None for a new one, and for one that only a writer can mend or judge."""
    from retrieval.collection import Collection

    try:
        with Collection.open(collection) as opened:
            return opened.encoder.name
    except (CollectionNotFound, CollectionDamaged):
        return None


def _photos_in(collection: Path) -> int:
    """How many photos can be searched; 0 when there is no collection yet."""
    from retrieval.collection import Collection

    try:
        with Collection.open(collection) as opened:
            return int(opened.status()["embedded_photos"])
    except CollectionError:
        return 0


def _encoder_for(
    asked: str | None, made_with: str | None, *, runtime: str | None = None, pictures: int = 0
) -> "DualEncoder":
    """The encoder to index with. One that cannot be loaded is no matter if the collection has another anyway."""
    from retrieval.encoders import load_encoder

    try:
        return load_encoder(asked or made_with or "starter", runtime=runtime, pictures=pictures)
    except EncoderError as error:
        if made_with is None or asked in (None, made_with):
            raise
        raise FingerprintMismatch(
            f"the collection was made with {made_with}, not with {asked}",
            hint="leave --model out, or name another folder with --collection",
        ) from error


def _report_problems(console: Console, problems: "Sequence[Problem]") -> None:
    if not problems:
        return
    console.print(f"{len(problems):,} failed or skipped:")
    for problem in problems[:SHOWN_PROBLEMS]:
        line = f"  {problem.state:7} {one_line(problem.where)}: {one_line(problem.reason)}"
        console.print(line, soft_wrap=True, markup=False)
    if len(problems) > SHOWN_PROBLEMS:
        console.print(f"  and {len(problems) - SHOWN_PROBLEMS:,} more; all of them: catalens status --json")
