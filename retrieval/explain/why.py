"""Why one item is where it is in the answer to a query, or where it fell out of it."""

from dataclasses import dataclass
from typing import Any

from retrieval.explain.clauses import Clause
from retrieval.explain.decision import decided
from retrieval.explain.inquiry import Inquiry
from retrieval.explain.outcome import Outcome
from retrieval.explain.ranks import Place
from retrieval.query import Query
from retrieval.query.json_form import shown
from retrieval.search import Searcher


@dataclass(frozen=True)
class Explanation:
    """What search makes of one item. Immutable.

    query: as JSON values. places: by leg that the query is compared with, the item's place by exact scores; a leg in
    which it has nothing to compare is missing. clauses: of the filter. confidence: 0 to 1, None without a calibration.
    photo: path of its best photo, or its first where none was compared; matched_text: its best text, where compared.
    items: how many the collection has; matching: how many pass the filter. rules: those that touch the item.
    """

    query: dict[str, Any]
    item_id: str
    title: str
    outcome: Outcome
    places: tuple[Place, ...]
    clauses: tuple[Clause, ...]
    items: int
    matching: int
    confidence: float | None = None
    photo: str | None = None
    matched_text: str | None = None
    rules: tuple[str, ...] = ()

    @property
    def is_hit(self) -> bool:
        """Is the item in the answer?"""
        return self.outcome.step == "hit"

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "query": self.query,
            "item_id": self.item_id,
            "title": self.title,
            "outcome": self.outcome.to_json(),
            "legs": {each.leg: each.to_json() for each in self.places},
            "filter": [clause.to_json() for clause in self.clauses],
            "items": self.items,
            "matching": self.matching,
            "confidence": self.confidence,
            "photo": self.photo,
            "matched_text": self.matched_text,
            "rules": list(self.rules),
        }


def explain(searcher: Searcher, query: Query, item_id: str) -> Explanation:
    """What became of an item in the search for a query.

    Compares every stored vector, and searches up to three times: seconds with a million items.
    Raises QueryError, with ids that look like it, for an unknown item, and what `Searcher.answer` raises.
    """
    return searcher.collection.at_one_revision(lambda: _explained(Inquiry(searcher, query, item_id)))


def _explained(inquiry: Inquiry) -> Explanation:
    title, photo, matched_text = inquiry.looks()
    return Explanation(
        query=shown(inquiry.query),
        item_id=inquiry.item_id,
        title=title,
        outcome=decided(inquiry),
        places=inquiry.places,
        clauses=inquiry.clauses,
        items=len(inquiry.table),
        matching=int(inquiry.matching.sum()),
        confidence=inquiry.confidence,
        photo=photo,
        matched_text=matched_text,
        rules=inquiry.rules_touching(),
    )
