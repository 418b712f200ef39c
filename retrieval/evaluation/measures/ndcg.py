"""ndcg@k: discounted gain of the first k places, over that of the best possible order; between 0 and 1.

    DCG@k = sum over ranks r <= k of grade(r) / log2(r + 1)        nDCG@k = DCG@k / DCG@k of the ideal ranking

Rival convention: the gain 2^grade - 1 (Burges et al. 2005), which web search and LETOR tools use, weighs a grade 3
seven times a grade 1. Here the gain is the grade itself, as in trec_eval's `ndcg_cut` and ir_measures' `nDCG`. With
grades 0 and 1 both are the same. Unjudged documents and negative grades gain 0.

Source: Järvelin and Kekäläinen, Cumulated gain-based evaluation of IR techniques, ACM TOIS 2002.
"""

import numpy as np

from retrieval.evaluation.measures.base import Found, Judged, Values


def ndcg(judged: Judged, k: float) -> Values:
    """Between 0 and 1 for each query; 0 without relevant documents."""
    ideal = _dcg(judged.ideal, k)
    return np.divide(_dcg(judged.found, k), ideal, out=np.zeros_like(ideal), where=ideal > 0)


def _dcg(found: Found, k: float) -> Values:
    return found.sums(found.grade / np.log2(found.rank + 1), k)
