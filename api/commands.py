"""What the commands do and print. Each imports what it alone needs: `catalens models` opens no database."""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from retrieval.errors import CollectionDamaged, CollectionNotFound, ImageError, QueryError, SourceError
from retrieval.records import Hit

if TYPE_CHECKING:
    from retrieval.search import Answer

SHOWN_PROBLEMS = 20

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)


def index(
    paths: Sequence[Path],
    collection: Path,
    model: str | None,
    images_dir: Path | None,
    columns: Mapping[str, str | None],
    max_pixels: int,
    *,
    as_json: bool,
) -> None:
    """Index the sources and report every outcome."""
    from api.progress import show_progress
    from indexer.pipeline import index_sources
    from indexer.sources import open_source
    from retrieval.encoders import load_encoder

    sources = [open_source(path, images_dir=images_dir, **columns) for path in paths]
    encoder = load_encoder(model or _model_of(collection) or "starter")
    try:
        with show_progress(err) as on_progress:
            summary = index_sources(collection, sources, encoder, on_progress=on_progress, max_pixels=max_pixels)
    except KeyboardInterrupt:
        err.print("\nStopped. What was indexed so far is stored and can be searched.")
        err.print("  To go on from there, run the same command again.")
        sys.exit(130)
    counts = summary.to_json()
    _report_problems(summary.problems, int(counts["failed"] + counts["skipped"]))
    if as_json:
        _print_json(counts)
    err.print("catalens index: " + " ".join(f"{name}={value}" for name, value in counts.items()), soft_wrap=True)
    if counts["failed"] and not any(counts[name] for name in ("new", "changed", "renamed", "unchanged")):
        raise SourceError(
            f"none of the {counts['failed']} photos could be indexed",
            hint="if the paths are wrong, name their folder with --images-dir",
        )


def search(words: str, image: Path | None, k: int, by: str, collection: Path, *, as_json: bool) -> None:
    """Search and print the hits."""
    from retrieval.search import Searcher, checked

    checked(words, image, k)  # a query that cannot be answered is said so before a model is loaded
    if by not in ("image", "text"):
        raise QueryError(f"--by is '{by}'", hint="use --by image or --by text")
    with Searcher.open(collection) as searcher:
        try:
            answer = searcher.search(words, image=image, k=k, by="text" if by == "text" else "image")
        except ImageError as error:
            raise ImageError(f"{image}: {error}", hint="give the path of a photo to --image") from error
    if as_json:
        _print_json(_answer_json(answer))
    elif out.is_terminal:
        out.print(hits_table(answer.hits))
        err.print(f"{len(answer.hits)} hits in {answer.took_ms:,.0f} ms", style="dim")
    else:
        for hit in answer.hits:
            columns = (str(hit.rank), f"{hit.score:.4f}", _one_line(hit.item_id), _one_line(hit.title), hit.photo or "")
            sys.stdout.write("\t".join(columns) + "\n")
    if not answer.hits:
        err.print("The collection is empty. Fill it with: catalens index YOUR-FOLDER")


def status(collection: Path, *, as_json: bool) -> None:
    """Print what a collection holds."""
    from retrieval.collection import Collection

    with Collection.open(collection) as opened:
        state = opened.status()
        problems = opened.problems(SHOWN_PROBLEMS)
    if as_json:
        _print_json({**state, "problems": [{"where": where, "reason": reason} for where, reason in problems]})
        return
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row("collection", Text(str(state["collection"])))
    table.add_row("model", Text(f"{state['model']} (fingerprint {state['fingerprint']})"))
    for name in ("items", "photos", "embedded_photos", "embedded_texts", "failed", "skipped", "revision"):
        table.add_row(name.replace("_", " "), f"{state[name]:,}")
    for modality, one in state["index"].items():
        newer, gone = one["newer_rows"], one["deleted_rows"]
        table.add_row(f"{modality} index", f"{one['kind']}, {one['rows']:,} rows + {newer:,} newer - {gone:,} deleted")
    for location in state["sources"]:
        table.add_row("source", Text(str(location)))
    out.print(table)
    _report_problems(problems, int(state["failed"] + state["skipped"]))


def models(*, as_json: bool) -> None:
    """Print the model registry."""
    from retrieval.encoders import registry

    known = registry.models()
    if as_json:
        _print_json({"models": [asdict(model) for model in known]})
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("model", "dim", "here", "good for"):
        table.add_column(heading, overflow="fold")
    for model in known:
        table.add_row(model.name, str(model.dimension or "?"), "yes" if model.available else "no", model.good_for)
    out.print(table)


def demo(folder: Path) -> None:
    """The main job from end to end on a real catalogue."""
    from api.demo import run

    run(out, err, folder)


def hits_table(hits: Sequence[Hit]) -> Table:
    """Ranked hits that fit into 80 columns."""
    table = Table(box=None, pad_edge=False)
    table.add_column("#", justify="right", no_wrap=True)
    table.add_column("score", justify="right", no_wrap=True)
    table.add_column("id", overflow="fold", max_width=24)
    table.add_column("title")
    with_price = any(hit.attributes.get("price") is not None for hit in hits)
    if with_price:
        table.add_column("price", justify="right", no_wrap=True)
    for hit in hits:
        price = hit.attributes.get("price")
        shown = f"{price:,.2f}" if isinstance(price, float) else "" if price is None else str(price)
        # As Text, because a plain string would have its [brackets] read as markup. The title alone is cut: a column
        # that must not wrap takes its width from all the others.
        title = Text(_one_line(hit.title), no_wrap=True, overflow="ellipsis")
        row = [Text(str(hit.rank)), Text(f"{hit.score:.3f}"), Text(_one_line(hit.item_id)), title]
        table.add_row(*row, *([Text(_one_line(shown))] if with_price else []))
    return table


def _answer_json(answer: "Answer") -> dict[str, Any]:
    hits = [
        {
            "rank": hit.rank,
            "item_id": hit.item_id,
            "score": round(hit.score, 6),
            "title": hit.title,
            "photo": hit.photo,
            "matched_text": hit.matched_text,
            "attributes": dict(hit.attributes),
        }
        for hit in answer.hits
    ]
    return {"query": answer.query, "hits": hits, "took_ms": round(answer.took_ms, 3)}


def _model_of(collection: Path) -> str | None:
    """The model a collection was made with; None for a new one, and for one that only a writer can mend or judge."""
    from retrieval.collection import Collection

    try:
        with Collection.open(collection) as opened:
            return opened.encoder.name
    except (CollectionNotFound, CollectionDamaged):
        return None


def _report_problems(problems: Sequence[tuple[str, str]], total: int) -> None:
    if not problems:
        return
    err.print(f"{total:,} failed or skipped:")
    for where, reason in problems[:SHOWN_PROBLEMS]:
        err.print(f"  {_one_line(where)}: {_one_line(reason)}", soft_wrap=True, markup=False)
    if total > SHOWN_PROBLEMS:
        err.print(f"  and {total - SHOWN_PROBLEMS:,} more")


def _one_line(text: str) -> str:
    """Without line ends, tabs and control characters: a title must not move the cursor or recolour the terminal."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _print_json(value: Mapping[str, Any]) -> None:
    unicode = (sys.stdout.encoding or "").lower().startswith("utf")  # a Windows pipe has a code page
    sys.stdout.write(json.dumps(value, ensure_ascii=not unicode, indent=2, default=str) + "\n")
