"""success@k: 1 when at least one relevant document is among the first k, else 0. Also called hit rate.

Rival convention: papers on CLIP (Radford et al. 2021, https://arxiv.org/abs/2103.00020), VSE++ and CLIP_benchmark
print this as "R@k" or "recall@k". With one relevant document, as from a caption to its photo, it equals TREC's
recall@k; from a photo to its five captions it is far higher. Here `recall@k` is always TREC's.

Source: trec_eval's `success`, https://github.com/usnistgov/trec_eval.
"""

import numpy as np

from retrieval.evaluation.measures.base import Judged, Values


def success(judged: Judged, k: float) -> Values:
    """0 or 1 for each query."""
    return np.where(judged.first <= k, 1.0, 0.0)
