"""The order that matches give to candidates: the same for a search, for evaluation and for training."""

from typing import Any

import numpy as np
import numpy.typing as npt

from retrieval.arrays import FloatArray


def order_of(scores: npt.NDArray[np.floating[Any]], matches: FloatArray, weight: float) -> npt.NDArray[np.int64]:
    """Places of the candidates of one query [n] or of each of several [queries, n] in their new order: int64.

    By score + weight * match, equal sums as they were. matches: NaN for a candidate that was not scored, or that has no
    tokens: it stays where it is, and the others share the places that they had.
    """
    scored = ~np.isnan(matches)
    sums = np.where(scored, scores + np.float32(weight) * matches, 0)
    best_first = np.lexsort((-sums, ~scored), axis=-1)
    own_places = np.argsort(~scored, axis=-1, kind="stable")
    order = np.empty(scored.shape, dtype=np.int64)
    np.put_along_axis(order, own_places, best_first, axis=-1)
    return order
