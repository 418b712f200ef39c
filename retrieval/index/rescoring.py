"""Candidates of an approximate index get the true cosines of the stored vectors."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from retrieval.arrays import FloatArray, IdArray
from retrieval.index.base import NO_ID, Neighbours, best

# Stored vectors of the owners that still exist: ids ascending, int64 [n], and float16 [n, dimension].
VectorFetch = Callable[[list[int]], tuple[IdArray, npt.NDArray[np.float16]]]


def scored_again(vectors: FloatArray, candidates: IdArray, k: int, fetch: VectorFetch) -> Neighbours:
    """The best k of each query's candidates, int64 [queries, n] padded with NO_ID, by their stored vectors."""
    wanted = np.unique(candidates[candidates != NO_ID])
    ids, stored = fetch(wanted.tolist()) if len(wanted) else (wanted, np.empty((0, vectors.shape[1]), np.float16))
    scores = np.full(candidates.shape, -np.inf, dtype=np.float32)
    if not len(ids):
        return best(scores, np.full_like(candidates, NO_ID), k)
    position = np.clip(np.searchsorted(ids, candidates), 0, len(ids) - 1)
    found = ids[position] == candidates
    rows = stored.astype(np.float32)
    for query in range(len(vectors)):
        scores[query, found[query]] = rows[position[query, found[query]]] @ vectors[query]
    return best(scores, np.where(found, candidates, NO_ID), k)
