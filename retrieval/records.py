"""What a search returns."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Hit:
    """One item in the answer to a query.

    rank: 1 is best.
    score: cosine similarity, higher is better.
    photo: absolute path of the photo that won; for a text direction the item's first photo; None if it has none.
    matched_text: for a text direction, the text that won.
    attributes: the catalogue's other columns, typed.
    """

    rank: int
    item_id: str
    score: float
    title: str
    photo: str | None
    attributes: Mapping[str, Any] = field(default_factory=dict)
    matched_text: str | None = None
