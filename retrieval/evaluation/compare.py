"""Two runs on the same queries: is one better, and where."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from retrieval.errors import EvaluationError
from retrieval.evaluation.measures.base import Values
from retrieval.evaluation.measures.registry import parse
from retrieval.evaluation.relevance import Relevance, clusters, named
from retrieval.evaluation.statistics import bootstrap, interval, randomisation_p
from retrieval.evaluation.types import Task, TaskResult

EXAMPLES = 10


@dataclass(frozen=True)
class Change:
    """One query whose value differs. before, after: its value in the first and in the second run."""

    query_id: str
    before: float
    after: float


@dataclass(frozen=True)
class Comparison:
    """One measure of two runs.

    first, second: the figures. difference: second - first; for a rank, below 0 is better. interval: bootstrap 95 % of
    the difference, None when the queries are one cluster. p_value: two-sided, that both runs are equally good.
    n_better, n_worse: queries that the second run does better or worse. better, worse: the largest changes, as many
    as were asked for; equal ones in the order of the queries.
    """

    measure: str
    n_queries: int
    first: float
    second: float
    difference: float
    interval: tuple[float, float] | None
    p_value: float
    n_better: int
    n_worse: int
    better: tuple[Change, ...]
    worse: tuple[Change, ...]


def compare(
    first: TaskResult, second: TaskResult, measure: str, *, examples: int = EXAMPLES, seed: int = 0
) -> Comparison:
    """Compare two runs of one direction on the same queries and judgements by a measure that both have.

    The p-value is that of a paired randomisation test with 10,000 permutations; it and the interval treat queries with
    the same relevant documents as one (see `judge` and `statistics`).

    Raises EvaluationError, with counts, when queries, documents or judgements differ, when the measure was not computed
    in both, or when it is a rank that a query does not have.
    """
    wanted = parse(measure)
    _check_same(first.task, second.task)
    places = {name: row for row, name in enumerate(second.task.query_ids)}
    before = _values(first, wanted.name, "first")
    after = _values(second, wanted.name, "second")[[places[name] for name in first.task.query_ids]]
    endless = int((np.isinf(before) | np.isinf(after)).sum())
    if endless:
        raise EvaluationError(
            f"{endless:,} of {len(before):,} queries have no rank in one of the runs, so no {wanted.name}",
            hint="compare by mrr@10, which counts them as 0",
        )
    groups = clusters(Relevance.of_task(first.task))
    replicates = bootstrap(np.stack([before, after], axis=1), groups, wanted.summary, seed=seed)
    gains = (after - before) * (1 if wanted.higher_is_better else -1)
    return Comparison(
        measure=wanted.name,
        n_queries=len(before),
        first=wanted.figure(before),
        second=wanted.figure(after),
        difference=wanted.figure(after) - wanted.figure(before),
        interval=interval(replicates[:, 1] - replicates[:, 0]) if groups.max() else None,
        p_value=randomisation_p(before, after, groups, wanted.summary, seed=seed),
        n_better=int((gains > 0).sum()),
        n_worse=int((gains < 0).sum()),
        better=_largest(gains, first.task.query_ids, before, after, examples),
        worse=_largest(-gains, first.task.query_ids, before, after, examples),
    )


def check_same_words(first: Mapping[str, str], second: Mapping[str, str], kind: str) -> None:
    """Ids can be mere places in a file, the same in every language of it. first, second: id -> words; kind: `queries`.

    Raises EvaluationError, with counts, when an id that both have stands for other words.
    """
    common = [name for name in first if name in second]
    differ = [name for name in common if first[name] != second[name]]
    if differ:
        raise EvaluationError(
            f"{len(differ):,} of {len(common):,} {kind} have the same id but different words in the runs: "
            f"{named(differ)}",
            hint="run both on the same set, split and language",
        )


def _values(result: TaskResult, measure: str, which: str) -> Values:
    if measure not in result.per_query:
        raise EvaluationError(
            f"the {which} run has no {measure}, only {', '.join(result.per_query)}",
            hint="judge both runs by the same measures",
        )
    return result.per_query[measure]


def _largest(
    gains: Values, query_ids: Sequence[str], before: Values, after: Values, examples: int
) -> tuple[Change, ...]:
    rows = [row for row in np.argsort(-gains, kind="stable")[:examples] if gains[row] > 0]
    return tuple(Change(query_ids[row], float(before[row]), float(after[row])) for row in rows)


def _check_same(first: Task, second: Task) -> None:
    if first.direction != second.direction:
        raise EvaluationError(
            f"the first run is {first.direction}, the second {second.direction}", hint="compare one direction"
        )
    only_first = set(first.query_ids) - set(second.query_ids)
    only_second = set(second.query_ids) - set(first.query_ids)
    if only_first or only_second:
        raise EvaluationError(
            f"the runs answer different queries: {len(only_first):,} are only in the first, {len(only_second):,} only "
            f"in the second, {len(set(first.query_ids) & set(second.query_ids)):,} in both",
            hint="run both on the same set, split and language",
        )
    differ = [name for name in first.query_ids if _relevant(first, name) != _relevant(second, name)]
    if differ:
        raise EvaluationError(
            f"{len(differ):,} of {len(first.query_ids):,} queries are judged differently: {named(differ)}",
            hint="run both on the same version of the set",
        )
    if set(first.document_ids) != set(second.document_ids):
        common = len(set(first.document_ids) & set(second.document_ids))
        raise EvaluationError(
            f"the runs search different documents: {len(first.document_ids):,} in the first, "
            f"{len(second.document_ids):,} in the second, {common:,} in both",
            hint="more documents make every query harder; run both on the same set",
        )


def _relevant(task: Task, query: str) -> dict[str, int]:
    return {name: grade for name, grade in task.qrels.get(query, {}).items() if grade >= 1}
