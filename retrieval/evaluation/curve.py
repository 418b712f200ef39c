"""success@k as a curve over k, and what picking blindly would reach."""

import numpy as np
import numpy.typing as npt

from retrieval.evaluation.types import TaskResult

Curve = npt.NDArray[np.float64]


def success_curve(result: TaskResult, up_to: int = 100) -> Curve:
    """success@1 … success@K: share of the queries with a right answer among the first k.

    K is `up_to`, or less where fewer documents were ranked. float64 [K], never falling.
    """
    first = np.array([found[0] if len(found) else np.iinfo(np.int64).max for found in result.ranking.ranks])
    reached = np.arange(1, _ranked(result, up_to) + 1)
    return np.searchsorted(np.sort(first), reached, side="right") / max(len(first), 1)


def chance_curve(result: TaskResult, up_to: int = 100) -> Curve:
    """What `success_curve` would be, on average, if the documents were shuffled.

    With r right ones of n the first k hold none with probability prod_{i<k} (n - r - i) / (n - i) (hypergeometric).
    """
    total, depth = len(result.task.document_ids), _ranked(result, up_to)
    judged = [sum(grade >= 1 for grade in result.task.qrels.get(query, {}).values()) for query in result.task.query_ids]
    drawn = np.arange(depth)
    curve = np.zeros(depth)
    for right, queries in zip(*np.unique(judged, return_counts=True), strict=True):
        missed = np.cumprod(np.maximum(total - right - drawn, 0) / (total - drawn))
        curve += queries * (1 - missed)
    return curve / max(len(judged), 1)


def _ranked(result: TaskResult, up_to: int) -> int:
    """How many documents were ranked for sure: all if no rank of a right one is missing, else the ranking's depth."""
    task, ranking = result.task, result.ranking
    found = sum(map(len, ranking.ranks))
    judged = sum(grade >= 1 for query in task.query_ids for grade in task.qrels.get(query, {}).values())
    ranked = len(task.document_ids) if found == judged else ranking.top.shape[1]
    return min(up_to, ranked, len(task.document_ids))
