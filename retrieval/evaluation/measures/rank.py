"""median_rank and mean_rank: the rank, from 1, of the first relevant document, over all queries; lower is better.

Papers on image-text retrieval print them as "Med r" and "Mean r". The rank is the one in the full ranking of all
documents. A query whose relevant documents were not ranked, because a search stopped before them or there are none,
has an infinite rank: the median stays finite while those are the minority, the mean does not.

Rival conventions: VSE++ (Faghri et al. 2018, https://github.com/fartashf/vsepp) rounds the median down, so that an
even number of queries gives a whole rank; here it is the plain median, such as 2.5. Some average over all relevant
documents instead of taking the first.
"""

from retrieval.evaluation.measures.base import Judged, Values


def first_rank(judged: Judged, k: float) -> Values:  # noqa: ARG001  every measure has a cutoff; this one takes none
    """From 1 to infinity for each query."""
    return judged.first
