"""What became of one query: what came first, where the right answer was; and the queries that went most wrong."""

from dataclasses import dataclass

from retrieval.evaluation.types import TaskResult


@dataclass(frozen=True)
class Outcome:
    """first_id, first_score: what came first; None where nothing was found.

    right_ids: all right answers, the best ranked one first if it is within the ranking's depth.
    rank: of the best right answer, from 1; None when none of them was ranked.
    right_score: of that answer; None when it is beyond the ranking's depth.
    """

    query_id: str
    first_id: str | None
    first_score: float | None
    right_ids: tuple[str, ...]
    rank: int | None
    right_score: float | None


def outcome(result: TaskResult, row: int) -> Outcome:
    """Of the query in that row of the task."""
    task, ranking = result.task, result.ranking
    query, rank = task.query_ids[row], _best_rank(result, row)
    right = _right_ids(result, row)
    shown = ranking.top[row][ranking.top[row] >= 0]
    right_score = None
    if rank is not None and rank <= len(shown):
        best = task.document_ids[shown[rank - 1]]
        right = (best, *(one for one in right if one != best))
        right_score = float(ranking.scores[row, rank - 1])
    return Outcome(
        query_id=query,
        first_id=task.document_ids[shown[0]] if len(shown) else None,
        first_score=float(ranking.scores[row, 0]) if len(shown) else None,
        right_ids=right,
        rank=rank,
        right_score=right_score,
    )


def worst_failures(result: TaskResult, count: int) -> list[Outcome]:
    """At most `count` queries whose first answer was wrong, the worst first.

    Those come first whose right answers were not ranked at all, then by the rank of the best one; equals stand in the
    order of the queries. A query without a right answer in the set could not succeed and is left out.
    """
    ranks = {row: _best_rank(result, row) for row in range(len(result.task.query_ids))}
    failed = [row for row, rank in ranks.items() if rank != 1 and _right_ids(result, row)]
    failed.sort(key=lambda row: -(ranks[row] or float("inf")))
    return [outcome(result, row) for row in failed[:count]]


def _best_rank(result: TaskResult, row: int) -> int | None:
    found = result.ranking.ranks[row]
    return int(found[0]) if len(found) else None


def _right_ids(result: TaskResult, row: int) -> tuple[str, ...]:
    judged = result.task.qrels.get(result.task.query_ids[row], {})
    return tuple(document for document, grade in judged.items() if grade >= 1)
