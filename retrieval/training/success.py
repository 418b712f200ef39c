"""success@k of a set of queries, the one figure that training chooses by."""

from collections.abc import Sequence

import numpy as np

from retrieval.encoders.base import FloatArray
from retrieval.training.pairs import IntArray


def success_at(queries: FloatArray, gallery: FloatArray, wanted: IntArray, ks: Sequence[int]) -> list[float]:
    """Share of queries whose wanted entry is among the first k, for each k; papers on CLIP print it as R@k.

    queries [q, d] and gallery [g, d] are unit rows; wanted int64 [q] holds gallery rows. Only the one wanted
    entry counts, although others may fit as well. A tie counts against the query.
    """
    scores = queries @ gallery.T
    own = scores[np.arange(len(queries)), wanted]
    ranks = (scores >= own[:, None]).sum(axis=1)
    return [float((ranks <= k).mean()) for k in ks]
