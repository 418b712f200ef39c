"""Any whole encoder as `Towers`: its features are its own embeddings, and the heads that change nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from retrieval.arrays import FloatArray
from retrieval.encoders.base import DualEncoder, SpatialEncoder, TokenEncoder
from retrieval.encoders.heads import Head
from retrieval.errors import EncoderError
from retrieval.tokens.value import Tokens, TokenSpec

if TYPE_CHECKING:
    from PIL import Image

_WIDTH = 256


class EmbeddingTowers:
    """The vectors of a `DualEncoder` whose towers and projection come as one, such as an open_clip model."""

    def __init__(self, encoder: DualEncoder) -> None:
        self.encoder = encoder
        spec = encoder.spec
        self.name = spec.name
        self.towers_hash = spec.weights_hash
        self.tokenizer = spec.tokenizer
        self.preprocessing: Mapping[str, Any] = spec.preprocessing
        self.image_size = encoder.image_size
        self.runtime: str = getattr(encoder, "runtime", "torch")  # encoders without exports have no word for it
        self.image_features_dimension = spec.dimension
        self.text_features_dimension = spec.dimension

    def preprocess(self, image: "Image.Image") -> npt.NDArray[np.uint8]:
        """The encoder's own. Thread-safe."""
        return self.encoder.preprocess(image)

    def image_features(self, pixels: npt.NDArray[np.uint8]) -> FloatArray:
        """Stacked `preprocess` results -> float32 unit vectors [n, dimension]; n may be 0."""
        return self.encoder.encode_images(pixels)

    def image_cells(self, pixels: npt.NDArray[np.uint8]) -> FloatArray | None:
        """The encoder's own grid; None if it has none."""
        return self.encoder.grid(pixels) if isinstance(self.encoder, SpatialEncoder) else None

    def token_spec_for(self, encoder: str) -> TokenSpec | None:
        """The encoder's own tokens beside the vectors of another with that fingerprint; None if it has none."""
        own = self.encoder.token_spec if isinstance(self.encoder, TokenEncoder) else None
        return None if own is None else replace(own, encoder=encoder)

    def image_features_with_tokens(self, pixels: npt.NDArray[np.uint8]) -> Tokens:
        """Stacked `preprocess` results -> the encoder's tokens, with its unit vectors; n may be 0."""
        return self._giving_tokens().encode_images_with_tokens(pixels)

    def text_features_with_tokens(self, texts: Sequence[str]) -> Tokens:
        """Texts -> the encoder's tokens, with its unit vectors; may be empty."""
        return self._giving_tokens().encode_texts_with_tokens(texts)

    def _giving_tokens(self) -> TokenEncoder:
        if not isinstance(self.encoder, TokenEncoder):
            raise EncoderError(f"{self.name} gives no tokens", hint="search without reranking")
        return self.encoder

    def text_features(self, texts: Sequence[str]) -> FloatArray:
        """Texts -> float32 unit vectors [len(texts), dimension]; may be empty."""
        return self.encoder.encode_texts(texts)


def identity_head(dimension: int, *, seed: int = 0) -> Head:
    """A head that gives back the unit vectors it takes, from which training can only be stopped where it helps.

    The hidden layer is drawn at random (uniform within 1/sqrt(dimension), as torch's linear layers start) and its
    output is zero, so that the head is the identity and its every weight can learn.
    """
    bound = dimension**-0.5
    rng = np.random.default_rng(seed)
    return Head(
        mean=np.zeros(dimension, dtype=np.float32),
        scale=np.ones(dimension, dtype=np.float32),
        linear=np.eye(dimension, dtype=np.float32),
        bias=np.zeros(dimension, dtype=np.float32),
        hidden=rng.uniform(-bound, bound, (dimension, _WIDTH)).astype(np.float32),
        hidden_bias=np.zeros(_WIDTH, dtype=np.float32),
        output=np.zeros((_WIDTH, dimension), dtype=np.float32),
    )
