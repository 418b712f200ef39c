"""mrr@k: 1 / rank of the first relevant document, 0 when it is not among the first k; `mrr` looks at all places.

Rival convention: trec_eval's `recip_rank` has no cutoff (`mrr` here); MS MARCO's official figure cuts at 10 (`mrr@10`).

Source: Voorhees, The TREC-8 Question Answering Track Report, 1999; Bajaj et al. 2016 for the cutoff,
https://arxiv.org/abs/1611.09268.
"""

import numpy as np

from retrieval.evaluation.measures.base import Judged, Values


def reciprocal_rank(judged: Judged, k: float) -> Values:
    """Between 0 and 1 for each query."""
    return np.where(judged.first <= k, 1 / judged.first, 0.0)
