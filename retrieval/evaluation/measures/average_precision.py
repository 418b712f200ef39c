"""map@k: the mean, over a query's relevant documents, of the precision at the rank of each; `map` looks at all places.

    AP@k = 1 / R * sum over the relevant documents at ranks r_1 < r_2 < … <= k of i / r_i

R is the number of all relevant documents, as in trec_eval's `map_cut`.
Rival convention: dividing by min(k, R), as Kaggle's MAP@k does, so that 1 can be reached with more than k
relevant documents.

Source: Buckley and Voorhees, Evaluating evaluation measure stability, SIGIR 2000.
"""

import numpy as np

from retrieval.evaluation.measures.base import Judged, Values


def average_precision(judged: Judged, k: float) -> Values:
    """Between 0 and 1 for each query; 0 without relevant documents."""
    return judged.found.sums(judged.found.nth / judged.found.rank, k) / np.maximum(judged.relevant, 1)
