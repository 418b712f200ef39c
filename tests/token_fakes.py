"""An encoder of colours that also says what colour each quarter of a picture, and each word of a text, has."""

from collections.abc import Sequence

import numpy as np

from retrieval.encoders.base import FloatArray
from retrieval.tokens.codec import padded
from retrieval.tokens.value import Tokens, TokenSpec
from tests.fakes import ColourEncoder, Pixels, colour_of

LONGEST = 6


class QuartersEncoder(ColourEncoder):
    """A photo's tokens are the mean colours of its quarters, centred on grey; a text's are the colours of its words.

    A text of one word has one token; one without any, none.
    """

    def __init__(self, name: str = "quarters", version: str = "1", projection: str = "quarters") -> None:
        super().__init__(name, version)
        self.token_spec: TokenSpec | None = TokenSpec(self.spec.fingerprint, 4, 3, 3, LONGEST, projection)

    def encode_images_with_tokens(self, pixels: Pixels) -> Tokens:
        half = self.image_size // 2
        quarters = pixels.reshape(len(pixels), 2, half, 2, half, 3).mean(axis=(2, 4)).reshape(-1, 4, 3) / 255 - 0.5
        lengths = np.full(len(pixels), 4, dtype=np.int64)
        return Tokens(quarters.astype(np.float32), lengths, self.encode_images(pixels))

    def encode_texts_with_tokens(self, texts: Sequence[str]) -> Tokens:
        rows = [self._words(text) for text in texts]
        return Tokens(*padded(rows, 3), self.encode_texts(texts))

    def _words(self, text: str) -> FloatArray:
        colours = np.array([colour_of(word) for word in text.split()[:LONGEST]], dtype=np.float32)
        return colours.reshape(-1, 3) / 255 - np.float32(0.5)
