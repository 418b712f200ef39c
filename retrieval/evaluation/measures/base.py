"""What every measure is computed from, and what a measure is.

A measure here is a few sums over the relevant documents that were found, for all queries at once. Its file says what
it means; this one has only the arithmetic that they share.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from retrieval.errors import EvaluationError
from retrieval.evaluation.relevance import Relevance
from retrieval.evaluation.types import Ranking

Values = npt.NDArray[np.float64]
"""One value a query, float64 [queries]."""
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Found:
    """The relevant documents in an order of documents, one entry each, query after query, best rank first.

    query: which query (row of the task). rank: from 1. nth: 1 for the query's first entry, 2 for its second.
    grade: 1 or more; 0 for a document below the depth that the ranking names documents to.
    """

    queries: int
    query: Integers
    rank: Integers
    nth: Integers
    grade: Integers

    def sums(self, values: npt.NDArray[np.generic], k: float) -> Values:
        """Sum of `values` [entries] over each query's entries in the first k places."""
        within = self.rank <= k
        totals = np.bincount(self.query[within], weights=values[within], minlength=self.queries)
        return totals.astype(np.float64, copy=False)


@dataclass(frozen=True)
class Judged:
    """A ranking beside its judgements.

    found: what the ranking has. ideal: what the best possible ranking has. relevant: int64 [queries], how many
    relevant documents there are. first: float64 [queries], rank of the best one, infinite if none was ranked.

    A query without any relevant document counts in every mean, as in trec_eval: its shares are 0, its rank infinite.
    Leaving it out would make a set look better by what it cannot answer; a reader of a data set may leave it out and
    say so.
    """

    found: Found
    ideal: Found
    relevant: Integers

    @property
    def first(self) -> Values:
        ranks = np.full(len(self.relevant), np.inf)
        firsts = self.found.nth == 1
        ranks[self.found.query[firsts]] = self.found.rank[firsts]
        return ranks

    @classmethod
    def of(cls, ranking: Ranking, relevance: Relevance, n_documents: int) -> "Judged":
        """Raises EvaluationError when ranking and judgements do not belong together."""
        counts = np.array([len(row) for row in ranking.ranks], dtype=np.int64)
        if len(counts) != len(relevance.counts) or (counts > relevance.counts).any():
            raise EvaluationError(
                f"the ranking answers {len(counts):,} queries, the judgements are of {len(relevance.counts):,} others",
                hint="rank the same task that is judged",
            )
        ranks = np.concatenate([np.empty(0, dtype=np.int64), *ranking.ranks])
        query = np.repeat(np.arange(len(counts)), counts)
        grade = _grades(ranking, relevance, query, ranks, n_documents)
        found = Found(len(counts), query, ranks, _nth(counts), grade)
        owners = relevance.owners
        places = _nth(relevance.counts)
        best_first = relevance.grades[np.lexsort((-relevance.grades, owners))]
        return cls(found, Found(len(counts), owners, places, places, best_first), relevance.counts)


def _nth(counts: Integers) -> Integers:
    """1, 2, … count for each count, one after the other."""
    starts = np.cumsum(counts) - counts
    return np.arange(1, int(counts.sum()) + 1) - np.repeat(starts, counts)


def _grades(ranking: Ranking, relevance: Relevance, query: Integers, ranks: Integers, n_documents: int) -> Integers:
    """Grade of the document at each (query, rank); 0 below the ranking's depth."""
    grades = np.zeros(len(ranks), dtype=np.int64)
    shown = ranks <= ranking.top.shape[1]
    documents = ranking.top[query[shown], ranks[shown] - 1]
    pairs = relevance.owners * n_documents + relevance.documents  # ascending, because both parts are
    wanted = query[shown] * n_documents + documents
    places = np.searchsorted(pairs, wanted)
    if (places == len(pairs)).any() or (pairs[places] != wanted).any():
        raise EvaluationError(
            "the ranking gives ranks of relevant documents at which it shows others",
            hint="rank the same task that is judged",
        )
    grades[shown] = relevance.grades[places]
    return grades


@dataclass(frozen=True)
class Measure:
    """One figure. name: as people write it, such as `ndcg@10`. cutoff: how many places it looks at, None for all.

    summary: how the values of the queries become one figure. higher_is_better: False for ranks.
    """

    name: str
    cutoff: int | None
    of_queries: Callable[[Judged, float], Values]
    summary: Literal["mean", "median"] = "mean"
    higher_is_better: bool = True

    def per_query(self, judged: Judged) -> Values:
        """float64 [queries]."""
        return self.of_queries(judged, math.inf if self.cutoff is None else self.cutoff)

    def figure(self, values: Values) -> float:
        """All queries' values as one figure."""
        return float(np.median(values) if self.summary == "median" else np.mean(values))
