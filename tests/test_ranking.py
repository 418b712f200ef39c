"""Exact ranking against its naive twin: the whole matrix, sorted."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.arrays import FloatArray
from retrieval.encoders.base import unit_rows
from retrieval.errors import EvaluationError
from retrieval.evaluation.ranking import FEW_RELEVANT, rank_exact
from retrieval.evaluation.relevance import Relevance, clusters
from retrieval.evaluation.types import Ranking, Task


def naive(queries: FloatArray, documents: FloatArray, task: Task, depth: int) -> Ranking:
    """Obvious and slow."""
    scores = queries @ documents.T
    order = np.argsort(-scores, axis=1, kind="stable")
    ranks = []
    for row, query in enumerate(task.query_ids):
        relevant = {name for name, grade in task.qrels.get(query, {}).items() if grade >= 1}
        ranks.append(
            np.array([rank for rank, d in enumerate(order[row], 1) if task.document_ids[d] in relevant], dtype=np.int64)
        )
    return Ranking(order[:, :depth], np.take_along_axis(scores, order, axis=1)[:, :depth], ranks)


def random_task(rng: np.random.Generator, n: int, m: int, share: float) -> Task:
    documents = tuple(f"d{d}" for d in range(m))
    qrels = {f"q{q}": {name: 1 for name in documents if rng.random() < share} for q in range(n)}
    return Task("text_to_image", tuple(qrels), documents, qrels)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(1, 40),
    m=st.integers(1, 400),
    depth=st.sampled_from([1, 3, 10, 500]),
    share=st.sampled_from([0.0, 0.02, 0.5]),
    block_bytes=st.sampled_from([1, 4_000, 2**24]),
)
def test_equals_the_naive_twin_with_ties(seed: int, n: int, m: int, depth: int, share: float, block_bytes: int) -> None:
    """Small whole numbers: sums are exact, so both give the very same scores, and ties abound."""
    rng = np.random.default_rng(seed)
    queries, documents = (rng.integers(-2, 3, size=(rows, 3)).astype(np.float32) for rows in (n, m))
    task = random_task(rng, n, m, share)
    found = rank_exact(queries, documents, task, depth, block_bytes=block_bytes)
    expected = naive(queries, documents, task, depth)
    np.testing.assert_array_equal(found.top, expected.top)
    np.testing.assert_array_equal(found.scores, expected.scores)
    assert [row.tolist() for row in found.ranks] == [row.tolist() for row in expected.ranks]
    assert found.top.dtype == np.int64
    assert found.scores.dtype == np.float32


def test_equals_the_naive_twin_on_unit_vectors() -> None:
    """3,000 documents, so that the best are found by groups; one query has more relevant ones than passes pay for."""
    rng = np.random.default_rng(5)
    queries, documents = (unit_rows(rng.standard_normal((rows, 64))) for rows in (50, 3_000))
    task = random_task(rng, 50, 3_000, 0.002)
    task.qrels["q0"].update({f"d{d}": 1 for d in range(FEW_RELEVANT + 50)})
    found, expected = rank_exact(queries, documents, task), naive(queries, documents, task, 100)
    np.testing.assert_array_equal(found.top, expected.top)
    assert [row.tolist() for row in found.ranks] == [row.tolist() for row in expected.ranks]


@pytest.mark.parametrize("n", [1, 2, 3, 50])
def test_copies_of_a_document_tie_in_document_order(n: int) -> None:
    """Every third of 37 documents is the same photo. A bare matrix product gives some copies another last bit."""
    rng = np.random.default_rng(0)
    queries, documents = (unit_rows(rng.standard_normal((rows, 512))) for rows in (n, 37))
    documents[::3] = documents[0]
    names = tuple(f"d{d}" for d in range(37))
    task = Task("image_to_image", tuple(map(str, range(n))), names, {str(q): {"d36": 1} for q in range(n)})
    ranking = rank_exact(queries, documents, task, 37)
    for row, ranks in zip(ranking.top, ranking.ranks, strict=True):
        places = [row.tolist().index(copy) for copy in range(0, 37, 3)]
        assert places == list(range(places[0], places[0] + 13))
        assert ranks.tolist() == [places[-1] + 1]


def test_memory_stays_within_the_stated_bound() -> None:
    """2,000 x 4,000: the whole matrix would be 32 MB; a block of 1 MB, a row's work and the answer stay below 6."""
    rng = np.random.default_rng(0)
    queries, documents = (unit_rows(rng.standard_normal((rows, 16))) for rows in (2_000, 4_000))
    task = Task(
        "text_to_image",
        tuple(f"q{q}" for q in range(2_000)),
        tuple(f"d{d}" for d in range(4_000)),
        {f"q{q}": {f"d{q}": 1} for q in range(2_000)},
    )
    tracemalloc.start()
    rank_exact(queries, documents, task, depth=10, block_bytes=2**20)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 6 * 2**20


def test_progress_counts_the_queries_to_the_end() -> None:
    task = Task("text_to_image", ("a", "b", "c"), ("x", "y"), {})
    told: list[tuple[int, int]] = []
    rank_exact(
        np.ones((3, 2), np.float32),
        np.eye(2, dtype=np.float32),
        task,
        on_progress=lambda done, total: told.append((done, total)),
        block_bytes=16,
    )
    assert told == [(2, 3), (3, 3)]


@pytest.mark.parametrize(
    ("queries", "documents", "qrels", "message"),
    [
        (np.ones((1, 2)), np.eye(2), {"q": {"x": 1}}, r"\(1, 2\) do not fit 2 queries"),
        (np.ones((2, 2)), np.eye(3)[:, :2], {"q": {"x": 1}}, r"\(3, 2\) do not fit 2 documents"),
        (np.ones(2), np.eye(2), {"q": {"x": 1}}, r"\(2,\) do not fit"),
        (np.ones((2, 3)), np.eye(2), {"q": {"x": 1}}, "3 dimensions, documents 2"),
        (np.array([[1, np.nan], [1, 1]]), np.eye(2), {}, "1 of 2 vectors of queries hold NaN"),
        (np.ones((2, 2)), np.full((2, 2), np.inf), {}, "2 of 2 vectors of documents hold NaN"),
        (np.ones((2, 2)), np.eye(2), {"q": {"z": 1, "w": 0}}, "name 2 documents that the set does not have: 'z', 'w'"),
        (np.ones((2, 2)), np.eye(2), {"z": {"x": 1}}, "name 1 queries that the set does not have: 'z'"),
    ],
)
def test_what_does_not_fit_is_refused(
    queries: np.ndarray, documents: np.ndarray, qrels: dict[str, dict[str, int]], message: str
) -> None:
    task = Task("text_to_image", ("q", "r"), ("x", "y"), qrels)
    with pytest.raises(EvaluationError, match=message):
        rank_exact(queries.astype(np.float32), documents.astype(np.float32), task)


def test_empty_tasks_and_depth_zero_are_refused() -> None:
    vectors = np.ones((1, 2), np.float32)
    with pytest.raises(EvaluationError, match="no queries"):
        rank_exact(vectors[:0], vectors, Task("text_to_image", (), ("x",), {}))
    with pytest.raises(EvaluationError, match="no documents"):
        rank_exact(vectors, vectors[:0], Task("text_to_image", ("q",), (), {}))
    with pytest.raises(EvaluationError, match="depth is 0"):
        rank_exact(vectors, vectors, Task("text_to_image", ("q",), ("x",), {}), depth=0)


@pytest.mark.parametrize(("queries", "documents"), [(("q", "q"), ("x",)), (("q",), ("x", "x"))])
def test_ids_that_occur_twice_are_refused(queries: tuple[str, ...], documents: tuple[str, ...]) -> None:
    with pytest.raises(EvaluationError, match=r"1 of 1 (query|document) ids occur more than once"):
        Relevance.of_task(Task("text_to_image", queries, documents, {}))


def test_queries_with_the_same_relevant_documents_are_one_cluster() -> None:
    task = Task(
        "text_to_image",
        tuple("abcdef"),
        tuple("xyz"),
        {"a": {"x": 1}, "b": {"x": 3, "y": 0}, "c": {"x": 1, "y": 1}, "d": {"z": 1}, "e": {"z": 0}},
    )
    assert clusters(Relevance.of_task(task)).tolist() == [0, 0, 1, 2, 3, 4]
