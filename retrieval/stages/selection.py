"""Which of the ranked items become hits: one of each group, no near-duplicates, diverse ones first."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from retrieval.arrays import FloatArray, IdArray
from retrieval.stages.candidates import Candidates

# Hits that maximal marginal relevance orders; those behind stay as they are. Fixed: pages are parts of one order.
DIVERSE = 100

VectorsOf = Callable[[Candidates], FloatArray]
"""float32 [n, dimension]: the unit vector of what each candidate looks like; a zero row where it has none."""


@dataclass(frozen=True)
class Selection:
    """How ranked items become hits.

    groups: int64 [n] for item keys [n], equal for items of one group, negative for an item that stands alone; None
    for no grouping. duplicates, diversity: as in `Query`. without: int64 item keys that are no hits.
    keep: bool [n] for candidates, false for those that may not be hits.
    """

    groups: Callable[[IdArray], IdArray] | None = None
    duplicates: float | None = None
    diversity: float = 0.0
    without: IdArray | None = None
    keep: Callable[[Candidates], npt.NDArray[np.bool_]] | None = None

    def of(self, rankings: Iterator[Candidates], wanted: int, vectors_of: VectorsOf) -> Candidates:
        """The first `wanted` hits, fewer where there are not so many.

        rankings: longer and longer ones that begin alike (`growing`); as many are taken as it needs.
        """
        enough = max(wanted, DIVERSE) if self.diversity else wanted
        for ranked in rankings:
            chosen = self._chosen(ranked, enough, vectors_of)
            if len(chosen) >= enough or chosen.complete:
                break
        if self.diversity:
            head = np.arange(min(DIVERSE, len(chosen)))
            scores = falling(chosen.scores[head])
            order = marginal_relevance(scores, vectors_of(chosen.take(head)), self.diversity)
            chosen = chosen.take(np.concatenate([order, np.arange(len(head), len(chosen))]))
        return chosen.take(np.arange(min(wanted, len(chosen))))

    def _chosen(self, ranked: Candidates, enough: int, vectors_of: VectorsOf) -> Candidates:
        if self.keep is not None:
            ranked = ranked.take(self.keep(ranked))
        if self.without is not None:
            ranked = ranked.take(~np.isin(ranked.keys, self.without))
        if self.groups is not None:
            ranked = ranked.take(_first_of_each(self.groups(ranked.keys)))
        if self.duplicates is not None:
            ranked = ranked.take(without_duplicates(vectors_of(ranked), self.duplicates, enough))
        return ranked


def without_duplicates(vectors: FloatArray, cosine: float, enough: int) -> npt.NDArray[np.int64]:
    """Positions of the rows that are not too near to one kept before them; looking ends at `enough`.

    vectors: float32 [n, dimension], unit rows, best first; a zero row is nobody's duplicate.
    """
    kept: list[int] = []
    held = np.empty((min(enough, len(vectors)), vectors.shape[1]), np.float32)
    for position, vector in enumerate(vectors):
        if len(kept) == len(held):
            break
        if not kept or not vector.any() or float((held[: len(kept)] @ vector).max()) < cosine:
            held[len(kept)] = vector
            kept.append(position)
    return np.asarray(kept, np.int64)


def falling(scores: FloatArray) -> FloatArray:
    """Scores as they are if they fall; else the sum of the falls behind each, so that a rise counts as no difference.

    A reranker leaves such: what it scored, what it had no time for and what lies deeper are on scales of their own.
    """
    steps = scores[:-1] - scores[1:]
    if not (steps < 0).any():
        return scores
    worth = np.zeros_like(scores)
    worth[:-1] = np.cumsum(np.maximum(steps, 0)[::-1])[::-1]
    return worth


def marginal_relevance(scores: FloatArray, vectors: FloatArray, diversity: float) -> npt.NDArray[np.int64]:
    """The order of maximal marginal relevance: each next row is the one of greatest

        (1 - diversity) * relevance - diversity * (greatest cosine with a row chosen before).

    Carbonell and Goldstein, "The Use of MMR, Diversity-Based Reranking" (SIGIR 1998), with lambda = 1 - diversity.
    Scores are brought to [0, 1] over the rows first: cosines of words with photos lie closer together than cosines
    of photos among each other, and would count for nothing beside them.
    scores: float32 [n], best first; vectors: float32 [n, dimension], unit rows. Returns int64 [n].
    """
    if len(scores) == 0:
        return np.empty(0, np.int64)
    spread = float(scores.max() - scores.min())
    relevance = (scores - scores.min()) / spread if spread > 0 else np.ones_like(scores)
    nearest = np.zeros_like(relevance)  # the first row has none before it
    left = np.ones(len(scores), np.bool_)
    order = []
    for _ in range(len(scores)):
        gain = np.where(left, (1 - diversity) * relevance - diversity * nearest, -np.inf)
        following = int(gain.argmax())
        order.append(following)
        left[following] = False
        cosines = vectors @ vectors[following]
        nearest = cosines if len(order) == 1 else np.maximum(nearest, cosines)
    return np.asarray(order, np.int64)


def _first_of_each(groups: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    alone = groups < 0
    _, first = np.unique(groups, return_index=True)
    return np.union1d(first[~alone[first]], np.flatnonzero(alone)).astype(np.int64)
