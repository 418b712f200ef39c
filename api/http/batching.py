"""Texts of requests that come together, encoded together: a tower takes several in little more time than one."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock
from time import perf_counter, sleep
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np
import numpy.typing as npt

from retrieval.arrays import FloatArray
from retrieval.encoders.base import DualEncoder, EncoderSpec, SpatialEncoder, TokenEncoder

if TYPE_CHECKING:
    from PIL import Image

    from retrieval.tokens.value import Tokens, TokenSpec

MOST = 64  # texts of one call of the tower: more gain nothing, and those who came first would wait for all

T = TypeVar("T")
OnCall = Callable[[int, float], None] | None
"""Told of each call of a text tower: how many texts, and seconds."""

Call = tuple[Sequence[str], "Future[FloatArray]"]


class BatchingEncoder:
    """A dual encoder around another one, for many threads. Each tower has one thread of its own.

    Texts that come while the tower works, or within `batch_ms` of the first, are one call of it. A text that comes
    alone after another that was alone is not kept waiting: nobody is there to share the call with.
    """

    thread_safe = True

    def __init__(self, inner: DualEncoder, batch_ms: float) -> None:
        self.inner, self.batch_ms = inner, batch_ms
        self.calls = self.texts = 0  # of the text tower, and texts in them: what batching gains
        self.on_call: OnCall = None
        self._text_tower = ThreadPoolExecutor(1, thread_name_prefix="text-tower")
        self._image_tower = ThreadPoolExecutor(1, thread_name_prefix="image-tower")
        self._changing = Lock()
        self._pending: list[Call] = []
        self._crowded = False

    @property
    def spec(self) -> EncoderSpec:
        """That of the encoder within: vectors are the same."""
        return self.inner.spec

    @property
    def image_size(self) -> int:
        """As of the encoder within."""
        return self.inner.image_size

    def preprocess(self, image: "Image.Image") -> npt.NDArray[Any]:
        """As of the encoder within."""
        return self.inner.preprocess(image)

    def encode_images(self, pixels: npt.NDArray[Any]) -> FloatArray:
        """As of the encoder within, one call after the other."""
        return self._image_tower.submit(self.inner.encode_images, pixels).result()

    def encode_texts(self, texts: Sequence[str]) -> FloatArray:
        """As of the encoder within, together with the texts of other threads. Raises what it raises for these alone.

        More than `MOST` are several calls, so that nobody's query waits for all of them.
        """
        if len(texts) > MOST:
            return np.concatenate([self.encode_texts(texts[at : at + MOST]) for at in range(0, len(texts), MOST)])
        call: Call = (texts, Future())
        with self._changing:
            first = not self._pending
            self._pending.append(call)
        if first:
            self._text_tower.submit(self._encode_pending, perf_counter())
        return call[1].result()

    def close(self) -> None:
        """End the threads; calls that wait are done before."""
        self._text_tower.shutdown()
        self._image_tower.shutdown()

    def _encode_pending(self, since: float) -> None:
        if self._crowded and (left := since + self.batch_ms / 1000 - perf_counter()) > 0:
            sleep(left)
        with self._changing:
            calls, self._pending = _first_of(self._pending)
            if self._pending:
                self._text_tower.submit(self._encode_pending, since)
        self._crowded = len(calls) > 1
        self._answer(calls)

    def _answer(self, calls: list[Call]) -> None:
        """One call of the tower for all; where that fails each alone, so that none fails for another's text."""
        texts = [text for some, _ in calls for text in some]
        try:
            self.calls, self.texts = self.calls + 1, self.texts + len(texts)
            began = perf_counter()
            vectors = self.inner.encode_texts(texts)
            if self.on_call is not None:
                self.on_call(len(texts), perf_counter() - began)
            ends = np.cumsum([len(some) for some, _ in calls]).tolist()
        except BaseException as error:
            if len(calls) == 1:
                calls[0][1].set_exception(error)
            else:
                for call in calls:
                    self._answer([call])
            return
        for (some, answer), end in zip(calls, ends, strict=True):
            # A copy, or whoever keeps one row would keep the whole batch.
            answer.set_result(vectors[end - len(some) : end].copy())


def _first_of(pending: list[Call]) -> tuple[list[Call], list[Call]]:
    """The first calls of at most `MOST` texts together, at least one call, and the rest."""
    count, taken = 0, 0
    for some, _ in pending:
        count += len(some)
        if taken and count > MOST:
            break
        taken += 1
    return pending[:taken], pending[taken:]


class _WithTokens(BatchingEncoder):
    @property
    def token_spec(self) -> "TokenSpec | None":
        return self._tokens.token_spec

    def encode_images_with_tokens(self, pixels: npt.NDArray[Any]) -> "Tokens":
        return self._image_tower.submit(self._tokens.encode_images_with_tokens, pixels).result()

    def encode_texts_with_tokens(self, texts: Sequence[str]) -> "Tokens":
        return self._text_tower.submit(self._tokens.encode_texts_with_tokens, texts).result()

    @property
    def _tokens(self) -> TokenEncoder:
        return cast(TokenEncoder, self.inner)


class _WithGrid(BatchingEncoder):
    def grid(self, pixels: npt.NDArray[Any]) -> FloatArray | None:
        return self._image_tower.submit(cast(SpatialEncoder, self.inner).grid, pixels).result()


class _WithBoth(_WithTokens, _WithGrid):
    pass


def batching(inner: DualEncoder, batch_ms: float) -> BatchingEncoder:
    """The encoder for many threads, with tokens and a grid where it has them. batch_ms: see `BatchingEncoder`."""
    kinds: dict[tuple[bool, bool], Callable[[DualEncoder, float], BatchingEncoder]] = {
        (False, False): BatchingEncoder,
        (True, False): _WithTokens,
        (False, True): _WithGrid,
        (True, True): _WithBoth,
    }
    return kinds[isinstance(inner, TokenEncoder), isinstance(inner, SpatialEncoder)](inner, batch_ms)
