"""Reading stored vectors in blocks for an index, and building again what cannot be read."""

import hashlib
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from indexer.index_build import StoredRows
from retrieval.catalogue.engine import DATABASE, reading_engine
from retrieval.collection import Collection
from retrieval.index.exact import ExactIndex
from retrieval.index.generations import INDEX_FOLDER
from tests.listed import NoiseEncoder, fill, stored, worded


@pytest.fixture
def rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StoredRows]:
    """30 texts with gaps between their ids, read 7 at a time."""
    monkeypatch.setattr("indexer.index_build.BLOCK_ROWS", 7)
    fill(tmp_path, worded(*(f"item {number}" for number in range(45))))
    fill(tmp_path, worded(*(f"item {number}" for number in range(45) if number % 3)))
    engine = reading_engine(tmp_path)
    with engine.connect() as connection:
        yield StoredRows(connection, "text", 16)
    engine.dispose()


def test_blocks_are_all_rows_once(rows: StoredRows, tmp_path: Path) -> None:
    ids, vectors = stored(tmp_path, "text")
    blocks = list(rows.blocks())
    assert [len(block[0]) for block in blocks] == [7, 7, 7, 7, 2]
    assert np.concatenate([block[0] for block in blocks]).tolist() == ids.tolist()
    np.testing.assert_array_equal(np.concatenate([block[1] for block in blocks]).astype(np.float32), vectors)


@pytest.mark.parametrize(("count", "expected"), [(0, []), (1, [0]), (4, [0, 7, 15, 22]), (31, list(range(30)))])
def test_an_even_sample(rows: StoredRows, tmp_path: Path, count: int, expected: list[int]) -> None:
    np.testing.assert_array_equal(rows.evenly(count), stored(tmp_path, "text")[1][expected])


@pytest.mark.parametrize(("count", "expected"), [(12, 12), (100, 30)])
def test_a_random_sample_has_no_row_twice(rows: StoredRows, tmp_path: Path, count: int, expected: int) -> None:
    drawn = {row.tobytes() for row in rows.at_random(count)}
    assert len(drawn) == expected
    assert drawn <= {row.tobytes() for row in stored(tmp_path, "text")[1]}


@pytest.mark.parametrize("k", [1, 10, 40])
def test_the_true_best_over_blocks_are_those_over_all(rows: StoredRows, tmp_path: Path, k: int) -> None:
    asked = NoiseEncoder().encode_texts(["a", "b", "c"])
    truth = ExactIndex(*stored(tmp_path, "text")).search(asked, k)
    assert rows.true_best(asked, k).tolist() == truth.ids.tolist()


def test_an_index_that_this_faiss_cannot_read_is_built_again(tmp_path: Path) -> None:
    items = worded("red", "green", "blue")
    fill(tmp_path, items)
    with Collection.open(tmp_path) as collection:
        name = collection.status()["index"]["text"]["file"]
    unknown = b"IxZZ" + bytes(200)  # whole as its hash says, but of a kind that no FAISS knows yet
    (tmp_path / INDEX_FOLDER / name).write_bytes(unknown)
    with closing(sqlite3.connect(tmp_path / DATABASE)) as database, database:
        digest = hashlib.sha256(unknown).hexdigest()
        database.execute("UPDATE generations SET sha256 = ? WHERE file = ?", (digest, name))
    fill(tmp_path, items)
    with Collection.open(tmp_path) as collection:
        assert collection.status()["index"]["text"]["file"] != name
        assert collection.view().text.base is not None
