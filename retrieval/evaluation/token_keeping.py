"""An encoder that keeps the tokens of what it encodes, so that judging a reranker encodes everything only once."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from retrieval.encoders.base import DualEncoder, EncoderSpec, FloatArray, TokenEncoder
from retrieval.tokens.value import Tokens, TokenSpec

if TYPE_CHECKING:
    from PIL import Image


class KeptTokens:
    """Tokens of one kind of input in the order in which they came, in half precision: 19 kB a photo of 49 x 192.

    In float32 those of 25,000 photos would be 0.9 GB.
    """

    def __init__(self) -> None:
        self._rows: list[npt.NDArray[np.float16]] = []
        self._vectors: list[FloatArray] = []

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, tokens: Tokens) -> None:
        """Keep these behind those that are there."""
        for row, length in zip(tokens.tokens, tokens.lengths, strict=True):
            self._rows.append(row[:length].astype(np.float16))
        self._vectors.extend(tokens.vectors)

    def lengths(self) -> npt.NDArray[np.int64]:
        """How many tokens each row has, int64 [rows]."""
        return np.array([len(row) for row in self._rows], dtype=np.int64)

    def take(self, rows: Sequence[int] | npt.NDArray[np.int64]) -> Tokens:
        """Those rows, in that order, as float32 and as long as the longest of them, but at least one token."""
        chosen = [self._rows[row] for row in rows]
        lengths = np.array([len(row) for row in chosen], dtype=np.int64)
        tokens = np.zeros((len(chosen), max(1, *lengths), chosen[0].shape[1]), dtype=np.float32)
        for at, row in enumerate(chosen):
            tokens[at, : len(row)] = row
        return Tokens(tokens, lengths, np.stack([self._vectors[row] for row in rows]))


class TokenKeeping:
    """A DualEncoder that encodes as the one inside does, and keeps the tokens that come with the vectors.

    images: one row a picture, in order. texts: one row a different text; `text_rows` says which.
    """

    def __init__(self, encoder: DualEncoder, tokens: TokenEncoder, token_spec: TokenSpec) -> None:
        """encoder, tokens: the same object, seen as both. token_spec: the tokens that it gives."""
        self._encoder = encoder
        self._tokens = tokens
        self.token_spec = token_spec
        self.images = KeptTokens()
        self.texts = KeptTokens()
        self.text_rows: dict[str, int] = {}

    @property
    def spec(self) -> EncoderSpec:
        return self._encoder.spec

    @property
    def image_size(self) -> int:
        return self._encoder.image_size

    def preprocess(self, image: "Image.Image") -> npt.NDArray[Any]:
        return self._encoder.preprocess(image)

    def encode_images(self, pixels: npt.NDArray[Any]) -> FloatArray:
        found = self._tokens.encode_images_with_tokens(pixels)
        self.images.add(found)
        return found.vectors

    def encode_texts(self, texts: Sequence[str]) -> FloatArray:
        found = self._tokens.encode_texts_with_tokens(texts)
        self.text_rows.update(zip(texts, range(len(self.texts), len(self.texts) + len(texts)), strict=True))
        self.texts.add(found)
        return found.vectors
