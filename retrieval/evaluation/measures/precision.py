"""precision@k: the share of the first k places that hold a relevant document, between 0 and 1.

Rival convention: some divide by the number of documents returned where that is below k, which rewards a search that
answers little. trec_eval and this always divide by k.

Source: trec_eval's `P`, https://github.com/usnistgov/trec_eval.
"""

import numpy as np

from retrieval.evaluation.measures.base import Judged, Values


def precision(judged: Judged, k: float) -> Values:
    """Share of the first k places for each query."""
    return judged.found.sums(np.ones_like(judged.found.rank), k) / k
