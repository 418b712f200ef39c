"""The seam every encoder implements, and the value that says which encoder made a vector."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from retrieval.arrays import FloatArray

if TYPE_CHECKING:
    from PIL import Image

    from retrieval.tokens.value import Tokens, TokenSpec

STARTER = "starter"
"""The name of the model that is built in."""


@dataclass(frozen=True)
class EncoderSpec:
    """What must be equal for two vectors to be comparable.

    name: the name a person gives to load it again, such as `starter` or `ViT-B-32/laion2b_s34b_b79k`.
    weights_hash: hex SHA-256 over everything learned (towers and heads).
    preprocessing: how pixels are prepared (size, resize mode, mean, std …); JSON values only.
    tokenizer: name and version of the text preparation.
    dimension: of the joint space.
    """

    name: str
    weights_hash: str
    tokenizer: str
    dimension: int
    preprocessing: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def fingerprint(self) -> str:
        """16 hex digits over all fields but the name: the same weights under two names are the same encoder."""
        learned = {
            "weights_hash": self.weights_hash,
            "tokenizer": self.tokenizer,
            "dimension": self.dimension,
            "preprocessing": dict(self.preprocessing),
        }
        return hashlib.sha256(json.dumps(learned, sort_keys=True).encode()).hexdigest()[:16]

    def to_json(self) -> dict[str, Any]:
        """The spec as JSON values, with its fingerprint, as the catalogue stores it."""
        return {
            "name": self.name,
            "weights_hash": self.weights_hash,
            "tokenizer": self.tokenizer,
            "dimension": self.dimension,
            "preprocessing": dict(self.preprocessing),
            "fingerprint": self.fingerprint,
        }


class DualEncoder(Protocol):
    """Puts pictures and texts into one space.

    When a tower is loaded is the encoder's own affair: the starter loads each on its first call, so that a text query
    does not pay for the image tower; open_clip in torch has both in one file and loads them at once.
    Instances are used by one encoding thread; only `preprocess` is called from many threads. One that has an attribute
    `thread_safe` that is true takes many for all.
    """

    @property
    def spec(self) -> EncoderSpec: ...

    @property
    def image_size(self) -> int:
        """Side in pixels of the square the image tower sees; the decoder may shrink a photo to little more."""
        ...

    def preprocess(self, image: "Image.Image") -> npt.NDArray[Any]:
        """One RGB picture -> the array the image tower takes. Thread-safe; no batch axis; one shape for all."""
        ...

    def encode_images(self, pixels: npt.NDArray[Any]) -> FloatArray:
        """Stacked `preprocess` results [n, …] -> float32 unit vectors [n, dimension]; n may be 0."""
        ...

    def encode_texts(self, texts: Sequence[str]) -> FloatArray:
        """Texts of any length and language -> float32 unit vectors [len(texts), dimension]; may be empty."""
        ...


@runtime_checkable
class SpatialEncoder(Protocol):
    """An encoder that can also say what lies where in a picture, for heat maps."""

    def grid(self, pixels: npt.NDArray[Any]) -> FloatArray | None:
        """Stacked `preprocess` results [n, …] -> float32 unit vectors [n, rows, columns, dimension], one for each cell.

        Rows run downwards over the square that the tower sees. The dot product with a query's vector says how well the
        cell alone fits the query. None if these weights have no grid.
        """
        ...


@runtime_checkable
class TokenEncoder(Protocol):
    """An encoder that can also give what a reranker looks at: places of a picture, pieces of a text."""

    @property
    def token_spec(self) -> "TokenSpec | None":
        """None if these weights have no spatial features; the methods below are then not called."""
        ...

    def encode_images_with_tokens(self, pixels: npt.NDArray[Any]) -> "Tokens":
        """Stacked `preprocess` results [n, …] -> tokens, and the vectors of `encode_images`, of one forward pass."""
        ...

    def encode_texts_with_tokens(self, texts: Sequence[str]) -> "Tokens":
        """Texts -> tokens and the unit vectors of `encode_texts`, of one forward pass."""
        ...


def takes_many_threads(encoder: DualEncoder) -> bool:
    """May several threads encode at the same time? Of an encoder that does not say so one thread makes use."""
    return bool(getattr(encoder, "thread_safe", False))


def unit_rows(vectors: npt.NDArray[Any]) -> FloatArray:
    """Rows scaled to length 1, as float32. A zero row stays zero: it scores 0 with everything instead of NaN."""
    rows = np.asarray(vectors, dtype=np.float32)
    norms = np.linalg.norm(rows, axis=-1, keepdims=True)
    unit: FloatArray = np.divide(rows, norms, out=np.zeros_like(rows), where=norms > 0)
    return unit
