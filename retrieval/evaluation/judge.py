"""A ranking and its judgements -> figures, what they are worth, and where they differ."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from retrieval.arrays import IdArray
from retrieval.errors import EvaluationError
from retrieval.evaluation.measures.base import Judged, Measure, Values
from retrieval.evaluation.measures.registry import parse_all
from retrieval.evaluation.relevance import Relevance, clusters
from retrieval.evaluation.statistics import Summary, bootstrap, interval
from retrieval.evaluation.types import Ranking, Task, TaskResult

SLICE_CLUSTERS = 5
"""A slice of fewer clusters of queries is left out: one more success would move it by more than 20 points."""
SLICE_VALUES = 100
"""An attribute with more values is left out: it is an id, a price or a date, and no table of it can be read."""

Slices = dict[str, dict[str, tuple[int, dict[str, float]]]]


def judge(
    task: Task,
    ranking: Ranking,
    measures: Iterable[str],
    *,
    attributes: Mapping[str, Sequence[str]] | None = None,
    seed: int = 0,
) -> TaskResult:
    """Judge one ranking of one task.

    measures: names, such as `success@10` (see `retrieval.evaluation.measures`).
    attributes: attribute -> one value for each query, in the task's order, empty where it has none. Each attribute
        with 100 values or fewer, of which two or more have at least 5 clusters of queries, becomes slices of those
        values, most queries first. What a slice is given with is its number of queries.
    seed: of the bootstrap; the same seed gives the same intervals.

    Intervals are 95 % percentile bootstrap intervals over clusters of queries, 2,000 resamples. Queries with the very
    same relevant documents are one cluster: the captions of one photo succeed and fail together, and counting them as
    independent would promise more certainty than there is. Fewer than two clusters say nothing: no intervals then.

    Every query of the task counts. One without relevant documents counts as 0 (rank: infinite), as in trec_eval.

    Raises EvaluationError for an unknown measure, a ranking too short for a measure's cutoff, or one of another task.
    """
    wanted = parse_all(measures)
    if not task.query_ids:
        raise EvaluationError("there are no queries to judge", hint="an empty set or split has no figures")
    _check_depth(ranking, wanted, len(task.document_ids))
    relevance = Relevance.of_task(task)
    judged = Judged.of(ranking, relevance, len(task.document_ids))
    per_query = {measure.name: measure.per_query(judged) for measure in wanted}
    groups = clusters(relevance)
    return TaskResult(
        task=task,
        ranking=ranking,
        figures={measure.name: measure.figure(per_query[measure.name]) for measure in wanted},
        per_query=per_query,
        intervals=_intervals(wanted, per_query, groups, seed),
        slices=_slices(wanted, per_query, groups, attributes or {}),
    )


def _check_depth(ranking: Ranking, measures: Sequence[Measure], n_documents: int) -> None:
    depth = ranking.top.shape[1]
    short = [measure for measure in measures if depth < min(measure.cutoff or 0, n_documents)]
    if short:
        raise EvaluationError(
            f"{short[0].name} looks at {short[0].cutoff} places, the ranking has {depth}",
            hint=f"rank to a depth of at least {max(measure.cutoff or 0 for measure in short)}",
        )


def _intervals(
    measures: Sequence[Measure], per_query: Mapping[str, Values], groups: IdArray, seed: int
) -> dict[str, tuple[float, float]]:
    if groups.max() < 1:
        return {}
    found = {}
    summaries: tuple[Summary, ...] = ("mean", "median")
    for summary in summaries:
        names = [measure.name for measure in measures if measure.summary == summary]
        if names:
            columns = np.stack([per_query[name] for name in names], axis=1)
            replicates = bootstrap(columns, groups, summary, seed=seed)
            found.update({name: interval(column) for name, column in zip(names, replicates.T, strict=True)})
    return {measure.name: found[measure.name] for measure in measures}


def _slices(
    measures: Sequence[Measure],
    per_query: Mapping[str, Values],
    groups: IdArray,
    attributes: Mapping[str, Sequence[str]],
) -> Slices:
    found: Slices = {}
    for attribute, values in attributes.items():
        names, numbers, counts = np.unique(np.array(values, dtype=np.str_), return_inverse=True, return_counts=True)
        if np.count_nonzero(names) > SLICE_VALUES:
            continue
        held = np.unique(np.stack([numbers, groups]), axis=1)[0]  # a value once for each of its clusters
        spread = np.bincount(held, minlength=len(names))
        large = [
            number
            for number in np.argsort(-counts, kind="stable")
            if names[number] and spread[number] >= SLICE_CLUSTERS
        ]
        if len(large) < 2:
            continue
        found[attribute] = {
            str(names[number]): (
                int(counts[number]),
                {measure.name: measure.figure(per_query[measure.name][numbers == number]) for measure in measures},
            )
            for number in large
        }
    return found
