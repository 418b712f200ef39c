"""What must be known of one item and one query to say why. Each fact is found out when it is first asked for."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np

from retrieval.arrays import FloatArray, IdArray
from retrieval.catalogue.queries import Modality
from retrieval.errors import CollectionChanged
from retrieval.explain.clauses import Clause, clauses, places_of, value_at
from retrieval.explain.ranks import BestRows, Place, best_rows, place
from retrieval.index.base import NO_ID
from retrieval.items.columns import BoolArray
from retrieval.query import MAX_K, Query
from retrieval.records import Hit
from retrieval.search import Answer, Searcher
from retrieval.stages.asked import LEGS
from retrieval.stages.candidates import listed
from retrieval.stages.legs import Trace, by_words, terms_of
from retrieval.stages.scope import Fields, Scope, positions_of

DEEP = 1_000  # hits looked through for an item that is behind the last one: what search itself would rank it as


class Inquiry:
    """One item, one query, one revision.

    Raises QueryError for an unknown item, FilterError for a filter that does not fit; here and later CollectionChanged
    when the collection is written to meanwhile.
    """

    def __init__(self, searcher: Searcher, query: Query, item_id: str) -> None:
        self.searcher, self.query, self.item_id = searcher, query, item_id
        self.collection = searcher.collection
        self.key = self.collection.item_key(item_id)
        self.fields = Fields.of(query)
        self.asked = searcher.ask(query, self.fields, with_items=True)
        self.view, self.table = self.asked.scope.view, self.asked.table
        self.position = int(positions_of(self.table, np.array([self.key]))[0])
        if self.position == NO_ID:
            raise CollectionChanged(f"the item '{item_id}' was deleted meanwhile", hint="explain again")
        self.end = query.offset + query.k

    @property
    def matching(self) -> BoolArray:
        """Which items may be hits, by position: bool [n]. They pass the filter and no rule hides them."""
        return self.asked.matching

    @cached_property
    def clauses(self) -> tuple[Clause, ...]:
        """The parts of the filter, for this item."""
        return clauses(self.fields.filter, self.table, self.position) if self.fields.filter else ()

    @cached_property
    def rows(self) -> Mapping[Modality, BestRows]:
        """The best photo or text of every item, by what the query is compared with."""
        wanted: list[Modality] = [leg for leg in LEGS[self.query.by] if leg != "lexical"] if self.query.parts else []
        return {
            modality: best_rows(self.collection, self.view, self.table, modality, self.asked.vector(modality)[0])
            for modality in wanted
        }

    @cached_property
    def places(self) -> tuple[Place, ...]:
        """By exact scores, in each leg that has anything of the item to compare."""
        found = [place(rows, leg, self.position, self.matching) for leg, rows in self.rows.items()]
        if self.query.words and "lexical" in LEGS[self.query.by]:
            found.append(self._by_words())
        return tuple(each for each in found if each is not None)

    def _by_words(self) -> Place | None:
        terms = terms_of(self.query.words, self.asked.ruleset)
        every = Scope(self.view, self.table)
        found = by_words(self.collection, every, terms, Trace())(len(self.table))
        at = np.flatnonzero(found.keys == self.key)
        if not len(at):
            return None
        positions = positions_of(self.table, found.keys)
        self._same_revision(self.collection.view().revision, positions)
        may = self.matching[positions]
        mine = int(at[0])
        return Place(
            leg="lexical",
            score=float(found.scores[mine]),
            rank=mine + 1,
            of=len(found),
            matching_rank=1 + int(may[:mine].sum()) if may[mine] else None,
            matching=int(may.sum()),
        )

    @cached_property
    def answer(self) -> Answer:
        """All hits up to the last that was asked for, those before the offset too."""
        return self._answer(k=min(self.end, MAX_K))

    @property
    def hits(self) -> tuple[Hit, ...]:
        """Those of the answer."""
        return self.answer.hits

    @cached_property
    def deep(self) -> tuple[Hit, ...]:
        """Hits as they would go on."""
        return self._answer(k=min(max(DEEP, self.end), MAX_K)).hits

    def _answer(self, **others: Any) -> Answer:
        answer = self.searcher.answer(replace(self.query, offset=0, facets=(), **others))
        self._same_revision(answer.revision)
        return answer

    def _same_revision(self, revision: int, positions: IdArray | None = None) -> None:
        """Was that found in what this is about? positions: of items that were found, NO_ID for an unknown one."""
        known = positions is None or bool((positions != NO_ID).all())
        if revision != self.view.revision or not known:
            raise CollectionChanged(
                f"{self.collection.folder} was changed while the item '{self.item_id}' was looked at",
                hint="explain again",
            )

    def without(self, **others: Any) -> Hit | None:
        """The item as a hit of the query with these fields changed."""
        return self.among(self._answer(k=min(self.end, MAX_K), **others).hits)

    def among(self, hits: Sequence[Hit]) -> Hit | None:
        """The item, if it is one of these hits."""
        return next((hit for hit in hits if hit.item_id == self.item_id), None)

    def rules_touching(self) -> tuple[str, ...]:
        """Those that do something to this item, by their place in the rules file."""
        hit = self.among(self.hits)
        return hit.rules if hit else self.asked.rules.touched(self.table, self.position)

    @cached_property
    def confidence(self) -> float | None:
        """Of the item, whether it is a hit or not; None where it is not known."""
        scores = {each.leg: each.score for each in self.places}
        mine = listed([self.key])
        if len(LEGS[self.query.by]) == 1:
            cosines = np.array([scores.get(self.query.by, np.nan)], np.float32)
            mine = replace(mine, cosines=cosines)
        else:
            legs: dict[str, FloatArray] = {
                leg: np.array([[0, scores.get(leg, np.nan), 0]], np.float32) for leg in LEGS[self.query.by]
            }
            mine = replace(mine, legs=legs)
        confidence = float(self.asked.confidences(mine)[0])
        return None if np.isnan(confidence) else confidence

    def looks(self) -> tuple[str, str | None, str | None]:
        """Title, path of the best photo (or the first), and the best text where texts were compared."""
        item = self.collection.items([self.key]).get(self.key)
        if item is None:
            raise CollectionChanged(f"the item '{self.item_id}' was deleted meanwhile", hint="explain again")
        best = {each.leg: each.row for each in self.places if each.row != NO_ID}
        photo = self.collection.rows("image", [best["image"]]).get(best["image"]) if "image" in best else None
        text = self.collection.rows("text", [best["text"]]).get(best["text"]) if "text" in best else None
        return item.title, photo.photo if photo else item.photo, text.matched_text if text else None

    @property
    def are_moved(self) -> bool:
        """Does anything but the score decide on the order of hits?"""
        rules = self.asked.rules
        return bool(self.query.rerank or self.query.sort or rules.active_boosts or rules.active_pins)

    def likeness(self, hits: Sequence[Hit]) -> FloatArray:
        """Cosines float32 [hits] of what this item looks like with what they look like, 0 where there is nothing."""
        positions = [self.position, *self.positions(hits)]
        for modality, rows in self.rows.items():
            owners = rows.owners[positions]
            if owners[0] == NO_ID:
                continue
            ids, stored = self.collection.vectors(modality, np.unique(owners[owners != NO_ID]).tolist())
            vectors = np.zeros((len(owners), self.collection.encoder.dimension), np.float32)
            for number, owner in enumerate(owners):
                at = np.flatnonzero(ids == owner)
                vectors[number] = stored[at[0]] if len(at) else 0
            cosines: FloatArray = vectors[1:] @ vectors[0]
            return cosines
        return np.zeros(len(hits), np.float32)

    def group_of(self, position: int) -> Any:
        """The value by which an item is grouped, None for none."""
        return value_at(self.table, self.query.group, position) if self.query.group else None

    def positions(self, hits: Sequence[Hit]) -> list[int]:
        """Where the items of hits stand in the table, all of which are looked up together."""
        found = places_of(self.table, [hit.item_id for hit in hits])
        self._same_revision(self.view.revision, found)
        return [int(position) for position in found]
