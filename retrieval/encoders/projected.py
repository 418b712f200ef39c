"""A `DualEncoder` made of frozen towers and a trained pair of heads."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from PIL import Image

from retrieval.arrays import FloatArray
from retrieval.encoders.base import EncoderSpec
from retrieval.encoders.heads import Heads
from retrieval.encoders.towers.base import SpatialTowers, Towers, TowersWithTokens
from retrieval.errors import EncoderError, FingerprintMismatch

if TYPE_CHECKING:
    from retrieval.tokens.value import Tokens, TokenSpec

TRAIN_AGAIN = "train them again: catalens train heads --help"


class ProjectedEncoder:
    """Towers, then heads, which end in the joint space.

    name: what `load_encoder` takes to load it again. hint: how to get heads that fit, for the errors.
    seen: the file that says which pictures the heads were trained on (see `seen.py`); it need not exist.

    Raises FingerprintMismatch if the heads were trained on other towers, EncoderError if they take other numbers of
    features.
    """

    def __init__(
        self, towers: Towers, heads: Heads, name: str, *, hint: str = TRAIN_AGAIN, seen: Path | None = None
    ) -> None:
        if heads.towers != towers.towers_hash:
            raise FingerprintMismatch(
                f"the heads of {name} were trained on other towers ({heads.towers[:12]}…) "
                f"than those of {towers.name} here ({towers.towers_hash[:12]}…)",
                hint=hint,
            )
        given = towers.image_features_dimension, towers.text_features_dimension
        found = heads.image.n_features, heads.text.n_features
        if found != given:
            raise EncoderError(
                f"the towers of {towers.name} give {given[0]} and {given[1]} features, "
                f"not {found[0]} and {found[1]} as the heads of {name} expect",
                hint=hint,
            )
        self.towers = towers
        self.heads = heads
        self.seen = seen
        self.spec = EncoderSpec(
            name=name,
            weights_hash=hashlib.sha256(f"{towers.towers_hash}{heads.sha256}".encode()).hexdigest(),
            tokenizer=towers.tokenizer,
            dimension=heads.image.dimension,
            preprocessing=towers.preprocessing,
        )

    @property
    def image_size(self) -> int:
        return self.towers.image_size

    def preprocess(self, image: Image.Image) -> npt.NDArray[np.uint8]:
        """One RGB picture -> uint8 [height, width, 3] as the image tower takes it. Thread-safe."""
        return self.towers.preprocess(image)

    def encode_images(self, pixels: npt.NDArray[np.uint8]) -> FloatArray:
        """uint8 [n, height, width, 3] -> float32 unit vectors [n, dimension]; n may be 0."""
        return self.heads.image.apply(self.towers.image_features(pixels))

    def grid(self, pixels: npt.NDArray[np.uint8]) -> FloatArray | None:
        """The heads applied to each cell of the towers' grid, see `SpatialEncoder`; None if the towers have none."""
        if not isinstance(self.towers, SpatialTowers) or (cells := self.towers.image_cells(pixels)) is None:
            return None
        vectors = self.heads.image.apply(cells.reshape(-1, cells.shape[-1]))
        return vectors.reshape(*cells.shape[:-1], self.spec.dimension)

    def encode_texts(self, texts: Sequence[str]) -> FloatArray:
        """Texts -> float32 unit vectors [len(texts), dimension]; may be empty."""
        return self.heads.text.apply(self.towers.text_features(texts))

    @cached_property
    def token_spec(self) -> "TokenSpec | None":
        """See `TokenEncoder`; None if the towers give no tokens."""
        return self.towers.token_spec_for(self.spec.fingerprint) if isinstance(self.towers, TowersWithTokens) else None

    def encode_images_with_tokens(self, pixels: npt.NDArray[np.uint8]) -> "Tokens":
        """Stacked `preprocess` results -> the towers' tokens beside the vectors of `encode_images`; n may be 0."""
        found = self._token_towers.image_features_with_tokens(pixels)
        return replace(found, vectors=self.heads.image.apply(found.vectors))

    def encode_texts_with_tokens(self, texts: Sequence[str]) -> "Tokens":
        """Texts -> the towers' tokens beside the vectors of `encode_texts`; may be empty."""
        found = self._token_towers.text_features_with_tokens(texts)
        return replace(found, vectors=self.heads.text.apply(found.vectors))

    @property
    def _token_towers(self) -> TowersWithTokens:
        if not isinstance(self.towers, TowersWithTokens):
            raise EncoderError(f"the towers of {self.towers.name} give no tokens", hint="search without reranking")
        return self.towers
