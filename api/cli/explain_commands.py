"""What `catalens explain` does and prints."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from api.captions import caption
from api.cli.formats import one_line
from api.cli.output import out, print_json
from retrieval.errors import CatalensError, ImageError, QueryError, StorageError

if TYPE_CHECKING:
    from retrieval.explain.heat_map import HeatMap
    from retrieval.explain.why import Explanation
    from retrieval.query import Query
    from retrieval.search import Searcher

LEGS = {"image": "photos", "text": "texts", "lexical": "words"}


def explain(
    query: "Query", item_id: str, collection: Path, heatmap: Path | None, *, runtime: str | None = None, as_json: bool
) -> None:
    """Explain one item, and draw its heat map if one is asked for."""
    from retrieval.explain.why import explain as explained
    from retrieval.search import Searcher

    if heatmap is not None:
        _check_can_draw(query, heatmap)
    with Searcher.open(collection, runtime=runtime) as searcher:
        found = explained(searcher, query, item_id)
        made, failed = None, None
        if heatmap is not None:
            try:
                made = _drawn(searcher, query, found.photo, heatmap)
            except CatalensError as error:  # the rest is worth saying all the same
                failed = error
    if as_json:
        drawn: dict[str, Any] = {} if made is None else {"heat_map": {"file": str(heatmap), **made.to_json()}}
        print_json(found.to_json() | drawn)
    else:
        _print(found)
        if made is not None:
            _print_map(made, heatmap)
    if failed is not None:
        raise failed


def _check_can_draw(query: "Query", heatmap: Path) -> None:
    if not query.parts:
        raise QueryError("a heat map needs something to look for", hint="give words or a picture")
    if heatmap.is_dir() or not heatmap.absolute().parent.is_dir():
        raise StorageError(f"cannot write {heatmap}: no such folder, or a folder itself", hint="name a file")


def _drawn(searcher: "Searcher", query: "Query", photo: str | None, heatmap: Path) -> "HeatMap":
    from retrieval.explain.drawing import MAX_SIDE, draw
    from retrieval.explain.heat_map import heat_map
    from retrieval.images import decode_file

    if heatmap.suffix.lower() != ".png":  # before anything of the user's is written over
        raise StorageError(f"{heatmap} is no name for a picture", hint="name a file that ends in .png")
    if photo is None:
        raise ImageError("no heat map: the item has no photo", hint="explain without --heatmap")
    try:
        picture = decode_file(Path(photo), target=MAX_SIDE).image
    except ImageError as error:
        raise ImageError(f"no heat map: {photo}: {error}", hint="if photos were moved, run catalens index") from error
    rules = searcher.collection.view().rules
    made = heat_map(searcher.encoder, picture, searcher.vectors(query).of("image", rules)[0])
    try:
        heatmap.write_bytes(draw(picture, made, caption(query)))
    except OSError as error:
        raise StorageError(f"cannot write {heatmap}: {error.strerror or error}", hint="name another file") from error
    return made


def _print(found: "Explanation") -> None:
    out.print(Text(one_line(f"{found.item_id}  {found.title}"), style="bold"))
    style = "green" if found.is_hit else "yellow"
    verdict = "a hit" if found.is_hit else "not a hit"
    out.print(Text.assemble((f"{verdict}: ", f"bold {style}"), one_line(found.outcome.said)))
    if found.places:
        table = Table(box=None, pad_edge=False)
        filtered = bool(found.clauses)
        for heading in ("by", "score", "rank among all", *(["among those that pass"] if filtered else [])):
            table.add_column(heading, justify="left" if heading == "by" else "right")
        for place in found.places:
            among = "-" if place.matching_rank is None else f"{place.matching_rank:,} of {place.matching:,}"
            row = (LEGS[place.leg], f"{place.score:.4f}", f"{place.rank:,} of {place.of:,}")
            table.add_row(*row, *([among] if filtered else []))
        out.print(table)
    for clause in found.clauses:
        values = ", ".join(
            f"{name} is {'nothing' if value is None else value}" for name, value in clause.values.items()
        )
        out.print(Text(one_line(f"{'passes' if clause.passed else 'FAILS '}  {clause.text}  ({values})")))
    facts = [
        ("confidence", None if found.confidence is None else f"{found.confidence:.3f}"),
        ("rules", ", ".join(found.rules) or None),
        ("best photo", found.photo),
        ("best text", found.matched_text),
    ]
    for name, value in facts:
        if value is not None:
            out.print(Text(one_line(f"{name:<11} {value}")), soft_wrap=True)


def _print_map(made: "HeatMap", heatmap: Path | None) -> None:
    from retrieval.explain.deletion import DEFINITION

    tested = made.faithfulness
    out.print(Text(f"heat map    {heatmap} ({made.method}, {made.took_ms:,.0f} ms)"), soft_wrap=True)
    if tested is not None and tested.figure is None:
        out.print("faithfulness none: the score hangs on no part of the photo")
    elif tested is not None:
        out.print(f"faithfulness {tested.figure:.2f}: {DEFINITION}")
