"""Described pictures -> tokens and vectors on both sides, gathered, kept and split as features for heads are."""

import random
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from retrieval.arrays import FloatArray
from retrieval.encoders.base import DualEncoder, TokenEncoder
from retrieval.errors import TrainingError
from retrieval.tokens.codec import rounded
from retrieval.tokens.value import Tokens, TokenSpec
from retrieval.training.views import view_of


class TokenTowers:
    """An encoder as `gather` takes towers: a row of features is a picture's or a text's tokens, length and vector.

    Tokens are rounded as they are stored, so that training sees what a search will. A row of the starter takes 40 KB
    for a picture and 33 KB for a text: 8,000 pictures with five texts each take 1.6 GB.
    """

    runtime = "tokens"

    def __init__(self, encoder: DualEncoder, *, view: int = 0) -> None:
        """view: see `view_of`; 0 is the picture as it is. Raises TrainingError for an encoder without tokens."""
        spec = encoder.token_spec if isinstance(encoder, TokenEncoder) else None
        if spec is None:
            raise TrainingError(
                f"the model '{encoder.spec.name}' gives no tokens for a reranker to look at",
                hint="name another --base, such as starter",
            )
        self.spec: TokenSpec = spec
        self.dimension = encoder.spec.dimension
        self.encoder = encoder
        self._view = view
        self.name = encoder.spec.name
        self.towers_hash = f"{encoder.spec.fingerprint} {spec.fingerprint}" + f" view {view}" * bool(view)
        self.tokenizer = encoder.spec.tokenizer
        self.preprocessing = encoder.spec.preprocessing
        self.image_size = encoder.image_size
        self.image_features_dimension = spec.places * spec.image_width + 1 + self.dimension
        self.text_features_dimension = spec.text_length * spec.text_width + 1 + self.dimension

    def preprocess(self, image: Image.Image) -> npt.NDArray[Any]:
        """See `DualEncoder.preprocess`. What a crop shows hangs on the picture and the view's number alone."""
        if self._view:
            seed = zlib.crc32(image.tobytes()) ^ self._view
            image = view_of(image, self._view, random.Random(seed))  # noqa: S311 (no secret)
        return self.encoder.preprocess(image)

    def image_features(self, pixels: npt.NDArray[Any]) -> FloatArray:
        """float32 [n, image_features_dimension]."""
        assert isinstance(self.encoder, TokenEncoder)  # noqa: S101 (checked above)
        return _flat(rounded(self.encoder.encode_images_with_tokens(pixels)), self.spec.places)

    def text_features(self, texts: Sequence[str]) -> FloatArray:
        """float32 [n, text_features_dimension]."""
        assert isinstance(self.encoder, TokenEncoder)  # noqa: S101 (checked above)
        return _flat(rounded(self.encoder.encode_texts_with_tokens(texts)), self.spec.text_length)

    def photos(self, features: FloatArray) -> Tokens:
        """What `image_features` gave, as tokens."""
        return _tokens(features, self.spec.places, self.spec.image_width)

    def texts(self, features: FloatArray) -> Tokens:
        """What `text_features` gave, as tokens."""
        return _tokens(features, self.spec.text_length, self.spec.text_width)


def _flat(given: Tokens, length: int) -> FloatArray:
    tokens = np.pad(given.tokens, ((0, 0), (0, length - given.tokens.shape[1]), (0, 0)))
    flat: list[npt.NDArray[Any]] = [tokens.reshape(len(given), -1), given.lengths[:, None], given.vectors]
    return np.concatenate(flat, axis=1, dtype=np.float32)


def _tokens(features: FloatArray, length: int, width: int) -> Tokens:
    end = length * width
    tokens = features[:, :end].reshape(-1, length, width)
    return Tokens(tokens, features[:, end].astype(np.int64), features[:, end + 1 :])
