"""Ranked hits on a terminal and as JSON."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from api.formats import format_price, one_line
from retrieval.records import Hit


def hit_json(hit: Hit) -> dict[str, Any]:
    """A hit as JSON values. Legs, rules and reranking are there only where they had a part in it."""
    value = {
        "rank": hit.rank,
        "item_id": hit.item_id,
        "score": _rounded(hit.score),
        "cosine": _rounded(hit.cosine),
        "confidence": _rounded(hit.confidence),
        "title": hit.title,
        "photo": hit.photo,
        "matched_text": hit.matched_text,
        "attributes": dict(hit.attributes),
    }
    if hit.legs:
        value["legs"] = {leg: dict(numbers) for leg, numbers in hit.legs.items()}
    if hit.rules:
        value["rules"] = list(hit.rules)
    if hit.first_rank is not None:
        value |= {"first_rank": hit.first_rank, "rerank_score": _rounded(hit.rerank_score)}
    return value


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)


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
