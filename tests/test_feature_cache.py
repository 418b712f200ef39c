"""Features on disk: computed once, each for itself, and never taken from a damaged file."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from retrieval.arrays import FloatArray
from retrieval.errors import EncoderError, StorageError
from retrieval.training.features import FeatureCache, cached_features


def lengths(batch: Sequence[str]) -> FloatArray:
    return np.array([[len(text), 1 / 3] for text in batch], dtype=np.float32)


class Counting:
    def __init__(self) -> None:
        self.asked: list[str] = []

    def __call__(self, batch: Sequence[str]) -> FloatArray:
        self.asked += batch
        return lengths(batch)


def test_an_added_input_costs_only_itself(tmp_path: Path) -> None:
    first, then = Counting(), Counting()
    cached_features(["a", "bb"], ["a", "bb"], first, tower="t", cache=tmp_path)
    texts = ["ccc", "bb", "a", "ccc"]
    found = cached_features(texts, texts, then, tower="t", cache=tmp_path)
    assert (first.asked, then.asked) == (["a", "bb"], ["ccc"])
    assert found[:, 0].tolist() == [3, 2, 1, 3]


def test_with_and_without_a_folder_the_values_are_equal(tmp_path: Path) -> None:
    kept = cached_features(["a"], ["a"], lengths, tower="t", cache=tmp_path)
    np.testing.assert_array_equal(kept, cached_features(["a"], ["a"], lengths, tower="t", cache=None))
    np.testing.assert_array_equal(kept, cached_features(["a"], ["a"], Counting(), tower="t", cache=tmp_path))


def test_features_in_any_memory_order_come_back_as_they_were(tmp_path: Path) -> None:
    features = np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3))
    FeatureCache(tmp_path, "t").add(["a", "b"], features)
    np.testing.assert_array_equal(FeatureCache(tmp_path, "t").get(["a", "b"]), features)


def test_another_tower_has_features_of_its_own(tmp_path: Path) -> None:
    cached_features(["a"], ["a"], lengths, tower="t", cache=tmp_path)
    other = Counting()
    cached_features(["a"], ["a"], other, tower="u", cache=tmp_path)
    assert other.asked == ["a"]


def test_what_was_computed_before_a_crash_is_kept(tmp_path: Path) -> None:
    """A process that dies in its third batch leaves the first two."""
    program = """
import os, sys
from pathlib import Path
from tests.test_feature_cache import lengths
from retrieval.training.features import cached_features
calls = 0
def dying(batch):
    global calls
    calls += 1
    if calls == 3:
        os._exit(9)
    return lengths(batch)
texts = ["a", "bb", "ccc", "dddd", "eeeee"]
cached_features(texts, texts, dying, tower="t", cache=Path(sys.argv[1]), batch=2)
"""
    done = subprocess.run([sys.executable, "-c", program, tmp_path], cwd=Path(__file__).parents[1], check=False)
    assert done.returncode == 9
    texts = ["a", "bb", "ccc", "dddd", "eeeee"]
    counting = Counting()
    found = cached_features(texts, texts, counting, tower="t", cache=tmp_path, batch=2)
    assert counting.asked == ["eeeee"]
    assert found[:, 0].tolist() == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("damage", ["cut", "flipped", "half-written"])
def test_a_damaged_file_is_computed_again(tmp_path: Path, damage: str) -> None:
    cached_features(["a", "bb"], ["a", "bb"], lengths, tower="t", cache=tmp_path)
    (path,) = tmp_path.rglob("*.safetensors")
    data = bytearray(path.read_bytes())
    if damage == "half-written":  # under its temporary name
        path.rename(path.with_name(".1.part"))
    else:
        data[-1] ^= 1
        path.write_bytes(data[:-2] if damage == "cut" else data)
    counting = Counting()
    found = cached_features(["a", "bb"], ["a", "bb"], counting, tower="t", cache=tmp_path)
    assert counting.asked == ["a", "bb"]
    assert found[:, 0].tolist() == [1, 2]


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e30])
def test_features_that_are_no_numbers_are_refused_and_not_kept(tmp_path: Path, value: float) -> None:
    def broken(batch: Sequence[str]) -> FloatArray:
        return np.full((len(batch), 2), value, dtype=np.float32)

    with pytest.raises(EncoderError, match="NaN or infinity for 2 of 2") as caught, np.errstate(over="ignore"):
        cached_features(["a", "b"], ["a", "b"], broken, tower="t", cache=tmp_path)
    assert "--base" in caught.value.hint
    assert not list(tmp_path.rglob("*.safetensors"))


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot keep features") as caught:
        cached_features(["a"], ["a"], lengths, tower="t", cache=tmp_path / "file")
    assert "--cache" in caught.value.hint


def test_two_writers_do_not_disturb_each_other(tmp_path: Path) -> None:
    one, other = FeatureCache(tmp_path, "t"), FeatureCache(tmp_path, "t")
    one.add(["a"], lengths(["a"]))
    other.add(["a", "bb"], lengths(["a", "bb"]))
    both = FeatureCache(tmp_path, "t")
    assert len(both) == 2
    np.testing.assert_array_equal(both.get(["bb", "a"])[:, 0], [2, 1])
    assert not list(tmp_path.rglob("*.part"))
