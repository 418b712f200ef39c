"""recall@k: the share of a query's relevant documents that is among the first k, between 0 and 1.

Rival conventions: papers on CLIP call `success@k` "recall@k" (see success.py). Some divide by min(k, relevant), so
that 1 can always be reached; trec_eval and this divide by all relevant documents, so from a photo to its five captions
recall@1 is at most 0.2.

Source: trec_eval's `recall`, https://github.com/usnistgov/trec_eval.
"""

import numpy as np

from retrieval.evaluation.measures.base import Judged, Values


def recall(judged: Judged, k: float) -> Values:
    """Share of the relevant documents for each query; 0 without relevant documents."""
    found = judged.found.sums(np.ones_like(judged.found.rank), k)
    return found / np.maximum(judged.relevant, 1)
