"""One query on one revision of a collection: which items it finds, and what is known of them."""

from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from retrieval.catalogue.queries import Modality
from retrieval.collection import Collection
from retrieval.confidence.calibration import Calibration, nothing_fits
from retrieval.encoders.base import FloatArray
from retrieval.errors import QueryError
from retrieval.filters.notes import notes
from retrieval.filters.sorting import order
from retrieval.index.base import NO_ID, IdArray
from retrieval.items import ItemTable
from retrieval.items.columns import BoolArray
from retrieval.query import Query
from retrieval.query.encode import QueryVectors
from retrieval.query.kinds import kind_of
from retrieval.rules.pins import depth_for, place_pins
from retrieval.rules.ruleset import ActiveRules, RuleSet
from retrieval.stages.boosting import boosted
from retrieval.stages.candidates import Candidates, Ranking, growing, listed
from retrieval.stages.fusion import LegName
from retrieval.stages.legs import Trace, by_rows, by_words, fused, terms_of
from retrieval.stages.rows import RowReader
from retrieval.stages.scope import Fields, Scope, groups_of, positions_of
from retrieval.stages.selection import Selection

SORTED = 1_000  # of the best hits are ordered by a field: what is less relevant would only stand in the way
LEGS: dict[str, tuple[LegName, ...]] = {
    "image": ("image",),
    "text": ("text",),
    "lexical": ("lexical",),
    "hybrid": ("image", "text", "lexical"),
}


@dataclass
class Asked:
    """fields: what the query names of the items; only with a scope that has the items' table."""

    collection: Collection
    vectors: QueryVectors
    query: Query
    ruleset: RuleSet
    rules: ActiveRules
    scope: Scope
    fields: Fields | None = None
    trace: Trace = field(default_factory=Trace)

    def __post_init__(self) -> None:
        self.reader = RowReader(self.collection)

    @property
    def table(self) -> ItemTable:
        """The items; there only where the query names a field of them, or a rule holds."""
        if self.scope.table is None:
            raise ValueError("the query needs nothing of the items")
        return self.scope.table

    @property
    def matching(self) -> BoolArray:
        """bool by item position: what passes the filter and no rule hides."""
        return np.ones(len(self.table), np.bool_) if self.scope.allowed is None else self.scope.allowed

    def vector(self, modality: Modality) -> FloatArray:
        """The query as a unit vector to compare with that modality's rows, float32 [1, dimension]."""
        return self.vectors.of(modality, self.ruleset)

    def legs(self) -> dict[LegName, Ranking]:
        """The rankings that `by` names, of the items in scope."""
        made: dict[LegName, Ranking] = {}
        for leg in LEGS[self.query.by]:
            if leg == "lexical":
                terms = terms_of(self.query.words, self.ruleset)
                made[leg] = by_words(self.collection, self.scope, terms, self.trace)
            else:
                made[leg] = by_rows(self.reader, self.scope, leg, self.vector(leg), self.trace)
        return made

    def ranking(self) -> Ranking:
        """All items in scope, the best first, boosts included."""
        legs = self.legs()
        ranking = fused(legs) if len(legs) > 1 else next(iter(legs.values()))
        if not self.rules.active_boosts:
            return ranking
        return boosted(ranking, self.table, self.rules.boosts(self.table), self.scope.allowed)

    def selection(self) -> Selection:
        """How the ranking becomes hits."""
        groups = None
        if self.query.group:
            by_position = groups_of(self.table, self.query.group)

            def groups(keys: IdArray) -> IdArray:
                return np.append(by_position, -1)[positions_of(self.table, keys)]

        return Selection(
            groups=groups,
            duplicates=self.query.duplicates,
            diversity=self.query.diversity,
            without=self.vectors.named_items(),
            keep=None if self.query.min_confidence is None else self._is_sure,
        )

    def page(self) -> tuple[Candidates, frozenset[int]]:
        """The candidates that become hits, and the keys of those that a rule put on their place."""
        query = self.query
        end = query.offset + query.k
        if not query.parts:
            return self._browsed(end), frozenset()
        if query.sort:
            return self._sorted(end), frozenset()
        pins = self.rules.pinned(self.table) if self.rules.active_pins else ()
        wanted = depth_for(query.k, query.offset, len(pins))
        chosen = self.selection().of(growing(self.ranking(), query.k), wanted, self.looks)
        if not pins:
            return _from(chosen, query.offset, end), frozenset()
        return self._with_pins(chosen, pins)

    def _browsed(self, end: int) -> Candidates:
        """All that matches, in the order asked for or that of the collection."""
        self.trace.note("filter", "scan", True)
        positions = np.flatnonzero(self.matching)
        if self.query.sort:
            positions = order(self.table, ",".join(self.query.sort), positions, end)
        candidates = self.selection().of(iter([listed(self.table.keys[positions])]), end, self.looks)
        return _from(candidates, self.query.offset, end)

    def _sorted(self, end: int) -> Candidates:
        """The best hits in the order of a field."""
        best = self.selection().of(growing(self.ranking(), SORTED), SORTED, self.looks)
        at = positions_of(self.table, best.keys)
        wanted = order(self.table, ",".join(self.query.sort), at[at >= 0])
        place = np.argsort(at)
        return _from(best.take(place[np.searchsorted(at[place], wanted)]), self.query.offset, end)

    def _with_pins(self, chosen: Candidates, pins: tuple[tuple[int, int], ...]) -> tuple[Candidates, frozenset[int]]:
        keys = self.table.keys
        by_key = [(int(keys[at]), place) for at, place in pins if self.matching[at]]
        placed = place_pins(chosen.keys.tolist(), by_key, k=self.query.k, offset=self.query.offset)
        only = np.zeros(len(keys), np.bool_)
        only[[at for at, _ in pins]] = True
        mine = replace(self, scope=Scope(self.scope.view, self.table, only & self.matching), trace=Trace())
        scored = chosen.followed_by(mine.ranking()(len(by_key))) if by_key else chosen
        missing = np.setdiff1d([one.key for one in placed], scored.keys)
        scored = scored.followed_by(listed(missing)) if len(missing) else scored
        at = {key: i for i, key in enumerate(scored.keys.tolist())}
        page = scored.take(np.array([at[one.key] for one in placed], np.int64))
        return page, frozenset(one.key for one in placed if one.pinned)

    def looks(self, candidates: Candidates) -> FloatArray:
        """What each candidate looks like: its best photo's vector, or its text's where no photo was compared."""
        vectors = np.zeros((len(candidates), self.collection.encoder.dimension), np.float32)
        owners: dict[Modality, IdArray] = {"text": candidates.texts, "image": candidates.photos}
        for modality, wanted in owners.items():
            there = np.flatnonzero(wanted != NO_ID)
            ids, stored = self.collection.vectors(modality, np.unique(wanted[there]).tolist())
            if len(ids):
                at = np.clip(np.searchsorted(ids, wanted[there]), 0, len(ids) - 1)
                found = ids[at] == wanted[there]
                vectors[there[found]] = stored[at[found]]
        return vectors

    @cached_property
    def calibrated(self) -> dict[Modality, tuple[Calibration, FloatArray]]:
        """What turns cosines into confidences, with the query's vector, by what was compared."""
        made = {}
        for leg in LEGS[self.query.by] if self.query.parts else ():
            if leg == "lexical":
                continue
            kind = kind_of(self.query, leg)
            calibration = self.scope.view.calibrations.get((leg, kind)) if kind else None
            if calibration is not None:
                made[leg] = (calibration, self.vector(leg)[0])
        return made

    def confidences(self, candidates: Candidates) -> FloatArray:
        """float32 [n], NaN where it is not known. Of several legs the surest counts."""
        best = np.full(len(candidates), np.nan, np.float32)
        for leg, (calibration, vector) in self.calibrated.items():
            cosines = candidates.legs[leg][:, 1] if leg in candidates.legs else candidates.cosines
            known = ~np.isnan(cosines)
            best[known] = np.fmax(best[known], calibration.confidence(vector, cosines[known]))
        return best

    def _is_sure(self, candidates: Candidates) -> BoolArray:
        if not self.calibrated:
            raise QueryError(
                "how sure a hit is, is not known for this query",
                hint="leave min_confidence out, or run catalens index on one of the collection's sources again",
            )
        return np.nan_to_num(self.confidences(candidates)) >= np.float32(self.query.min_confidence or 0)

    def nothing_fits(self, chosen: Candidates) -> bool | None:
        """Whether even the best hit is no better than what nonsense finds; None where that is not known."""
        if not self.calibrated or self.query.offset or not len(chosen):
            return None
        if "lexical" in chosen.legs and (chosen.legs["lexical"][:, 0] > 0).any():
            return False
        sure = self.confidences(chosen)
        return nothing_fits(float(np.nanmax(sure))) if (~np.isnan(sure)).any() else True

    def matched(self) -> int:
        """How many items could have been hits."""
        if not self.query.parts:
            return int(np.count_nonzero(self.matching))
        compared: list[Modality] = [leg for leg in LEGS[self.query.by] if leg != "lexical"] or ["text"]
        if self.scope.table is not None:
            return self.scope.count(self.scope.table, tuple(compared))
        return max(self.collection.countable(self.scope.view)[modality] for modality in compared)

    def notes(self) -> tuple[str, ...]:
        """What the filter asks for that no item has, and what rules could not do."""
        asked = self.fields.filter if self.fields else None
        missing = notes(asked, self.table) if asked and not self.matching.any() else ()
        return (*missing, *(self.rules.notes(self.table) if self.rules and self.scope.table is not None else ()))

    def touched(self, chosen: Candidates, pinned: frozenset[int], i: int) -> tuple[str, ...]:
        """Which rules touched the candidate at that place, and by how much."""
        if not self.rules:
            return ()
        if self.scope.table is None:  # then only synonyms hold
            return self.rules.synonyms_used
        key = chosen.keys[i : i + 1]
        at = int(positions_of(self.table, key)[0])
        return self.rules.touched(self.table, at, pinned=int(key[0]) in pinned) if at >= 0 else ()


def _from(candidates: Candidates, start: int, end: int) -> Candidates:
    return candidates.take(np.arange(min(start, len(candidates)), min(end, len(candidates))))
