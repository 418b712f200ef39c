"""What other tools call the same figures.

CLIP_benchmark (https://github.com/LAION-AI/CLIP_benchmark, metrics/zeroshot_retrieval.py): for every query it computes
the share of relevant entries among the first k and takes 1 if that is above 0, so both of its recalls are success@k.
`image_retrieval_recall@k` has the texts as queries and images as documents; `text_retrieval_recall@k` has the images as
queries, and of several captions one among the first k is enough.

trec_eval (https://github.com/usnistgov/trec_eval) writes `success_k`, `recall_k`, `P_k`, `ndcg_cut_k` and `map_cut_k`;
its `recip_rank` and `map` have no cutoff, so `mrr@10` has no name there.
"""

from collections.abc import Iterable, Mapping

from retrieval.evaluation.measures.registry import DEFAULT_MEASURES, parse_all
from retrieval.evaluation.types import Direction

_CLIP_BENCHMARK: Mapping[Direction, str] = {
    "text_to_image": "image_retrieval_recall",
    "image_to_text": "text_retrieval_recall",
}
_TREC_AT_CUTOFF: Mapping[str, str] = {
    "success": "success",
    "recall": "recall",
    "precision": "P",
    "ndcg": "ndcg_cut",
    "map": "map_cut",
}
_TREC_UNCUT: Mapping[str, str] = {"mrr": "recip_rank", "map": "map"}


def aliases(direction: Direction, measures: Iterable[str] = DEFAULT_MEASURES) -> dict[str, str]:
    """Other tools' names -> names of `measures` here. Raises EvaluationError for an unknown measure."""
    found = {}
    for measure in parse_all(measures):
        family = measure.name.partition("@")[0]
        if family == "success" and direction in _CLIP_BENCHMARK:
            found[f"{_CLIP_BENCHMARK[direction]}@{measure.cutoff}"] = measure.name
        if measure.cutoff is not None and family in _TREC_AT_CUTOFF:
            found[f"{_TREC_AT_CUTOFF[family]}_{measure.cutoff}"] = measure.name
        if measure.cutoff is None and family in _TREC_UNCUT:
            found[_TREC_UNCUT[family]] = measure.name
    return found
