"""The ways to compare a query with the items, each a ranking: by photos, by texts, by words, or by all of them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from retrieval import lexical
from retrieval.arrays import FloatArray, IdArray
from retrieval.catalogue.queries import Modality
from retrieval.collection import Collection
from retrieval.index.base import NO_ID
from retrieval.rules.ruleset import RuleSet
from retrieval.stages import fusion
from retrieval.stages.candidates import Candidates, Ranking, items_of_rows
from retrieval.stages.fusion import Leg, LegName
from retrieval.stages.rows import RowReader
from retrieval.stages.scope import Scope


@dataclass
class Trace:
    """How the legs were searched.

    plans: by leg the plan of its last search. exact: whether all that was done gives certainly the best.
    best: by leg the highest score that it found; missing where it found nothing.
    """

    plans: dict[str, str] = field(default_factory=dict)
    exact: bool = True
    best: dict[str, float] = field(default_factory=dict)

    def note(self, leg: str, plan: str, exact: bool, scores: FloatArray) -> None:
        """Keep what a leg did and found, best first."""
        self.plans[leg] = plan
        self.exact = self.exact and exact
        if len(scores):
            self.best[leg] = float(scores[0])

    @property
    def plan(self) -> str:
        """One plan, or one for each leg."""
        if len(self.plans) == 1:
            return next(iter(self.plans.values()))
        return ", ".join(f"{leg}: {plan}" for leg, plan in self.plans.items())


def by_rows(reader: RowReader, scope: Scope, modality: Modality, vector: FloatArray, trace: Trace) -> Ranking:
    """Items by their best photo or text. vector: float32 unit [1, dimension]."""
    rows, allowed = scope.view.of(modality), scope.mask(modality)

    def best(n: int) -> tuple[IdArray, FloatArray]:
        found = rows.search(vector, n, lambda ids: reader.collection.vectors(modality, ids), allowed)
        there = found.ids[0] != NO_ID
        trace.note(modality, found.plan.name, found.plan.exact, found.scores[0][there])
        return found.ids[0][there], found.scores[0][there]

    return items_of_rows(best, lambda ids: scope.keys_of(reader, modality, ids), len(rows), modality)


def by_words(collection: Collection, scope: Scope, terms: Sequence[lexical.Term], trace: Trace) -> Ranking:
    """Items by the words of their titles and texts (BM25)."""
    allowed = scope.key_mask()

    def best(n: int) -> Candidates:
        found = collection.lexical_matches(terms, n + 1, allowed)
        trace.note("lexical", "bm25", True, found.scores)
        none, nan = np.full(len(found.keys), NO_ID, np.int64), np.full(len(found.keys), np.nan, np.float32)
        ranked = Candidates(found.keys, found.scores, none, none, nan, complete=len(found.keys) <= n)
        return replace(ranked, ceiling=found.ceiling).take(np.arange(min(n, len(ranked))))

    return best


def fused(legs: Mapping[LegName, Ranking], trace: Trace, ended: Callable[[], bool] = lambda: False) -> Ranking:
    """Items by what all legs say of them.

    The best DEPTH of each leg are fused once, so that scores and order do not hang on how many items are asked for.
    What lies deeper comes behind them, with the same floors, and scores no higher than the last of them.
    ended: whether nothing that is wanted lies deeper than what the legs gave last.
    """
    shallow: dict[LegName, Candidates] = {}

    def best(n: int) -> Candidates:
        if not shallow:
            shallow.update((name, ranking(fusion.DEPTH)) for name, ranking in legs.items())
        first = _merged(shallow, shallow)
        trace.exact = trace.exact and first.complete
        if n > len(first) and not first.complete and not ended():
            deeper = _merged({name: ranking(n) for name, ranking in legs.items()}, shallow)
            first = first.followed_by(_capped(deeper, first.scores[-1]))
        if n >= len(first):
            return replace(first, complete=first.complete or ended())
        return replace(first.take(np.arange(n)), complete=False)

    return best


def _merged(found: Mapping[LegName, Candidates], shallow: Mapping[LegName, Candidates]) -> Candidates:
    """What the legs found, as one. shallow: their best DEPTH, of which the worst say what floors are."""
    merged = fusion.fuse([_leg(name, ranked, shallow[name]) for name, ranked in found.items()])
    keys = merged.keys
    owners: dict[str, IdArray] = {}
    kinds: dict[LegName, str] = {"image": "photos", "text": "texts"}
    for name, kind in kinds.items():
        owners[kind] = np.full(len(keys), NO_ID, np.int64)
        if name in found:
            order = np.argsort(keys)
            owners[kind][order[np.searchsorted(keys[order], found[name].keys)]] = getattr(found[name], kind)
    columns_of = (merged.ranks, merged.leg_scores, merged.contributions)
    legs: dict[str, FloatArray] = {
        name: np.stack([column[:, i] for column in columns_of], axis=1).astype(np.float32)
        for i, name in enumerate(merged.legs)
    }
    scores = merged.scores.astype(np.float32)
    complete = all(ranked.complete for ranked in found.values())
    return Candidates(keys, scores, owners["photos"], owners["texts"], _cosines(legs, len(keys)), complete, legs)


def _leg(name: LegName, ranked: Candidates, shallow: Candidates) -> Leg:
    if name == "lexical" or not len(shallow):
        return Leg(name, ranked.keys, ranked.scores, floor=0.0, ceiling=ranked.ceiling)
    return Leg(name, ranked.keys, ranked.scores, floor=float(shallow.scores.min()))


def _capped(candidates: Candidates, most: np.float32) -> Candidates:
    """With no score above `most`; what the legs added is scaled down with it."""
    scores = np.minimum(candidates.scores, most)
    share = np.divide(scores, candidates.scores, out=np.ones_like(scores), where=candidates.scores > 0)
    legs = {name: values * np.stack([np.ones_like(share)] * 2 + [share], 1) for name, values in candidates.legs.items()}
    return replace(candidates, scores=scores, legs=legs)


def _cosines(legs: Mapping[str, FloatArray], n: int) -> FloatArray:
    """The cosine with the photo where there is one, else with the text."""
    cosines = np.full(n, np.nan, np.float32)
    for name in ("text", "image"):
        if name in legs:
            cosines = np.where(np.isnan(legs[name][:, 1]), cosines, legs[name][:, 1])
    return cosines


def terms_of(words: Sequence[tuple[str, float]], rules: RuleSet) -> list[lexical.Term]:
    """What a query's parts look for by words, with the synonyms of the rules as alternatives."""
    found: list[lexical.Term] = []
    for text, weight in words:
        mine = list(lexical.terms(text, weight))
        for synonym in rules.for_query(text).terms:
            alternatives = tuple(map(lexical.phrase, (synonym.words, *synonym.texts)))
            same = next((i for i, term in enumerate(mine) if term.alternatives[0] == alternatives[0]), None)
            if same is None:
                mine.append(lexical.Term(alternatives, weight))
            else:
                mine[same] = lexical.Term((*mine[same].alternatives, *alternatives[1:]), weight)
        found += mine
    return found
