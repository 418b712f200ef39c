"""The doctor on healthy, damaged, overgrown and badly tuned collections."""

from pathlib import Path

import faiss
import numpy as np
import pytest

from indexer.sources.base import SourceItem
from retrieval.collection import Collection
from retrieval.evaluation.doctor import IndexHealth, examine
from retrieval.index import generations
from retrieval.index.base import Neighbours
from retrieval.index.faiss_index import FaissIndex
from retrieval.index.view import VectorView
from tests.listed import compacted, fill, paint, stored, worded


def examined(folder: Path, *, overgrown: bool = False, queries: int = 200) -> dict[str, IndexHealth]:
    with Collection.open(folder) as collection:
        found = examine(collection, due=lambda _, changed: overgrown and changed > 0, queries=queries)
    return {health.modality: health for health in found}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """30 photos with titles."""
    items = [SourceItem(f"i{at}", f"thing {at}", (paint(tmp_path / f"{at}.png", (8 * at, 0, 99)),)) for at in range(30)]
    fill(tmp_path / "c", items)
    return tmp_path / "c"


def index_file(folder: Path, modality: str = "image") -> Path:
    return max((folder / "index").glob(f"{modality}-*.faiss"))


def test_healthy(folder: Path) -> None:
    for health in examined(folder).values():
        assert (health.kind, health.rows, health.newer_rows, health.deleted_rows) == ("exact-fp16", 30, 0, 0)
        assert {asked: (one.queries, one.recall) for asked, one in health.recall.items()} == {
            "image": (30, 1.0),
            "text": (30, 1.0),
        }
        assert health.file_state == "intact"
        assert not health.broken
        assert health.advice == ()


@pytest.mark.parametrize("damage", ["damaged", "missing"])
def test_a_file_that_is_broken(damage: str, folder: Path) -> None:
    file = index_file(folder)
    if damage == "missing":
        file.unlink()
    else:
        data = bytearray(file.read_bytes())
        data[len(data) // 2] ^= 4
        file.write_bytes(data)
    found = examined(folder)
    image = found["image"]
    assert (image.broken, image.file_state, image.kind, image.rows, image.newer_rows) == (True, damage, "none", 0, 30)
    assert image.recall["text"].recall == 1.0  # exact search answers
    assert f"index/{file.name} is {damage}; exact search over the database answers instead" in image.advice[0]
    assert f"catalens index YOUR-SOURCE --collection {folder}" in image.advice[0]
    assert not found["text"].broken


def test_an_older_file_takes_over(folder: Path) -> None:
    compacted(folder)
    index_file(folder).unlink()
    image = examined(folder)["image"]
    assert image.broken
    assert "an older file (30 rows) and exact search" in image.advice[0]


def test_overgrown(folder: Path) -> None:
    fill(folder, worded("one", "two"))
    found = examined(folder, overgrown=True)["text"]
    assert (found.newer_rows, found.deleted_rows) == (2, 30)
    assert "2 newer and 30 deleted rows" in found.advice[0]
    assert not found.broken
    assert examined(folder)["text"].advice == ()


def test_a_query_does_not_find_itself(tmp_path: Path) -> None:
    """One row: nothing is left to be found by its own vector, and that is no failure."""
    fill(tmp_path / "c", worded("alone"))
    found = examined(tmp_path / "c")
    assert found["text"].recall["text"].recall == 1.0
    assert found["image"].recall == {}
    assert found["image"].advice == ()


def test_an_approximate_index(tmp_path: Path) -> None:
    fill(tmp_path / "c", worded(*(f"title {at}" for at in range(600))), exact_rows=100)
    text = examined(tmp_path / "c")["text"]
    assert (text.kind, text.rows) == ("ivf-sq8", 600)
    assert text.recall["text"].queries == 200
    assert 0.95 < text.recall["text"].recall <= 1


def test_a_badly_tuned_index_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same rows, one inverted list visited."""
    fill(tmp_path / "c", worded(*(f"title {at}" for at in range(2000))), exact_rows=100)
    load = generations.load_verified

    def untuned(folder: Path, generation: generations.Generation) -> FaissIndex | None:
        index = load(folder, generation)
        assert isinstance(index, FaissIndex)
        faiss.extract_index_ivf(index._index).nprobe = 1
        return index

    monkeypatch.setattr("retrieval.index.view.load_verified", untuned)
    text = examined(tmp_path / "c")["text"]
    assert text.recall["text"].recall < 0.9
    (advice,) = text.advice
    assert f"recall@10 is {text.recall['text'].recall:.3f} for text queries, below 0.98" in advice
    assert f"delete {index_file(tmp_path / 'c', 'text')}" in advice
    assert not text.broken


def test_recall_is_that_of_a_slow_twin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every third row is hidden from search: recall is the share of the true ten that are not hidden."""
    fill(tmp_path / "c", worded(*(f"title {at}" for at in range(100))))
    ids, vectors = stored(tmp_path / "c", "text")
    scores = vectors @ vectors.T
    np.fill_diagonal(scores, -2)
    best = ids[np.argsort(-scores, axis=1)[:, :10]]
    wanted = float((best % 3 != 0).mean())
    search = VectorView.search

    def hiding(view: VectorView, asked: np.ndarray, k: int, fetch: object) -> object:
        found = search(view, asked, 100, fetch)  # type: ignore[arg-type]
        cut = np.argsort(-found.scores, axis=1, kind="stable")[:, :k]
        shown = np.take_along_axis(found.ids, cut, 1)
        return Neighbours(np.take_along_axis(found.scores, cut, 1), np.where(shown % 3 == 0, -1, shown))

    monkeypatch.setattr(VectorView, "search", hiding)
    assert examined(tmp_path / "c")["text"].recall["text"].recall == pytest.approx(wanted)


def test_blocks_do_not_matter(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = examined(folder)
    monkeypatch.setattr("retrieval.evaluation.doctor.BLOCK_ROWS", 7)
    assert examined(folder) == whole


def test_the_sample_is_bounded(folder: Path) -> None:
    assert {one.queries for one in examined(folder, queries=12)["image"].recall.values()} == {12}


def test_json(folder: Path) -> None:
    assert examined(folder)["text"].to_json() == {
        "kind": "exact-fp16",
        "rows": 30,
        "newer_rows": 0,
        "deleted_rows": 0,
        "file": index_file(folder, "text").name,
        "file_state": "intact",
        "recall@10": {
            "image_queries": {"queries": 30, "recall": 1.0},
            "text_queries": {"queries": 30, "recall": 1.0},
        },
        "advice": [],
    }
