"""Texts of many threads are encoded together, and each thread gets its own."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Event, Lock, get_ident
from time import perf_counter, sleep

import numpy as np
import pytest
from PIL import Image

from api.http.batching import MOST, BatchingEncoder, batching
from retrieval.arrays import FloatArray
from retrieval.encoders.base import SpatialEncoder, TokenEncoder
from retrieval.query.cache import QueryCache
from tests.explained import GridColourEncoder
from tests.fakes import COLOURS, ColourEncoder, Pixels, PlaceEncoder

TEXTS = [f"{shade} {colour}" for shade in ("dark", "light", "plain") for colour in COLOURS]


class Gated(ColourEncoder):
    """Keeps the calls that it gets; each waits until the gate is open. A text "boom" breaks the tower."""

    def __init__(self) -> None:
        super().__init__()
        self.open, self.entered = Event(), Event()
        self.asked: list[list[str]] = []
        self.threads: set[int] = set()
        self._counting, self.inside, self.most = Lock(), 0, 0

    def encode_texts(self, texts: Sequence[str]) -> FloatArray:
        with self._counting:
            self.inside += 1
            self.most = max(self.most, self.inside)
        self.asked.append(list(texts))
        self.threads.add(get_ident())
        self.entered.set()
        assert self.open.wait(10)
        try:
            if "boom" in texts:
                raise RuntimeError("the tower broke")
            return super().encode_texts(texts)
        finally:
            with self._counting:
                self.inside -= 1


def waiting(encoder: BatchingEncoder, calls: int) -> bool:
    """Do that many calls wait for the tower, at last?"""
    ends = perf_counter() + 10
    while len(encoder._pending) != calls and perf_counter() < ends:
        pass
    return len(encoder._pending) == calls


def together(encoder: BatchingEncoder, inner: Gated, texts: Sequence[str]) -> list[FloatArray | Exception]:
    """What each of many threads gets for its text, where all came while the tower worked."""

    def of(text: str) -> FloatArray | Exception:
        try:
            return encoder.encode_texts([text])
        except RuntimeError as error:
            return error

    with ThreadPoolExecutor(len(texts) + 1) as pool:
        first = pool.submit(of, "grey")
        assert inner.entered.wait(10)
        got = [pool.submit(of, text) for text in texts]
        assert waiting(encoder, len(texts))
        inner.open.set()
        first.result(10)
        return [one.result(10) for one in got]


def test_calls_that_wait_are_one_batch_and_each_gets_what_it_would_alone() -> None:
    inner = Gated()
    encoder = batching(inner, 1)
    got = together(encoder, inner, TEXTS)
    assert len(inner.asked) == 2
    assert sorted(inner.asked[1]) == sorted(TEXTS)
    for text, vector in zip(TEXTS, got, strict=True):
        np.testing.assert_array_equal(vector, ColourEncoder().encode_texts([text]))
    assert (encoder.calls, encoder.texts) == (2, 1 + len(TEXTS))
    encoder.close()


def test_a_batch_has_an_end() -> None:
    inner = Gated()
    encoder = batching(inner, 1)
    together(encoder, inner, ["red"] * (MOST + 1))
    assert [len(texts) for texts in inner.asked] == [1, MOST, 1]
    encoder.close()


def test_many_texts_of_one_call_let_another_call_between() -> None:
    inner = Gated()
    encoder = batching(inner, 1)
    with ThreadPoolExecutor(2) as pool:
        many = pool.submit(encoder.encode_texts, ["red"] * MOST + ["blue"] * MOST)
        assert inner.entered.wait(10)
        one = pool.submit(encoder.encode_texts, ["green"])
        assert waiting(encoder, 1)
        inner.open.set()
        np.testing.assert_array_equal(one.result(10), ColourEncoder().encode_texts(["green"]))
        wanted = ColourEncoder().encode_texts(["red"] * MOST + ["blue"] * MOST)
        np.testing.assert_array_equal(many.result(10), wanted)
    assert max(map(len, inner.asked)) == MOST
    encoder.close()


def test_a_text_that_breaks_the_tower_fails_alone() -> None:
    inner = Gated()
    encoder = batching(inner, 1)
    red, boom, blue = together(encoder, inner, ["red", "boom", "blue"])
    assert isinstance(boom, RuntimeError)
    np.testing.assert_array_equal(red, ColourEncoder().encode_texts(["red"]))
    np.testing.assert_array_equal(blue, ColourEncoder().encode_texts(["blue"]))
    np.testing.assert_array_equal(encoder.encode_texts(["red"]), red)  # and the tower goes on
    encoder.close()


def test_all_texts_are_encoded_on_one_thread() -> None:
    inner = Gated()
    inner.open.set()
    encoder = batching(inner, 1)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(encoder.encode_texts, [[text] for text in TEXTS]))
    assert (inner.most, len(inner.threads)) == (1, 1)
    encoder.close()


def test_texts_that_keep_coming_together_wait_for_each_other_and_one_alone_does_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waits = []

    def noted(seconds: float) -> None:
        waits.append(seconds)
        sleep(seconds)

    monkeypatch.setattr("api.http.batching.sleep", noted)
    inner = Gated()
    encoder = batching(inner, 300)
    together(encoder, inner, ["red", "blue"])
    assert waits == []
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(encoder.encode_texts, [["green"], ["cyan"]]))
    assert sorted(inner.asked[-1]) == ["cyan", "green"]
    encoder.encode_texts(["black"])  # waits once for others, in vain
    assert [0 < wait <= 0.3 for wait in waits] == [True, True]
    encoder.encode_texts(["white"])
    assert len(waits) == 2
    encoder.close()


def test_several_texts_and_none() -> None:
    encoder = batching(ColourEncoder(), 1)
    np.testing.assert_array_equal(encoder.encode_texts(TEXTS), ColourEncoder().encode_texts(TEXTS))
    assert encoder.encode_texts([]).shape == (0, 4)
    encoder.close()


def test_pictures_go_one_call_after_the_other() -> None:
    class Slow(ColourEncoder):
        inside, most = 0, 0

        def encode_images(self, pixels: Pixels) -> FloatArray:
            self.inside += 1
            self.most = max(self.most, self.inside)
            Event().wait(0.01)
            self.inside -= 1
            return super().encode_images(pixels)

    inner = Slow()
    encoder = batching(inner, 1)
    pixels = encoder.preprocess(Image.new("RGB", (9, 9), COLOURS["red"]))[None]
    with ThreadPoolExecutor(4) as pool:
        got = list(pool.map(encoder.encode_images, [pixels] * 8))
    assert inner.most == 1
    np.testing.assert_array_equal(got[0], ColourEncoder().encode_images(pixels))
    encoder.close()


@pytest.mark.parametrize(
    ("make", "tokens", "grid"),
    [(ColourEncoder, False, False), (PlaceEncoder, True, False), (GridColourEncoder, False, True)],
)
def test_it_can_what_the_encoder_within_can(make: Callable[[], ColourEncoder], tokens: bool, grid: bool) -> None:
    inner = make()
    encoder = batching(inner, 1)
    assert (isinstance(encoder, TokenEncoder), isinstance(encoder, SpatialEncoder)) == (tokens, grid)
    assert (encoder.spec, encoder.image_size) == (inner.spec, inner.image_size)
    pixels = encoder.preprocess(Image.new("RGB", (9, 9), COLOURS["red"]))[None]
    if isinstance(encoder, TokenEncoder) and isinstance(inner, TokenEncoder):
        assert encoder.token_spec == inner.token_spec
        asked, given = encoder.encode_texts_with_tokens(["red"]), inner.encode_texts_with_tokens(["red"])
        np.testing.assert_array_equal(asked.tokens, given.tokens)
        asked, given = encoder.encode_images_with_tokens(pixels), inner.encode_images_with_tokens(pixels)
        np.testing.assert_array_equal(asked.vectors, given.vectors)
    if isinstance(encoder, SpatialEncoder) and isinstance(inner, SpatialEncoder):
        np.testing.assert_array_equal(encoder.grid(pixels), inner.grid(pixels))
    encoder.close()


def test_the_query_cache_lets_different_texts_wait_together_and_the_same_once() -> None:
    inner = Gated()
    encoder = batching(inner, 1)
    cache = QueryCache(encoder)
    with ThreadPoolExecutor(9) as pool:
        first = pool.submit(cache.vector, "grey")
        assert inner.entered.wait(10)
        got = list(map(pool.submit, [cache.vector] * 8, ["red", "blue"] * 4))
        assert waiting(encoder, 2)
        inner.open.set()
        first.result(10)
        vectors = [one.result(10) for one in got]
    assert sorted(inner.asked[1]) == ["blue", "red"]
    assert len(inner.asked) == 2
    np.testing.assert_array_equal(vectors[0], ColourEncoder().encode_texts(["red"]))
    assert (cache.hits, cache.misses) == (6, 3)
    encoder.close()
