"""What a search returns."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Hit:
    """One item in the answer to a query.

    rank: 1 is best; a later page goes on counting.
    score: what it is ranked by, higher is better: the cosine similarity, or what several legs and rules add up to;
    None where nothing was asked and all that matches is listed.
    cosine: the raw cosine similarity with what the query was compared with; None where only words were compared.
    confidence: 0 to 1, see `retrieval.confidence`; None where the collection has no calibration for such queries.
    photo: absolute path of the photo that won; where no photo was compared the item's first; None if it has none.
    photo_id: the collection's id of the photo that won; None where no photo was compared.
    matched_text: the title or text that won, where texts were compared.
    attributes: the catalogue's other columns, typed.
    legs: for a hybrid search, by leg the item's rank and score there and what they added to the score.
    rules: what synonyms, boosts and pins did to it.
    first_rank: its rank before a reranker ordered the best anew; None for one that was not among those.
    rerank_score: how well it fits by the reranker, higher is better; to be compared within one query only. None for one
    that it did not score, which kept its place.
    """

    rank: int
    item_id: str
    score: float | None
    title: str
    photo: str | None
    attributes: Mapping[str, Any] = field(default_factory=dict)
    matched_text: str | None = None
    cosine: float | None = None
    confidence: float | None = None
    legs: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    rules: tuple[str, ...] = ()
    first_rank: int | None = None
    rerank_score: float | None = None
    photo_id: int | None = None
