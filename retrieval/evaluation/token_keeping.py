"""An encoder that keeps the tokens of what it encodes, so that judging a reranker encodes everything only once."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from retrieval.arrays import FloatArray
from retrieval.encoders.base import DualEncoder, EncoderSpec, TokenEncoder
from retrieval.tokens.codec import pack_rows, padded, unpack
from retrieval.tokens.value import Tokens, TokenSpec

if TYPE_CHECKING:
    from PIL import Image


class KeptTokens:
    """Tokens of one kind of input in the order in which they came, packed as a collection keeps them.

    So a reranker is judged by what a search will see; 9.5 kB a photo of 49 x 192, where float32 takes 38.
    """

    def __init__(self) -> None:
        self._rows: list[bytes | None] = []
        self._lengths: list[int] = []
        self._vectors: list[FloatArray] = []
        self._width = 1

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, tokens: Tokens) -> None:
        """Keep these behind those that are there. A row whose tokens are no numbers has none, as in a collection."""
        packed = pack_rows(tokens)
        self._width = tokens.tokens.shape[2]
        self._rows += packed
        self._lengths += [0 if data is None else int(one) for data, one in zip(packed, tokens.lengths, strict=True)]
        self._vectors.extend(tokens.vectors)

    def lengths(self) -> npt.NDArray[np.int64]:
        """How many tokens each row has, int64 [rows]."""
        return np.array(self._lengths, dtype=np.int64)

    def take(self, rows: Sequence[int] | npt.NDArray[np.int64]) -> Tokens:
        """Those rows, in that order, as float32 and as long as the longest of them, but at least one token."""
        chosen = [self._unpacked(row) for row in rows]
        return Tokens(*padded(chosen, self._width), np.stack([self._vectors[row] for row in rows]))

    def _unpacked(self, row: int) -> FloatArray:
        data = self._rows[row]
        return np.zeros((0, self._width), dtype=np.float32) if data is None else unpack(data, self._width)


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
