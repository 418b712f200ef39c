"""One query on one revision of a collection: which items it finds, and what is known of them."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from retrieval.arrays import FloatArray, IdArray
from retrieval.catalogue.queries import Modality
from retrieval.collection import Collection
from retrieval.confidence.calibration import Calibration
from retrieval.errors import QueryError
from retrieval.index.base import NO_ID
from retrieval.items import ItemTable
from retrieval.items.columns import BoolArray
from retrieval.query import Query
from retrieval.query.encode import QueryVectors
from retrieval.query.kinds import kind_of
from retrieval.rules.ruleset import ActiveRules, RuleSet
from retrieval.stages.boosting import boosted
from retrieval.stages.candidates import Candidates, Ranking
from retrieval.stages.fusion import LegName
from retrieval.stages.legs import Trace, by_rows, by_words, fused, terms_of
from retrieval.stages.reranking import Reranking
from retrieval.stages.rows import RowReader
from retrieval.stages.scope import Fields, Scope, groups_of, positions_of
from retrieval.stages.selection import Selection

LEGS: dict[str, tuple[LegName, ...]] = {
    "image": ("image",),
    "text": ("text",),
    "lexical": ("lexical",),
    "hybrid": ("image", "text", "lexical"),
}


@dataclass
class Asked:
    """All that a query needs to be answered, at the revision of the scope's view.

    vectors: the query's parts, encoded when they are asked for. ruleset: the collection's rules, or others to try;
    rules: those of them that hold for this query. fields: what the query names of the items; only with a scope that
    has the items' table. trace: how the legs were searched, filled in on the way. reranking: None where none is
    asked for.
    """

    collection: Collection
    vectors: QueryVectors
    query: Query
    ruleset: RuleSet
    rules: ActiveRules
    scope: Scope
    fields: Fields | None = None
    trace: Trace = field(default_factory=Trace)
    reranking: Reranking | None = None

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
        """All items in scope, the best first, boosts included, the best of them reranked if that is asked for."""
        ranking = self._first_stage()
        return self.reranking.over(ranking) if self.reranking else ranking

    def _first_stage(self) -> Ranking:
        """All items in scope, boosts included.

        With a least confidence it ends where no item that is sure can follow: in each leg confidence falls with the
        cosine.
        """
        legs, may_follow = self.legs(), dict[LegName, bool]()
        if self.query.min_confidence is not None:
            self._watch(legs, may_follow)

        def ended() -> bool:
            return bool(may_follow) and not any(may_follow.values())

        only = next(iter(legs.values()))
        ranking = fused(legs, self.trace, ended) if len(legs) > 1 else _ending(only, ended)
        if not self.rules.active_boosts:
            return ranking
        return boosted(ranking, self.table, self.rules.boosts(self.table), self.scope.allowed)

    def _watch(self, legs: dict[LegName, Ranking], may_follow: dict[LegName, bool]) -> None:
        """Have the legs say in `may_follow`, each time, whether items that are sure may follow what they gave."""
        if not self.calibrated:
            raise QueryError(
                "how sure a hit is, is not known for this query",
                hint="leave min_confidence out: words, pictures and items with positive weights have one, once "
                "catalens index has made a calibration",
            )
        for leg in self.calibrated:
            legs[leg] = self._watched(leg, legs[leg], may_follow)

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
            groups=self.groups(),
            duplicates=self.query.duplicates,
            diversity=self.query.diversity,
            without=self.vectors.named_items(),
            keep=None if self.query.min_confidence is None or not self.query.parts else self._is_sure,
        )

    def groups(self) -> Callable[[IdArray], IdArray] | None:
        """The group of each item by key, negative for none; None where the query does not group."""
        if self.query.group is None:
            return None
        by_position = np.append(groups_of(self.table, self.query.group), -1)
        return lambda keys: by_position[positions_of(self.table, keys)]

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


def _ending(ranking: Ranking, ended: Callable[[], bool]) -> Ranking:
    """The ranking of one leg, complete as soon as nothing that is wanted can follow what it gave."""

    def best(n: int) -> Candidates:
        found = ranking(n)
        return replace(found, complete=found.complete or ended())

    return best
