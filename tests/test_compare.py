"""Two runs on the same queries."""

from dataclasses import replace

import numpy as np
import pytest

from retrieval.errors import EvaluationError
from retrieval.evaluation.compare import Change, check_same_words, compare
from retrieval.evaluation.judge import judge
from retrieval.evaluation.ranking import rank_exact
from retrieval.evaluation.types import Task, TaskResult

MEASURES = ("success@1", "mrr@10", "median_rank", "mean_rank")


def run(ranks: list[int], *, order: list[int] | None = None) -> TaskResult:
    """20 documents; query i has its own relevant one, which stands at ranks[i]. order: of the queries in the task."""
    rows = order or list(range(len(ranks)))
    documents = tuple(f"d{d}" for d in range(20))
    task = Task(
        "text_to_image", tuple(f"q{row}" for row in rows), documents, {f"q{row}": {f"d{row}": 1} for row in rows}
    )
    scores = np.tile(np.arange(20, 0, -1, dtype=np.float32), (len(rows), 1))
    for place, row in enumerate(rows):
        others = np.delete(np.arange(20), row)
        scores[place, np.insert(others, ranks[row] - 1, row)] = np.arange(20, 0, -1)
    return judge(task, rank_exact(scores, np.eye(20, dtype=np.float32), task), MEASURES)


def test_the_difference_its_test_and_the_queries_behind_it() -> None:
    found = compare(run([1, 2, 4, 10, 5]), run([2, 1, 1, 10, 1]), "mrr@10", examples=2)
    assert found.n_queries == 5
    assert found.first == pytest.approx((1 + 1 / 2 + 1 / 4 + 1 / 10 + 1 / 5) / 5)
    assert found.second == pytest.approx((1 / 2 + 1 + 1 + 1 / 10 + 1) / 5)
    assert found.difference == pytest.approx((-1 / 2 + 1 / 2 + 3 / 4 + 4 / 5) / 5)
    assert found.interval is not None
    low, high = found.interval
    assert low < found.difference < high
    assert (found.n_better, found.n_worse) == (3, 1)
    assert found.better == (Change("q4", 0.2, 1.0), Change("q2", 0.25, 1.0))
    assert found.worse == (Change("q0", 1.0, 0.5),)
    # Of the 16 ways to sign 1/2, 1/2, 3/4 and 4/5 six are at least as far from 0 as 1.55.
    assert found.p_value == pytest.approx(6 / 16, abs=0.02)


def test_a_lower_rank_is_better() -> None:
    for measure in ("median_rank", "mean_rank"):
        found = compare(run([4, 4, 4]), run([2, 2, 9]), measure)
        assert (found.n_better, found.n_worse) == (2, 1)
        assert found.better[0] == Change("q0", 4.0, 2.0)
        assert found.worse == (Change("q2", 4.0, 9.0),)
    assert found.difference == pytest.approx(1 / 3)


def test_identical_runs_do_not_differ() -> None:
    found = compare(run([1, 2, 3]), run([1, 2, 3]), "success@1")
    assert (found.difference, found.interval, found.p_value) == (0.0, (0.0, 0.0), 1.0)
    assert (found.better, found.worse, found.n_better, found.n_worse) == ((), (), 0, 0)


def test_queries_are_matched_by_id_not_by_place() -> None:
    found = compare(run([1, 5, 9]), run([1, 5, 9], order=[2, 0, 1]), "mrr@10")
    assert (found.difference, found.n_better, found.n_worse) == (0.0, 0, 0)


def test_one_query_has_no_interval() -> None:
    assert compare(run([1]), run([2]), "mrr@10").interval is None


def test_the_seed_decides() -> None:
    first, second = run([1, 2, 3, 4, 5, 6]), run([2, 1, 1, 7, 1, 2])
    assert compare(first, second, "mrr@10", seed=3) == compare(first, second, "mrr@10", seed=3)
    assert compare(first, second, "mrr@10", seed=3).p_value != compare(first, second, "mrr@10", seed=4).p_value


def test_different_queries_are_an_error_with_counts() -> None:
    with pytest.raises(EvaluationError, match="2 are only in the first, 1 only in the second, 1 in both"):
        compare(run([1, 2, 3]), run([1, 2, 3, 4], order=[0, 3]), "mrr@10")


def test_different_judgements_documents_or_directions_are_an_error() -> None:
    first, second = run([1, 2, 3]), run([1, 2, 3])
    task = second.task
    other = replace(task, qrels={**task.qrels, "q1": {"d1": 1, "d7": 1}})
    with pytest.raises(EvaluationError, match="1 of 3 queries are judged differently: 'q1'"):
        compare(first, replace(second, task=other), "mrr@10")
    other = replace(task, qrels={**task.qrels, "q1": {"d1": 1, "d7": 0}})
    assert compare(first, replace(second, task=other), "mrr@10").difference == 0
    other = replace(task, document_ids=(*task.document_ids, "new"))
    with pytest.raises(EvaluationError, match="20 in the first, 21 in the second, 20 in both"):
        compare(first, replace(second, task=other), "mrr@10")
    with pytest.raises(EvaluationError, match="first run is text_to_image, the second image_to_text"):
        compare(first, replace(second, task=replace(task, direction="image_to_text")), "mrr@10")


def test_a_measure_that_a_run_lacks_is_an_error() -> None:
    with pytest.raises(EvaluationError, match="first run has no ndcg@10, only success@1, mrr@10"):
        compare(run([1]), run([1]), "ndcg@10")
    with pytest.raises(EvaluationError, match="no measure 'R@1'"):
        compare(run([1]), run([1]), "R@1")


def test_a_rank_that_is_missing_is_an_error_that_names_another_measure() -> None:
    first, second = run([1, 2]), run([1, 2])
    second.per_query["mean_rank"][1] = np.inf
    with pytest.raises(EvaluationError, match="1 of 2 queries have no rank") as caught:
        compare(first, second, "mean_rank")
    assert "mrr@10" in caught.value.hint


def test_one_id_with_different_words_is_an_error_with_counts() -> None:
    english = {"0": "a red wall", "1": "a map", "2": "only here"}
    check_same_words(english, {"0": "a red wall", "1": "a map"}, "queries")
    with pytest.raises(EvaluationError, match="1 of 2 queries have the same id but different words in the runs: '1'"):
        check_same_words(english, {"0": "a red wall", "1": "eine Karte"}, "queries")
