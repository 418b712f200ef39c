"""success@k of a set of queries, the one figure that training chooses by."""

from collections.abc import Sequence

import numpy as np

from retrieval.arrays import FloatArray
from retrieval.training.pairs import IntArray

_CHUNK = 1 << 24  # scores held at once: 64 MiB


def best_ranks(queries: FloatArray, gallery: FloatArray, relevant: Sequence[IntArray]) -> IntArray:
    """int64 [q]: the rank, from 1, of the best entry that is relevant to each query.

    queries [q, d] and gallery [g, d] are unit rows; relevant[i] holds the gallery rows that answer query i, at least
    one. A tie with an entry that is not relevant counts against the query.
    """
    ranks = np.empty(len(queries), dtype=np.int64)
    chunk = max(1, _CHUNK // max(1, len(gallery)))
    for start in range(0, len(queries), chunk):
        scores = queries[start : start + chunk] @ gallery.T
        own = relevant[start : start + chunk]
        row = np.repeat(np.arange(len(own)), [len(one) for one in own])
        first = np.cumsum([0, *(len(one) for one in own[:-1])])
        of_own = scores[row, np.concatenate(own)]
        best = np.maximum.reduceat(of_own, first)
        above = (scores >= best[:, None]).sum(axis=1)
        ranks[start : start + chunk] = above - np.add.reduceat((of_own >= best[row]).astype(np.int64), first) + 1
    return ranks


def success_at(queries: FloatArray, gallery: FloatArray, wanted: IntArray, ks: Sequence[int]) -> list[float]:
    """Share of queries whose wanted entry is among the first k, for each k; papers on CLIP print it as R@k.

    queries [q, d] and gallery [g, d] are unit rows; wanted int64 [q] holds gallery rows. Only the one wanted
    entry counts, although others may fit as well. A tie counts against the query.
    """
    ranks = best_ranks(queries, gallery, list(wanted[:, None]))
    return [float((ranks <= k).mean()) for k in ks]
