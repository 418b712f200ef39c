"""The queue before the encoder: pixels wait for a full batch, and equal bytes go through once."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from indexer.changes import EncodedPhoto, FinishedItem
from indexer.plan import ItemPlan, PhotoPlan
from retrieval.arrays import FloatArray
from retrieval.catalogue.queries import STORED_DTYPE
from retrieval.encoders.base import DualEncoder, TokenEncoder
from retrieval.tokens.codec import pack_rows

# Results kept for later photos of the same bytes: 3 MB, with tokens 22 MB; and more than are planned before they are
# stored.
RECENT = 2_048


@dataclass(frozen=True)
class Decoded:
    """pixels: as the encoder wants them; width, height: of the original."""

    pixels: npt.NDArray[Any]
    width: int
    height: int


@dataclass
class Working:
    """An item on its way. pending: photos without a result; ended: all its photos are known to the queue."""

    plan: ItemPlan
    encoded: dict[str, EncodedPhoto] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    pending: int = 0
    ended: bool = False

    @property
    def ready(self) -> bool:
        return self.ended and not self.pending

    def settle(self, path: str, result: EncodedPhoto | str) -> None:
        """Take the result of a photo, or why there is none."""
        if isinstance(result, EncodedPhoto):
            self.encoded[path] = result
        else:
            self.failures[path] = result

    def finished(self) -> FinishedItem:
        """The plan with its results."""
        return FinishedItem(self.plan, self.encoded, self.failures)


TEXTS_AT_ONCE = 256  # with tokens: 8 MB of them


@dataclass(frozen=True)
class Encoding:
    """What turns pixels and texts into what is stored. with_tokens: the encoder has them and the collection keeps them.

    Both give vectors float32 [n, dimension], and for each row its packed tokens or None.
    """

    encoder: DualEncoder
    with_tokens: bool = False

    def images(self, pixels: npt.NDArray[Any]) -> tuple[FloatArray, list[bytes | None]]:
        if self.with_tokens and isinstance(self.encoder, TokenEncoder):
            made = self.encoder.encode_images_with_tokens(pixels)
            return made.vectors, pack_rows(made)
        return self.encoder.encode_images(pixels), [None] * len(pixels)

    def texts(self, texts: Sequence[str]) -> tuple[FloatArray, list[bytes | None]]:
        if not (self.with_tokens and isinstance(self.encoder, TokenEncoder)):
            return self.encoder.encode_texts(texts), [None] * len(texts)
        vectors = np.empty((len(texts), self.encoder.spec.dimension), dtype=np.float32)
        tokens: list[bytes | None] = []
        for start in range(0, len(texts), TEXTS_AT_ONCE):
            made = self.encoder.encode_texts_with_tokens(texts[start : start + TEXTS_AT_ONCE])
            vectors[start : start + TEXTS_AT_ONCE] = made.vectors
            tokens += pack_rows(made)
        return vectors, tokens


class EncodeQueue:
    """Photos between the decoder and the encoder. at_once: how many are encoded together."""

    def __init__(self, encoding: Encoding, at_once: int) -> None:
        self._encoding = encoding
        self._at_once = at_once
        self._waiting: list[tuple[str, Decoded]] = []
        self._expecting: dict[str, list[tuple[Working, str]]] = {}
        self._recent: OrderedDict[str, EncodedPhoto | str] = OrderedDict()

    @property
    def full(self) -> bool:
        """Is there a batch to encode?"""
        return len(self._waiting) >= self._at_once

    def expect(self, item: Working, photo: PhotoPlan) -> bool:
        """Announce a photo of an item. True if it must be decoded, False if its bytes are known or on their way."""
        known = self._recent.get(photo.content_hash)
        if known is not None:
            item.settle(photo.path, known)
            return False
        item.pending += 1
        first = photo.content_hash not in self._expecting
        self._expecting.setdefault(photo.content_hash, []).append((item, photo.path))
        return first

    def add(self, photo: PhotoPlan, decoded: Decoded | str) -> None:
        """Take the pixels of an announced photo, or why there are none."""
        if isinstance(decoded, Decoded):
            self._waiting.append((photo.content_hash, decoded))
        else:
            self._settle(photo.content_hash, decoded)

    def encode(self) -> int:
        """Encode what waits. Returns the number of photos encoded."""
        if not self._waiting:
            return 0
        vectors, tokens = self._encoding.images(np.stack([decoded.pixels for _, decoded in self._waiting]))
        for (content_hash, decoded), vector, data in zip(self._waiting, vectors, tokens, strict=True):
            usable = bool(np.isfinite(vector).all())
            encoded = EncodedPhoto(decoded.width, decoded.height, as_stored(vector), data) if usable else None
            self._settle(content_hash, encoded or "the model gave no usable vector")
        self._waiting.clear()
        return len(vectors)

    def _settle(self, content_hash: str, result: EncodedPhoto | str) -> None:
        for item, path in self._expecting.pop(content_hash):
            item.pending -= 1
            item.settle(path, result)
        self._recent[content_hash] = result
        if len(self._recent) > RECENT:
            self._recent.popitem(last=False)


def as_stored(vector: FloatArray) -> bytes:
    """A vector as the catalogue keeps it."""
    return vector.astype(STORED_DTYPE).tobytes()
