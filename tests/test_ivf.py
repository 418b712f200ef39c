"""The approximate index: its tuning, and the promises that a view keeps although its base only estimates scores."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from retrieval.arrays import FloatArray, IdArray
from retrieval.catalogue.queries import Generation
from retrieval.collection import Collection
from retrieval.encoders.base import unit_rows
from retrieval.index import faiss_index
from retrieval.index.base import NO_ID, IdMask
from retrieval.index.exact import ExactIndex
from retrieval.index.faiss_index import TARGET_RECALL, FaissIndex
from retrieval.index.ladder import TUNE_K, Rung, rung_for
from retrieval.index.view import VectorView
from tests.listed import NoiseEncoder, compacted, fill, stored, worded

ROWS, DIMENSION = 5_000, 32
Half = npt.NDArray[np.float16]


@pytest.fixture(scope="module")
def clustered() -> tuple[IdArray, Half]:
    """Rows in clusters, as photos of products are; ids count by twos."""
    generator = np.random.default_rng(0)
    centres = generator.normal(size=(60, DIMENSION))
    rows = centres[generator.integers(0, 60, ROWS)] + 1.5 * generator.normal(size=(ROWS, DIMENSION))
    return np.arange(1, ROWS + 1) * 2, unit_rows(rows).astype(np.float16)


@pytest.fixture(scope="module")
def shifted(clustered: tuple[IdArray, Half]) -> FloatArray:
    """Queries beside the clusters, as texts are: every one is moved the same way, towards where no row is."""
    generator = np.random.default_rng(1)
    rows = clustered[1][generator.integers(0, ROWS, 300)].astype(np.float32)
    return unit_rows(rows + 0.8 * unit_rows(generator.normal(size=(1, DIMENSION))))


def built(rung: Rung, rows: tuple[IdArray, Half]) -> FaissIndex:
    index = faiss_index.empty(rung, DIMENSION, rows[1].astype(np.float32))
    index.add(*rows)
    return index


def inverted(clustered: tuple[IdArray, Half]) -> FaissIndex:
    return built(rung_for(ROWS, exact_rows=1_000), clustered)


def true_best(clustered: tuple[IdArray, Half], asked: FloatArray) -> IdArray:
    return ExactIndex(*clustered).search(asked, TUNE_K).ids


@pytest.fixture(scope="module")
def tuned(clustered: tuple[IdArray, Half], shifted: FloatArray) -> FaissIndex:
    index = inverted(clustered)
    faiss_index.tune(index, shifted[:200], true_best(clustered, shifted[:200]))
    return index


def view_of(index: FaissIndex, clustered: tuple[IdArray, Half], deleted: list[int]) -> VectorView:
    last = int(clustered[0][-1])
    gone = np.array(deleted, dtype=np.int64)
    return VectorView(
        modality="image",
        dimension=DIMENSION,
        generation=Generation(1, "image", "image-000001.faiss", "", "ivf-sq8", ROWS, last, 1, index.nprobe, 1.0),
        base=index,
        delta=ExactIndex(clustered[0][:0], clustered[1][:0]),
        deleted=gone,
        live=IdMask(np.isin(np.arange(last + 1), np.setdiff1d(clustered[0], gone))),
        last_owner_id=last,
        newest_known=1,
    )


class Store:
    """The catalogue's part: gives the stored vectors of those ids that still exist."""

    def __init__(self, ids: IdArray, vectors: Half, gone: frozenset[int] = frozenset()) -> None:
        self.rows = {int(owner): row for row, owner in enumerate(ids) if int(owner) not in gone}
        self.vectors = vectors

    def fetch(self, wanted: list[int]) -> tuple[IdArray, Half]:
        found = sorted(set(wanted) & self.rows.keys())
        return np.array(found, dtype=np.int64), self.vectors[[self.rows[owner] for owner in found]]


def test_tuning_reaches_its_target_on_shifted_queries(clustered: tuple[IdArray, Half], shifted: FloatArray) -> None:
    index = inverted(clustered)
    assert index.nprobe == 1
    recall = faiss_index.tune(index, shifted[:200], true_best(clustered, shifted[:200]))
    assert recall >= TARGET_RECALL
    assert 1 < index.nprobe < rung_for(ROWS, exact_rows=1_000).lists, "neither untuned nor a full scan"


def test_the_tuned_recall_holds_for_other_queries(
    tuned: FaissIndex, clustered: tuple[IdArray, Half], shifted: FloatArray
) -> None:
    others = shifted[200:]
    truth = ExactIndex(*clustered).search(others, 10).ids
    found = view_of(tuned, clustered, []).search(others, 10, Store(*clustered).fetch).ids
    recall = np.mean([len(np.intersect1d(t, f)) / 10 for t, f in zip(truth, found, strict=True)])
    assert recall >= TARGET_RECALL - 0.03


def test_an_exact_index_needs_no_tuning(clustered: tuple[IdArray, Half], shifted: FloatArray) -> None:
    index = built(rung_for(ROWS), clustered)
    assert index.exact
    assert faiss_index.tune(index, shifted, true_best(clustered, shifted)) == 1.0
    assert index.nprobe == 0


def test_nprobe_survives_the_file(tuned: FaissIndex, tmp_path: Path) -> None:
    tuned.save(tmp_path / "index")
    assert faiss_index.load(tmp_path / "index").nprobe == tuned.nprobe > 1


def test_scores_of_a_view_are_true_cosines(
    tuned: FaissIndex, clustered: tuple[IdArray, Half], shifted: FloatArray
) -> None:
    store = Store(*clustered)
    found = view_of(tuned, clustered, []).search(shifted, 10, store.fetch)
    for query, (owners, scores) in enumerate(zip(found.ids, found.scores, strict=True)):
        rows = clustered[1][[store.rows[int(owner)] for owner in owners]].astype(np.float32)
        np.testing.assert_allclose(scores, rows @ shifted[query], atol=1e-6)
    raw = tuned.search(shifted, 10)
    assert np.abs(raw.scores[:, 0] - found.scores[:, 0]).max() > 1e-4, "the base alone estimates"


@pytest.mark.parametrize("k", [1_000, ROWS, ROWS + 7])
def test_a_large_k_is_filled_although_few_lists_are_visited(
    clustered: tuple[IdArray, Half], shifted: FloatArray, k: int
) -> None:
    found = inverted(clustered).search(shifted[:3], k)
    assert (found.ids != NO_ID).sum(axis=1).tolist() == [min(k, ROWS)] * 3


def test_a_narrow_mask_still_gives_all_that_it_permits(clustered: tuple[IdArray, Half], shifted: FloatArray) -> None:
    chosen = clustered[0][::700]
    allowed = np.zeros(int(chosen[-1]) + 1, dtype=np.bool_)
    allowed[chosen] = True
    found = inverted(clustered).search(shifted[:3], 10, IdMask(allowed))
    for owners in found.ids:
        assert sorted(owners[owners != NO_ID].tolist()) == chosen.tolist()


def test_deleted_rows_never_come_back(tuned: FaissIndex, clustered: tuple[IdArray, Half], shifted: FloatArray) -> None:
    best = ExactIndex(*clustered).search(shifted[:5], 3).ids
    deleted = sorted(set(best.ravel().tolist()))
    found = view_of(tuned, clustered, deleted).search(shifted[:5], 10, Store(*clustered).fetch)
    assert not np.isin(found.ids, deleted).any()
    assert (found.ids != NO_ID).all()


@pytest.mark.parametrize("survivors", [0, 3])
def test_rows_that_went_during_the_search_are_left_out(
    tuned: FaissIndex, clustered: tuple[IdArray, Half], shifted: FloatArray, survivors: int
) -> None:
    candidates = tuned.search(shifted[:1], 40).ids[0]
    store = Store(*clustered, gone=frozenset(candidates[survivors:].tolist()))
    found = view_of(tuned, clustered, []).search(shifted[:1], 10, store.fetch)
    assert sorted(found.ids[0][:survivors].tolist()) == sorted(candidates[:survivors].tolist())
    assert (found.ids[0][survivors:] == NO_ID).all()
    assert np.isneginf(found.scores[0][survivors:]).all()


def test_a_collection_past_the_exact_rung(tmp_path: Path) -> None:
    encoder = NoiseEncoder()
    titles = [f"item {number}" for number in range(700)]
    fill(tmp_path, worded(*titles), exact_rows=300)
    fill(tmp_path, worded(*titles[100:], *(f"later {number}" for number in range(30))), exact_rows=300)
    queries = encoder.encode_texts(titles[100:250] + [f"later {number}" for number in range(30)])
    ids, vectors = stored(tmp_path, "text")
    truth = ExactIndex(ids, vectors).search(queries, 10)
    with Collection.open(tmp_path) as collection:
        view = collection.view().text
        assert view.base is not None
        assert not view.base.exact
        assert len(view) == 630
        found = view.search(queries, 10, lambda wanted: collection.vectors("text", wanted))
        status = collection.status()["index"]["text"]
        assert status["kind"] == "ivf-sq8"
        assert status["nprobe"] == getattr(view.base, "nprobe", None) > 1
        assert TARGET_RECALL <= status["recall"] <= 1
    recall = np.mean([len(np.intersect1d(t, f)) / 10 for t, f in zip(truth.ids, found.ids, strict=True)])
    assert recall >= TARGET_RECALL - 0.03
    same = found.ids == truth.ids
    np.testing.assert_allclose(found.scores[same], truth.scores[same], atol=1e-6)
    assert compacted(tmp_path, exact_rows=2_000)
    with Collection.open(tmp_path) as collection:
        assert collection.view().text.base is not None
        status = collection.status()["index"]["text"]
        assert (status["kind"], status["nprobe"], status["recall"]) == ("exact-fp16", 0, 1.0)
