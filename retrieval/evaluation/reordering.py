"""The first places of a ranking in the order that a reranker gives them."""

import numpy as np

from retrieval.arrays import FloatArray
from retrieval.evaluation.relevance import Relevance
from retrieval.evaluation.types import Ranking
from retrieval.rerankers.order import order_of


def reordered(ranking: Ranking, matches: FloatArray, weight: float, depth: int, relevance: Relevance) -> Ranking:
    """Order the first `depth` documents of each query as a search does; those behind stay where they are.

    matches: float32 [queries, at least depth], what the reranker says of the documents in `ranking.top`, see
    `order_of`. The scores of the result are still the cosines. A depth beyond the ranking is the whole ranking.
    """
    depth = min(depth, ranking.top.shape[1])
    order = order_of(ranking.scores[:, :depth], matches[:, :depth], weight)
    top, scores = ranking.top.copy(), ranking.scores.copy()
    top[:, :depth] = np.take_along_axis(ranking.top[:, :depth], order, axis=1)
    scores[:, :depth] = np.take_along_axis(ranking.scores[:, :depth], order, axis=1)
    ranks = []
    for query, before in enumerate(ranking.ranks):
        relevant = relevance.documents[relevance.of(query)]
        within = np.flatnonzero(np.isin(top[query, :depth], relevant)) + 1
        ranks.append(np.concatenate([within, before[before > depth]]))
    return Ranking(top, scores, ranks)
