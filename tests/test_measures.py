"""Measures: against a hand-worked example, against ir_measures, and by name."""

import math

import ir_measures
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.errors import EvaluationError
from retrieval.evaluation.judge import judge
from retrieval.evaluation.measures import DEFAULT_MEASURES, aliases, parse, parse_all
from retrieval.evaluation.ranking import rank_exact
from retrieval.evaluation.types import Ranking, Task

TO_IR_MEASURES = {
    "success@1": "Success@1",
    "success@5": "Success@5",
    "recall@5": "R@5",
    "recall@10": "R@10",
    "precision@5": "P@5",
    "precision@30": "P@30",
    "mrr": "RR",
    "mrr@10": "RR@10",
    "ndcg@5": "nDCG@5",
    "ndcg@10": "nDCG@10",
    "map": "AP",
    "map@10": "AP@10",
}


def ranked(scores: np.ndarray, qrels: dict[str, dict[str, int]]) -> tuple[Task, Ranking]:
    """A task whose scores are exactly these: with unit vectors as documents a query's vector is its scores."""
    queries = tuple(f"q{row}" for row in range(len(scores)))
    documents = tuple(f"d{column}" for column in range(scores.shape[1]))
    task = Task("text_to_image", queries, documents, qrels)
    return task, rank_exact(scores.astype(np.float32), np.eye(scores.shape[1], dtype=np.float32), task)


def figures(scores: np.ndarray, qrels: dict[str, dict[str, int]], *measures: str) -> dict[str, float]:
    task, ranking = ranked(scores, qrels)
    return dict(judge(task, ranking, measures).figures)


def test_a_hand_worked_example() -> None:
    """q0 puts its relevant documents (grades 2, 1, 3) at ranks 2, 4 and 6; q1 its only one at rank 1."""
    scores = np.array([[0.6, 0.5, 0.4, 0.3, 0.2, 0.1], [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]])
    qrels = {"q0": {"d1": 2, "d3": 1, "d5": 3, "d0": 0}, "q1": {"d5": 1}}
    found = figures(
        scores,
        qrels,
        *("success@1", "success@2", "recall@4", "precision@4", "mrr", "mrr@1", "map", "map@4", "ndcg@4"),
        *("median_rank", "mean_rank"),
    )
    dcg = 2 / math.log2(3) + 1 / math.log2(5)
    ideal = 3 / math.log2(2) + 2 / math.log2(3) + 1 / math.log2(4)
    assert found == pytest.approx(
        {
            "success@1": (0 + 1) / 2,
            "success@2": (1 + 1) / 2,
            "recall@4": (2 / 3 + 1) / 2,
            "precision@4": (2 / 4 + 1 / 4) / 2,
            "mrr": (1 / 2 + 1) / 2,
            "mrr@1": (0 + 1) / 2,
            "map": ((1 / 2 + 2 / 4 + 3 / 6) / 3 + 1) / 2,
            "map@4": ((1 / 2 + 2 / 4) / 3 + 1) / 2,
            "ndcg@4": (dcg / ideal + 1) / 2,
            "median_rank": (2 + 1) / 2,
            "mean_rank": (2 + 1) / 2,
        },
        abs=1e-12,
    )


def random_case(seed: int, queries: int, documents: int) -> tuple[np.ndarray, dict[str, dict[str, int]]]:
    """Scores with many ties, and judgements with grades -1 to 3; some queries have no relevant document."""
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, max(2, documents // 3), size=(queries, documents)) / 64
    grades = rng.choice([-1, 0, 0, 0, 0, 0, 1, 2, 3], size=(queries, documents))
    judged = rng.random((queries, documents)) < rng.choice([0.05, 0.3, 0.9])
    qrels = {
        f"q{q}": {f"d{d}": int(grades[q, d]) for d in range(documents) if judged[q, d]} or {"d0": 0}
        for q in range(queries)
    }
    return scores, qrels


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), queries=st.integers(1, 12), documents=st.integers(1, 60))
def test_equals_ir_measures_per_query_with_ties_and_grades(seed: int, queries: int, documents: int) -> None:
    """Equal scores: trec_eval puts the larger document id first, MS MARCO's script (RR@10) the smaller.

    So the ids handed over descend along the documents for the one and ascend for the other: then both order ties as
    Catalens does, by the order of the documents.
    """
    scores, qrels = random_case(seed, queries, documents)
    task, ranking = ranked(scores, qrels)
    result = judge(task, ranking, TO_IR_MEASURES)
    for ours, theirs in TO_IR_MEASURES.items():
        names = {f"d{d}": f"{d if ours == 'mrr@10' else documents - d:05d}" for d in range(documents)}
        run = {f"q{q}": {names[f"d{d}"]: float(s) for d, s in enumerate(scores[q])} for q in range(queries)}
        renamed = {query: {names[d]: grade for d, grade in row.items()} for query, row in qrels.items()}
        measure = ir_measures.parse_measure(theirs)
        expected = {found.query_id: found.value for found in ir_measures.iter_calc([measure], renamed, run)}
        got = dict(zip(task.query_ids, result.per_query[ours], strict=True))
        assert got == pytest.approx(expected, abs=1e-9), ours
        assert result.figures[ours] == pytest.approx(
            ir_measures.calc_aggregate([measure], renamed, run)[measure], abs=1e-9
        )


def test_a_query_without_relevant_documents_counts_as_nothing_found() -> None:
    scores = np.array([[0.3, 0.2, 0.1]] * 3)
    found = figures(scores, {"q0": {"d0": 1}, "q1": {"d0": 0}}, *DEFAULT_MEASURES, "map", "mean_rank")
    assert found["success@1"] == found["recall@10"] == found["mrr@10"] == found["ndcg@10"] == found["map"] == 1 / 3
    assert found["median_rank"] == found["mean_rank"] == math.inf


def test_the_median_rank_is_of_all_documents_however_few_are_named() -> None:
    scores = np.tile(np.linspace(1, 0, 500), (3, 1))
    task = Task(
        "text_to_image",
        ("a", "b", "c"),
        tuple(map(str, range(500))),
        {"a": {"9": 1}, "b": {"399": 1, "450": 1}, "c": {"499": 1}},
    )
    ranking = rank_exact(scores.astype(np.float32), np.eye(500, dtype=np.float32), task, depth=10)
    assert judge(task, ranking, ["median_rank", "mean_rank"]).figures == {"median_rank": 400, "mean_rank": 910 / 3}


def test_names_are_read_in_any_case_and_kept_once() -> None:
    assert [measure.name for measure in parse_all([" nDCG@10", "ndcg@010", "MEDIAN_RANK", "mrr"])] == [
        "ndcg@10",
        "median_rank",
        "mrr",
    ]
    assert parse("ndcg@10").higher_is_better
    assert not parse("mean_rank").higher_is_better
    assert parse("mrr").cutoff is None


@pytest.mark.parametrize(
    ("name", "message", "hint"),
    [
        ("R@10", "no measure 'R@10'", "did you mean recall@10?"),
        ("sucess@5", "no measure 'sucess@5'", "did you mean success@5?"),
        ("recip_rank", "no measure 'recip_rank'", "did you mean mrr@10?"),
        ("medr", "no measure 'medr'", "did you mean median_rank?"),
        ("zzz", "no measure 'zzz'", "the measures are success@10, "),
        ("", "no measure ''", "the measures are"),
        ("success", "needs a cutoff", "write success@10"),
        ("median_rank@5", "takes no cutoff", "write median_rank"),
        ("success@0", "no usable cutoff", "from 1 to 1,000"),
        ("success@-1", "no usable cutoff", "from 1 to 1,000"),
        ("success@²", "no usable cutoff", "from 1 to 1,000"),
        ("success@", "no usable cutoff", "from 1 to 1,000"),
        ("success@000000001000000", "no usable cutoff", "from 1 to 1,000"),
        pytest.param(
            f"success@{'9' * 4400}", "'success@9+' has no usable cutoff", "from 1 to 1,000", id="4,400 digits"
        ),
        ("mrr@1000000000000", "no usable cutoff", "from 1 to 1,000"),
    ],
)
def test_a_wrong_name_says_what_was_probably_meant(name: str, message: str, hint: str) -> None:
    with pytest.raises(EvaluationError, match=message) as caught:
        parse(name)
    assert hint in caught.value.hint


def test_no_measure_at_all_is_an_error() -> None:
    with pytest.raises(EvaluationError, match="no measure"):
        parse_all([])


def test_aliases_name_only_what_means_the_same() -> None:
    assert aliases("text_to_image") == {
        "image_retrieval_recall@1": "success@1",
        "image_retrieval_recall@5": "success@5",
        "image_retrieval_recall@10": "success@10",
        "success_1": "success@1",
        "success_5": "success@5",
        "success_10": "success@10",
        "recall_10": "recall@10",
        "ndcg_cut_10": "ndcg@10",
    }
    assert aliases("image_to_text", ["success@5"]) == {"text_retrieval_recall@5": "success@5", "success_5": "success@5"}
    assert aliases("image_to_image", ["precision@5", "map@10", "map", "mrr", "mrr@10", "mean_rank"]) == {
        "P_5": "precision@5",
        "map_cut_10": "map@10",
        "map": "map",
        "recip_rank": "mrr",
    }


def test_success_is_what_clip_benchmark_prints_as_recall() -> None:
    """Two of three captions of a photo lie outside the first two places: CLIP_benchmark counts 1, TREC a third."""
    found = figures(np.array([[0.9, 0.8, 0.7, 0.6]]), {"q0": {"d1": 1, "d2": 1, "d3": 1}}, "success@2", "recall@2")
    assert found == {"success@2": 1.0, "recall@2": pytest.approx(1 / 3)}


def test_a_ranking_too_short_for_a_cutoff_gives_no_figure() -> None:
    task = Task("text_to_image", ("q",), ("a", "b", "c"), {"q": {"a": 1}})
    ranking = rank_exact(np.ones((1, 3), np.float32), np.eye(3, dtype=np.float32), task, depth=2)
    with pytest.raises(EvaluationError, match="success@10 looks at 10 places, the ranking has 2"):
        judge(task, ranking, ["success@1", "success@10"])


def test_a_ranking_of_another_task_gives_no_figure() -> None:
    documents = np.eye(3, dtype=np.float32)
    task = Task("text_to_image", ("q",), ("a", "b", "c"), {"q": {"a": 1}})
    ranking = rank_exact(np.array([[3, 2, 1]], np.float32), documents, task)
    with pytest.raises(EvaluationError, match="shows others"):
        judge(Task("text_to_image", ("q",), ("a", "b", "c"), {"q": {"b": 1}}), ranking, ["mrr"])
    with pytest.raises(EvaluationError, match="1 queries, the judgements are of 2"):
        judge(Task("text_to_image", ("q", "r"), ("a", "b", "c"), {"q": {"a": 1}}), ranking, ["mrr"])
