"""A query in few words, for the caption of a picture."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from retrieval.query import Query


def caption(query: "Query") -> str:
    """Its parts: `red shoes + 0.5 × wool + item A-1`."""
    from retrieval.query.json_form import shown

    return " + ".join(_said(part) for part in shown(query)["parts"])


def _said(part: dict[str, Any]) -> str:
    weight = f"{part['weight']:g} × " if "weight" in part else ""
    for name in ("words", "image", "item", "vector"):
        if name in part:
            value = Path(part[name]).name if name == "image" else str(part[name])
            return weight + (value if name == "words" else f"{name} {value}")
    return weight
