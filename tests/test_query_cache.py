"""A query that comes again is not encoded again."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import sleep

import numpy as np
import pytest

from indexer.pipeline import index_sources
from indexer.sources import open_source
from retrieval.arrays import FloatArray
from retrieval.query.cache import QueryCache
from retrieval.search import Searcher
from tests.fakes import ColourEncoder
from tests.test_pipeline import paint


class Counting(ColourEncoder):
    """Remembers which texts it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []

    def encode_texts(self, texts: Sequence[str]) -> FloatArray:
        self.asked += texts
        return super().encode_texts(texts)


def test_a_known_text_is_not_encoded() -> None:
    encoder = Counting()
    cache = QueryCache(encoder)
    first, again = cache.vector("red"), cache.vector("red")
    np.testing.assert_array_equal(first, ColourEncoder().encode_texts(["red"]))
    np.testing.assert_array_equal(first, again)
    assert encoder.asked == ["red"]


def test_the_longest_unused_goes_first() -> None:
    encoder = Counting()
    cache = QueryCache(encoder, size=2)
    for text in ("red", "green", "red", "blue", "red", "green"):
        cache.vector(text)
    assert encoder.asked == ["red", "green", "blue", "green"]


def test_nobody_can_spoil_a_vector() -> None:
    vector = QueryCache(Counting()).vector("red")
    with pytest.raises(ValueError, match="read-only"):
        vector[:] = 0


def test_many_threads_get_the_right_vectors() -> None:
    cache = QueryCache(Counting(), size=3)
    colours = ["red", "green", "blue", "orange", "yellow"] * 200
    expected = {colour: ColourEncoder().encode_texts([colour]) for colour in set(colours)}
    with ThreadPoolExecutor(8) as pool:
        for colour, vector in zip(colours, pool.map(cache.vector, colours), strict=True):
            np.testing.assert_array_equal(vector, expected[colour])


def test_a_search_that_comes_again_encodes_nothing(tmp_path: Path) -> None:
    paint(tmp_path / "photos" / "a.png", "red")
    index_sources(tmp_path / "shop", [open_source(tmp_path / "photos")], ColourEncoder())
    encoder = Counting()
    with Searcher.open(tmp_path / "shop", encoder) as searcher:
        first = searcher.search("red").hits
        assert searcher.search("red").hits == first
        searcher.search("red", image=tmp_path / "photos" / "a.png")
    assert encoder.asked == ["red"]


def test_one_thread_encodes_at_a_time() -> None:
    class Slow(Counting):
        inside, most = 0, 0

        def encode_texts(self, texts: Sequence[str]) -> FloatArray:
            self.inside += 1
            self.most = max(self.most, self.inside)
            sleep(0.02)
            self.inside -= 1
            return super().encode_texts(texts)

    encoder = Slow()
    cache = QueryCache(encoder)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(cache.vector, ["red", "green", "blue", "red", "green", "blue"]))
    assert encoder.most == 1
    assert sorted(encoder.asked) == ["blue", "green", "red"]


def test_a_text_that_failed_is_tried_again() -> None:
    class Broken(Counting):
        broken = True

        def encode_texts(self, texts: Sequence[str]) -> FloatArray:
            if self.broken:
                sleep(0.02)
                raise RuntimeError("the tower broke")
            return super().encode_texts(texts)

    encoder = Broken()
    cache = QueryCache(encoder)
    with ThreadPoolExecutor(4) as pool:
        for one in [pool.submit(cache.vector, "red") for _ in range(4)]:
            with pytest.raises(RuntimeError, match="the tower broke"):
                one.result(10)
    encoder.broken = False
    np.testing.assert_array_equal(cache.vector("red"), ColourEncoder().encode_texts(["red"]))


def test_hits_are_counted() -> None:
    cache = QueryCache(Counting())
    for text in ("red", "red", "green", "red"):
        cache.vector(text)
    assert (cache.hits, cache.misses) == (2, 2)
