"""One query on one revision of a collection: which items it finds, and what is known of them."""

from collections.abc import Callable
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
from retrieval.stages.candidates import GROWTH, Candidates, Ranking, growing, listed
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
        """All items in scope, the best first, boosts included.

        With a least confidence it ends where no item that is sure can follow: in each leg confidence falls with the
        cosine.
        """
        legs = self.legs()
        sure = self._sure_legs(legs) if self.query.min_confidence is not None else None
        ranking = fused(legs, self.trace) if len(legs) > 1 else next(iter(legs.values()))
        if sure is not None:
            ranking = _ended_by(ranking, sure)
        if not self.rules.active_boosts:
            return ranking
        return boosted(ranking, self.table, self.rules.boosts(self.table), self.scope.allowed)

    def _sure_legs(self, legs: dict[LegName, Ranking]) -> dict[LegName, bool]:
        """By leg whether items that are sure may follow what it gave last; it is kept up to date by the legs."""
        if not self.calibrated:
            raise QueryError(
                "how sure a hit is, is not known for this query",
                hint="leave min_confidence out: words, pictures and items with positive weights have one, once catalens index "
                "has made a calibration",
            )
        may_follow: dict[LegName, bool] = {}
        for leg in self.calibrated:
            legs[leg] = self._watched(leg, legs[leg], may_follow)
        return may_follow

    def _watched(self, leg: Modality, ranking: Ranking, may_follow: dict[LegName, bool]) -> Ranking:
        calibration, vector = self.calibrated[leg]

        def best(n: int) -> Candidates:
            found = ranking(n)
            last = calibration.confidence(vector, found.cosines[-1:])
            may_follow[leg] = not found.complete and bool((last >= np.float32(self.query.min_confidence or 0)).any())
            return found

        return best

    def selection(self) -> Selection:
        """How the ranking becomes hits."""
        return Selection(
            groups=self._groups(),
            duplicates=self.query.duplicates,
            diversity=self.query.diversity,
            without=self.vectors.named_items(),
            keep=None if self.query.min_confidence is None or not self.query.parts else self._is_sure,
        )

    def _groups(self) -> Callable[[IdArray], IdArray] | None:
        if not self.query.group:
            return None
        by_position = np.append(groups_of(self.table, self.query.group), -1)
        return lambda keys: by_position[positions_of(self.table, keys)]

    def page(self) -> tuple[Candidates, frozenset[int]]:
        """The candidates that become hits, and the keys of those that a rule put on their place."""
        query = self.query
        end = query.offset + query.k
        if not query.parts:
            return self._browsed(end), frozenset()
        if query.sort:
            return self._sorted(end), frozenset()
        pins = self._pins()
        wanted = depth_for(query.k, query.offset, len(pins))
        chosen = self.selection().of(growing(self.ranking(), query.k), wanted, self.looks)
        if not pins:
            return _from(chosen, query.offset, end), frozenset()
        return self._with_pins(chosen, pins)

    def _browsed(self, end: int) -> Candidates:
        """All that matches, in the order asked for or that of the collection."""
        self.trace.note("filter", "scan", True, np.empty(0, np.float32))
        positions = np.flatnonzero(self.matching)
        if self.query.sort:
            positions = order(self.table, ",".join(self.query.sort), positions)
        candidates = self.selection().of(iter([listed(self.table.keys[positions])]), end, self.looks)
        return _from(candidates, self.query.offset, end)

    def _sorted(self, end: int) -> Candidates:
        """The best SORTED hits in the order of a field, behind them the next best in that order, and so on."""
        done, wanted = listed([]), SORTED
        while True:
            best = self.selection().of(growing(self.ranking(), SORTED), wanted, self.looks)
            further = best.take(~np.isin(best.keys, done.keys))
            at = positions_of(self.table, further.keys)
            place = np.argsort(at)
            in_order = order(self.table, ",".join(self.query.sort), at)
            done = done.followed_by(further.take(place[np.searchsorted(at[place], in_order)]))
            if len(done) >= end or len(best) < wanted:
                return _from(done, self.query.offset, end)
            wanted *= GROWTH

    def _pins(self) -> tuple[tuple[int, int], ...]:
        """Item key and place of what rules put on places: what passes the filter and is not named by the query."""
        if not self.rules.active_pins:
            return ()
        named = self.vectors.named_items()
        shown = self.matching if named is None else self.matching & ~np.isin(self.table.keys, named)
        return tuple((int(self.table.keys[at]), place) for at, place in self.rules.pinned(self.table) if shown[at])

    def _with_pins(self, chosen: Candidates, pins: tuple[tuple[int, int], ...]) -> tuple[Candidates, frozenset[int]]:
        """The page with the pinned items on their places; each stands for its group there."""
        pinned = np.array([key for key, _ in pins], np.int64)
        groups = self._groups()
        if groups is not None:
            taken = groups(pinned)
            same = np.isin(groups(chosen.keys), taken[taken >= 0]) & ~np.isin(chosen.keys, pinned)
            chosen = chosen.take(~same)
        placed = place_pins(chosen.keys.tolist(), pins, k=self.query.k, offset=self.query.offset)
        missing = np.setdiff1d([one.key for one in placed], chosen.keys)
        if len(missing):
            chosen = chosen.followed_by(self._apart(missing))
        at = {key: i for i, key in enumerate(chosen.keys.tolist())}
        page = chosen.take(np.array([at[one.key] for one in placed], np.int64))
        return page, frozenset(one.key for one in placed if one.pinned)

    def _apart(self, keys: IdArray) -> Candidates:
        """Items that were not found, with their scores where one leg gives them: fused alone, all would be perfect."""
        if len(LEGS[self.query.by]) > 1:
            return listed(keys)
        only = np.zeros(len(self.table), np.bool_)
        only[positions_of(self.table, keys)] = True
        query, scope = replace(self.query, min_confidence=None), Scope(self.scope.view, self.table, only)
        mine = replace(self, query=query, scope=scope, trace=Trace())
        return mine.ranking()(len(keys)).followed_by(listed(keys))

    def looks(self, candidates: Candidates) -> FloatArray:
        """What each candidate looks like: its best photo's vector, or its first's, or its text's if it has no photo."""
        photos = candidates.photos.copy()
        bare = np.flatnonzero(photos == NO_ID)
        first = self.collection.first_photos(candidates.keys[bare].tolist())
        photos[bare] = [first.get(key, NO_ID) for key in candidates.keys[bare].tolist()]
        vectors = np.zeros((len(candidates), self.collection.encoder.dimension), np.float32)
        owners: dict[Modality, IdArray] = {"text": np.where(photos == NO_ID, candidates.texts, NO_ID), "image": photos}
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
        return np.nan_to_num(self.confidences(candidates)) >= np.float32(self.query.min_confidence or 0)

    def nothing_fits(self) -> bool | None:
        """Whether even the best of all that was searched is no better than what nonsense finds; None if not known."""
        if not self.calibrated or not self.trace.best:
            return None
        if "lexical" in self.trace.best:
            return False
        best = [
            float(calibration.confidence(vector, np.array([self.trace.best[leg]], np.float32))[0])
            for leg, (calibration, vector) in self.calibrated.items()
            if leg in self.trace.best
        ]
        return nothing_fits(max(best)) if best else None

    @cached_property
    def words_found(self) -> IdArray:
        """Keys of all items in scope that have any of the words, ascending."""
        terms = terms_of(self.query.words, self.ruleset)
        return np.sort(self.collection.lexical_matches(terms, None, self.scope.key_mask()).keys)

    @property
    def compared(self) -> tuple[Modality, ...]:
        """What the query is compared with: the rows of these."""
        return tuple(leg for leg in LEGS[self.query.by] if leg != "lexical")

    def counted(self) -> BoolArray:
        """bool by item position: what matched."""
        if not self.query.parts:
            return self.matching
        if self.query.by == "lexical":
            found = np.zeros(len(self.table), np.bool_)
            at = positions_of(self.table, self.words_found)
            found[at[at >= 0]] = True
            return found
        found = self.matching & self.table.having(self.compared[0])
        for modality in self.compared[1:]:
            found |= self.matching & self.table.having(modality)
        named = self.vectors.named_items()
        if named is not None:
            at = positions_of(self.table, named)
            found[at[at >= 0]] = False
        return found

    def matched(self) -> int:
        """How many items could have been hits."""
        if self.scope.table is not None:
            return int(np.count_nonzero(self.counted()))
        if self.query.by == "lexical":
            return len(self.words_found)
        named = self.vectors.named_items()
        keys = [] if named is None else np.unique(named).tolist()
        not_shown = sum(self.collection.has_any(key, self.compared) for key in keys)
        return self.collection.countable(self.scope.view, self.compared) - not_shown

    def notes(self) -> tuple[str, ...]:
        """What the filter asks for that no item has, and what rules could not do."""
        asked = self.fields.filter if self.fields else None
        missing = notes(asked, self.table) if asked and not self.matching.any() else ()
        return (*missing, *(self.rules.notes(self.table) if self.rules and self.scope.table is not None else ()))

    def touched(self, chosen: Candidates, pinned: frozenset[int], i: int) -> tuple[str, ...]:
        """Which rules touched the candidate at that place, and by how much."""
        key = chosen.keys[i : i + 1]
        at = int(positions_of(self.table, key)[0]) if self.rules and self.scope.table is not None else -1
        mine = self.rules.touched(self.table, at, pinned=int(key[0]) in pinned) if at >= 0 else ()
        return (*self.synonyms, *mine)

    @cached_property
    def synonyms(self) -> tuple[str, ...]:
        """Which synonyms the query is searched with."""
        used = (path for words, _ in self.query.words for path in self.ruleset.for_query(words).synonyms_used)
        return tuple(dict.fromkeys(used)) if self.ruleset else ()


def _ended_by(ranking: Ranking, may_follow: dict[LegName, bool]) -> Ranking:
    """Complete as soon as no leg says that anything may follow."""

    def best(n: int) -> Candidates:
        found = ranking(n)
        return replace(found, complete=found.complete or not any(may_follow.values()))

    return best


def _from(candidates: Candidates, start: int, end: int) -> Candidates:
    return candidates.take(np.arange(min(start, len(candidates)), min(end, len(candidates))))
