"""Ranked hits on a terminal."""

from collections.abc import Sequence
from pathlib import Path

from rich.table import Table
from rich.text import Text

from api.cli.formats import format_price, one_line
from retrieval.records import Hit


def hits_table(hits: Sequence[Hit]) -> Table:
    """Ranked hits that fit into 80 columns."""
    table = Table(box=None, pad_edge=False)
    table.add_column("#", justify="right", no_wrap=True)
    reranked = any(hit.first_rank is not None for hit in hits)
    if reranked:
        table.add_column("was", justify="right", no_wrap=True, style="dim")
    table.add_column("score", justify="right", no_wrap=True)
    table.add_column("id", overflow="fold", max_width=24)
    table.add_column("title")
    with_price = any(hit.attributes.get("price") is not None for hit in hits)
    if with_price:
        table.add_column("price", justify="right", no_wrap=True)
    with_rules = any(hit.rules for hit in hits)
    if with_rules:
        table.add_column("rules", overflow="fold", style="dim")
    for hit in hits:
        price = one_line(format_price(hit.attributes.get("price")))
        # As Text, because a plain string would have its [brackets] read as markup. The title alone is cut: a column
        # that must not wrap takes its width from all the others.
        title = Text(one_line(hit.title), no_wrap=True, overflow="ellipsis", style=photo_link(hit.photo))
        row = [
            Text(str(hit.rank)),
            *([Text("" if hit.first_rank is None else str(hit.first_rank))] if reranked else []),
            Text("" if hit.score is None else f"{hit.score:.3f}"),
            Text(one_line(hit.item_id)),
            title,
        ]
        rules = Text(", ".join(hit.rules))
        table.add_row(*row, *([Text(price)] if with_price else []), *([rules] if with_rules else []))
    return table


def photo_link(photo: str | None) -> str:
    """The style that makes a title open its photo, in terminals that have links."""
    return f"link {Path(photo).as_uri()}" if photo else ""
