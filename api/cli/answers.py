"""Answers for a person at a terminal, and for the program behind a pipe."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from api.cli.formats import escaped, one_line
from retrieval.records import Hit

if TYPE_CHECKING:
    from retrieval.filters.facets import Facet
    from retrieval.query import Query
    from retrieval.search import Answer


def tab_separated(hit: Hit) -> str:
    """Rank, score, id, title and photo of a hit."""
    score = "" if hit.score is None else f"{hit.score:.4f}"
    return "\t".join(map(escaped, (str(hit.rank), score, hit.item_id, hit.title, hit.photo or "")))


def outcome(answer: "Answer") -> str:
    """One line: how many hits of how many, how they were searched and how long it took."""
    exact = "exact" if answer.exact else "approximate"
    plan = "" if answer.plan == exact else f" ({answer.plan})"
    reranked = ""
    if answer.reranked and answer.reranked["scored"]:
        reranked = f", the best {answer.reranked['scored']:,} reranked in {answer.reranked['ms']:,.0f} ms"
    elif answer.reranked and not answer.notes:  # a note says it, but where it was right to leave it
        reranked = f", not reranked: {answer.reranked['skipped']}"
    return f"{len(answer.hits)} of {answer.matched:,} items, {exact}{plan}, {answer.took_ms:,.0f} ms{reranked}"


def messages(answer: "Answer", query: "Query", *, with_facets: bool) -> Iterator[str]:
    """What a person should be told about an answer. with_facets: whether the facets were shown."""
    if answer.facets and not with_facets:
        yield "Facets are shown on a terminal, and with --json."
    if answer.nothing_fits:
        yield "Nothing fits: the best hit is no better than what words without meaning find here."
    yield from (f"Note: {note}" for note in answer.notes)
    if answer.hits:
        return
    if query.offset and answer.matched:
        yield f"No hits from place {query.offset + 1:,} on. The first page has --offset 0."
    elif query.min_confidence is not None and answer.matched:
        yield "No hit is sure enough. Lower --min-confidence, or leave it out."
    elif query.by == "lexical" and query.parts:
        yield "No title or text that may be shown has any of these words. By meaning: --by image or --by text"
    elif query.filter:
        yield "No item that may be shown passes the filter."
    else:
        yield "The collection is empty, or rules hide all of it. Fill it with: catalens index YOUR-FOLDER"


def facet_table(facet: "Facet") -> Table:
    """The counts of one field."""
    table = Table(box=None, pad_edge=False)
    table.add_column(Text(one_line(facet.field)))
    table.add_column("items", justify="right", no_wrap=True)
    for value in facet.values:
        table.add_row(Text(one_line(str(value.value))), f"{value.count:,}")
    for each in facet.ranges:
        table.add_row(_range_text(each.low, each.high), f"{each.count:,}")
    if facet.distinct > len(facet.values):
        table.add_row(Text(f"{facet.distinct - len(facet.values):,} further values", style="dim"), "")
    if facet.missing:
        table.add_row(Text("none", style="dim"), f"{facet.missing:,}")
    return table


def _range_text(low: float | None, high: float | None) -> str:
    if low is None:
        return "all" if high is None else f"under {high:.10g}"
    return f"{low:.10g} or more" if high is None else f"{low:.10g} to under {high:.10g}"
