"""What every vector index promises, checked against the whole similarity matrix."""

import tracemalloc
from collections.abc import Callable
from pathlib import Path
from threading import Thread

import faiss
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from retrieval.arrays import FloatArray
from retrieval.encoders.base import unit_rows
from retrieval.errors import StorageError
from retrieval.index import exact, faiss_index
from retrieval.index.base import NO_ID, ApproximateIndex, IdMask, Neighbours, VectorIndex, best
from retrieval.index.exact import ExactIndex, merged
from retrieval.index.faiss_index import FaissIndex, InvertedIndex
from retrieval.index.ladder import EXACT_ROWS, Rung, rung_for
from tests.listed import slow_search

DIMENSION = 16
Ids = npt.NDArray[np.int64]
Half = npt.NDArray[np.float16]
Build = Callable[[Ids, Half], VectorIndex]


def built(rung: Rung, ids: Ids, vectors: Half) -> FaissIndex:
    index = faiss_index.empty(rung, DIMENSION, vectors.astype(np.float32))
    index.add(ids, vectors)
    return index


def faiss_exact(ids: Ids, vectors: Half) -> FaissIndex:
    return built(rung_for(len(ids)), ids, vectors)


def ivf_of_all_lists(ids: Ids, vectors: Half) -> FaissIndex:
    """An inverted file that visits all its lists: only the 8-bit codes are left to blur its scores."""
    index = built(rung_for(len(ids), exact_rows=0), ids, vectors)
    if isinstance(index, InvertedIndex):
        index.nprobe = index.lists
    return index


BUILDS: dict[str, tuple[Build, float]] = {
    "numpy-exact": (ExactIndex, 1e-6),
    "faiss-exact-fp16": (faiss_exact, 1e-6),
    "faiss-ivf-sq8": (ivf_of_all_lists, 0.02),
}


@pytest.fixture(params=BUILDS)
def build(request: pytest.FixtureRequest) -> Build:
    return BUILDS[request.param][0]


@pytest.fixture
def tolerance(request: pytest.FixtureRequest, build: Build) -> float:
    """How far a score may be from the true one."""
    return next(value for function, value in BUILDS.values() if function is build)


def cloud(rows: int, seed: int = 0) -> tuple[Ids, Half]:
    """Random unit vectors under ids with gaps, in ascending order."""
    generator = np.random.default_rng(seed)
    ids = np.sort(generator.choice(10 * rows + 10, rows, replace=False)).astype(np.int64) + 1
    return ids, unit_rows(generator.normal(size=(rows, DIMENSION))).astype(np.float16)


def asked(count: int, seed: int = 99) -> FloatArray:
    return unit_rows(np.random.default_rng(seed).normal(size=(count, DIMENSION)))


def masked(ids: list[int], size: int) -> IdMask:
    allowed = np.zeros(size, dtype=np.bool_)
    allowed[ids] = True
    return IdMask(allowed)


def check(found: Neighbours, truth: Neighbours, ids: Ids, vectors: Half, queries: FloatArray, slack: float) -> None:
    """`found` answers as `truth` does, up to a score that may be off by `slack`."""
    assert found.ids.shape == truth.ids.shape
    assert found.ids.dtype == np.int64
    assert found.scores.dtype == np.float32
    np.testing.assert_array_equal(found.ids == NO_ID, truth.ids == NO_ID)
    np.testing.assert_array_equal(np.isneginf(found.scores), truth.ids == NO_ID)
    real = truth.ids != NO_ID
    np.testing.assert_allclose(found.scores[real], truth.scores[real], atol=slack)
    row_of = {int(owner): row for row, owner in enumerate(ids)}
    for query, padded in enumerate(found.ids):
        owners = padded[padded != NO_ID]
        assert len(set(owners.tolist())) == len(owners)
        true = vectors[[row_of[int(owner)] for owner in owners]].astype(np.float32) @ queries[query]
        np.testing.assert_allclose(found.scores[query][: len(owners)], true, atol=slack)
    if slack < 1e-3:
        np.testing.assert_array_equal(found.ids, truth.ids)


def test_a_masked_exact_search_copies_no_vectors() -> None:
    index = ExactIndex(np.arange(1, 2001), np.random.default_rng(0).normal(size=(2000, 512)))
    mask = IdMask(np.arange(2001) != 7)
    queries = index.vectors[6:7]
    tracemalloc.start()
    found = index.search(queries, 10, mask)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert 7 not in found.ids
    assert peak < index.vectors.nbytes / 4


class TestEveryIndex:
    @pytest.mark.parametrize("k", [1, 7, 300])
    def test_equals_the_full_similarity_matrix(self, build: Build, tolerance: float, k: int) -> None:
        ids, vectors = cloud(300)
        queries = asked(9)
        found = build(ids, vectors).search(queries, k)
        check(found, slow_search(ids, vectors, queries, k), ids, vectors, queries, tolerance)

    def test_k_beyond_the_rows_is_padded(self, build: Build, tolerance: float) -> None:
        ids, vectors = cloud(20)
        queries = asked(3)
        found = build(ids, vectors).search(queries, 50)
        assert (found.ids[:, 20:] == NO_ID).all()
        check(found, slow_search(ids, vectors, queries, 50), ids, vectors, queries, tolerance)

    @pytest.mark.parametrize("rows", [0, 1, 2, 5])
    def test_the_smallest_collections(self, build: Build, tolerance: float, rows: int) -> None:
        ids, vectors = cloud(rows)
        queries = asked(2)
        index = build(ids, vectors)
        assert len(index) == rows
        check(index.search(queries, 3), slow_search(ids, vectors, queries, 3), ids, vectors, queries, tolerance)

    def test_no_queries_no_answers(self, build: Build) -> None:
        found = build(*cloud(20)).search(asked(0), 4)
        assert found.ids.shape == found.scores.shape == (0, 4)

    @pytest.mark.parametrize("permitted", [200, 3, 1, 0])
    def test_only_permitted_ids(self, build: Build, tolerance: float, permitted: int) -> None:
        ids, vectors = cloud(300)
        chosen = np.random.default_rng(5).choice(ids, permitted, replace=False).tolist()
        queries = asked(4)
        found = build(ids, vectors).search(queries, 10, masked(chosen, int(ids[-1]) + 1))
        truth = slow_search(ids, vectors, queries, 10, set(chosen))
        check(found, truth, ids, vectors, queries, tolerance)

    @settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(
        seed=st.integers(0, 999),
        share=st.sampled_from([0.0, 0.01, 0.1, 0.5, 0.95]),
        k=st.sampled_from([1, 10, 90, 400]),
    )
    def test_any_mask_gives_all_that_it_permits_up_to_k(
        self, build: Build, tolerance: float, seed: int, share: float, k: int
    ) -> None:
        ids, vectors = cloud(300)
        chosen = ids[np.random.default_rng(seed).random(300) < share].tolist()
        queries = asked(2, seed)
        mask = masked(chosen, int(ids[-1]) + 1)
        index = build(ids, vectors)
        found = index.search(queries, k, mask)
        check(found, slow_search(ids, vectors, queries, k, set(chosen)), ids, vectors, queries, tolerance)
        assert np.sort(index.ids).tolist() == ids.tolist()
        if isinstance(index, ApproximateIndex):
            for candidates in (index.candidates(queries, k, mask), index.scan(queries, k, mask)):
                for row in candidates.ids:
                    owners = row[row != NO_ID]
                    assert len(owners) >= min(k, len(chosen))
                    assert len(set(owners.tolist())) == len(owners)
                    assert set(owners.tolist()) <= set(chosen)

    @pytest.mark.parametrize("size", [0, 1, 7, 8, 9, 250])
    def test_ids_past_the_end_of_the_mask_are_not_permitted(self, build: Build, tolerance: float, size: int) -> None:
        ids, vectors = cloud(60)
        queries = asked(2)
        found = build(ids, vectors).search(queries, 60, IdMask(np.ones(size, dtype=np.bool_)))
        truth = slow_search(ids, vectors, queries, 60, set(range(size)))
        check(found, truth, ids, vectors, queries, tolerance)

    def test_equal_scores_stand_in_ascending_order_of_id(self, build: Build) -> None:
        ids, vectors = cloud(100)
        vectors[10:30] = vectors[10]
        found = build(ids, vectors).search(vectors[10:11].astype(np.float32), 20)
        assert found.ids[0].tolist() == ids[10:30].tolist()

    def test_a_batch_equals_its_queries_one_by_one(self, build: Build) -> None:
        index = build(*cloud(300))
        queries = asked(12)
        together = index.search(queries, 5)
        for row in range(12):
            alone = index.search(queries[row : row + 1], 5)
            np.testing.assert_array_equal(alone.ids[0], together.ids[row])
            np.testing.assert_allclose(alone.scores[0], together.scores[row], atol=1e-6)

    def test_a_query_without_direction_meets_no_nan(self, build: Build) -> None:
        found = build(*cloud(50)).search(np.zeros((1, DIMENSION), np.float32), 5)
        assert np.isfinite(found.scores).all()
        assert (found.ids != NO_ID).all()

    def test_a_stored_vector_without_direction_scores_nothing(self, build: Build, tolerance: float) -> None:
        ids, vectors = cloud(50)
        vectors[7] = 0
        found = build(ids, vectors).search(asked(1), 50)
        assert abs(found.scores[0][found.ids[0] == ids[7]][0]) <= tolerance

    def test_float16_costs_less_than_the_third_decimal(self, build: Build, tolerance: float) -> None:
        generator = np.random.default_rng(3)
        vectors = unit_rows(generator.normal(size=(200, DIMENSION)))
        ids = np.arange(1, 201)
        found = build(ids, vectors.astype(np.float16)).search(vectors[:20], 1)
        np.testing.assert_allclose(found.scores[:, 0], 1.0, atol=5e-4 + tolerance)

    def test_many_threads_get_the_answers_of_one(self, build: Build) -> None:
        index = build(*cloud(300))
        queries = asked(8)
        alone = index.search(queries, 10)
        answers: list[Neighbours] = []
        mask = IdMask(np.ones(4000, dtype=np.bool_))
        threads = [Thread(target=lambda: answers.append(index.search(queries, 10, mask))) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(answers) == 8
        for answer in answers:
            np.testing.assert_array_equal(answer.ids, alone.ids)


class TestFiles:
    @pytest.mark.parametrize("make", [faiss_exact, ivf_of_all_lists])
    def test_a_saved_index_answers_as_before(self, make: Callable[[Ids, Half], FaissIndex], tmp_path: Path) -> None:
        index = make(*cloud(300))
        index.save(tmp_path / "saved")
        again = faiss_index.load(tmp_path / "saved")
        before, after = index.search(asked(5), 10), again.search(asked(5), 10)
        np.testing.assert_array_equal(after.ids, before.ids)
        np.testing.assert_array_equal(after.scores, before.scores)
        assert (len(again), again.exact, again.nprobe) == (len(index), index.exact, index.nprobe)

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
    @pytest.mark.parametrize("rows", [5, 5000])
    def test_a_full_disk_is_a_storage_error_also_for_a_file_that_fits_into_a_buffer(self, rows: int) -> None:
        with pytest.raises(StorageError, match="/dev/full") as caught:
            faiss_exact(*cloud(rows)).save(Path("/dev/full"))
        assert "free some space" in caught.value.hint

    def test_a_missing_folder_is_a_storage_error(self, tmp_path: Path) -> None:
        with pytest.raises(StorageError, match="nowhere"):
            faiss_exact(*cloud(5)).save(tmp_path / "nowhere" / "index")


def test_a_search_uses_one_openmp_thread_in_whichever_thread_it_runs() -> None:
    index = faiss_exact(*cloud(20))
    seen: list[int] = []

    def search() -> None:
        faiss.omp_set_num_threads(2)
        index.search(asked(2), 3)
        seen.append(faiss.omp_get_max_threads())

    thread = Thread(target=search)
    thread.start()
    thread.join()
    assert seen == [1]


# Whole numbers as components: their products are exact, so that ties are ties and the order is the only right one.
small_vectors = st.lists(st.tuples(*[st.integers(-2, 2)] * 3), min_size=0, max_size=25)


class TestExactIndexInBlocks:
    @settings(max_examples=150, deadline=None)
    @given(
        rows=small_vectors,
        queries=st.lists(st.tuples(*[st.integers(-2, 2)] * 3), min_size=1, max_size=4),
        k=st.integers(1, 30),
        block=st.integers(1, 8),
        cut=st.integers(0, 25),
        permitted=st.none() | st.sets(st.integers(0, 80)),
        data=st.data(),
    )
    def test_equals_the_full_matrix_with_ties(
        self,
        rows: list[tuple[int, ...]],
        queries: list[tuple[int, ...]],
        k: int,
        block: int,
        cut: int,
        permitted: set[int] | None,
        data: st.DataObject,
    ) -> None:
        order = data.draw(st.permutations(range(0, 3 * len(rows), 3)))
        ids = np.array(order, dtype=np.int64)
        vectors = np.array(rows, dtype=np.float32).reshape(-1, 3)
        asked = np.array(queries, dtype=np.float32)
        mask = None if permitted is None else masked(sorted(permitted), 81)
        truth = slow_search(ids, vectors, asked, k, permitted)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(exact, "BLOCK_ROWS", block)
            whole = ExactIndex(ids, vectors).search(asked, k, mask)
            grown = ExactIndex(ids[:cut], vectors[:cut]).extended(ids[cut:], vectors[cut:]).search(asked, k, mask)
            parts = [ExactIndex(i, v) for i, v in ((ids[:cut], vectors[:cut]), (ids[cut:], vectors[cut:]))]
            halves = merged([part.search(asked, k, mask) for part in parts], k)
        for found in (whole, grown, halves):
            np.testing.assert_array_equal(found.ids, truth.ids)
            np.testing.assert_array_equal(found.scores, truth.scores)

    def test_extending_leaves_the_index_in_use_alone(self) -> None:
        ids, vectors = cloud(10)
        index = ExactIndex(ids[:4], vectors[:4])
        assert len(index.extended(ids[4:], vectors[4:])) == 10
        assert len(index) == 4


class TestMask:
    def test_ids_past_the_end_are_not_permitted(self) -> None:
        mask = IdMask(~np.isin(np.arange(7), [2, 5]))
        assert mask.permits(np.array([-1, 0, 1, 2, 5, 6, 7, 900])).tolist() == [
            False,
            True,
            True,
            False,
            False,
            True,
            False,
            False,
        ]

    def test_an_empty_mask_permits_nothing(self) -> None:
        mask = IdMask(np.zeros(0, dtype=np.bool_))
        assert not mask.permits(np.array([-1, 0, 3])).any()

    @given(st.lists(st.booleans(), max_size=40))
    def test_packed_has_one_bit_for_each_id(self, allowed: list[bool]) -> None:
        packed = IdMask(np.array(allowed, dtype=np.bool_)).packed
        assert len(packed) == (len(allowed) + 7) // 8
        assert [bool(packed[i >> 3] >> (i & 7) & 1) for i in range(8 * len(packed))][: len(allowed)] == allowed


def test_best_puts_missing_candidates_last_whatever_their_score() -> None:
    found = best(np.array([[9.0, 1.0, 2.0]], np.float32), np.array([[NO_ID, 4, 3]]), 5)
    assert found.ids.tolist() == [[3, 4, NO_ID, NO_ID, NO_ID]]
    assert found.scores.tolist() == [[2.0, 1.0, -np.inf, -np.inf, -np.inf]]


def test_the_ladder() -> None:
    assert rung_for(0) == rung_for(EXACT_ROWS) == Rung("exact-fp16")
    assert rung_for(1_000_000) == Rung("ivf-sq8", lists=4000)
    assert rung_for(3, exact_rows=0) == Rung("ivf-sq8", lists=3)
