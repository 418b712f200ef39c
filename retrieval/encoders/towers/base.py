"""The seam below `DualEncoder`: a frozen pair of towers, which give features that trained heads project."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from retrieval.arrays import FloatArray

if TYPE_CHECKING:
    from PIL import Image

    from retrieval.tokens.value import Tokens, TokenSpec


class Towers(Protocol):
    """An image tower and a text tower whose weights never change. Features are what they give before any head.

    Instances are used by one encoding thread; only `preprocess` is called from many threads.
    """

    @property
    def name(self) -> str:
        """The name of a model with these towers, that `load_encoder` takes: `starter`, `ViT-B-32/…`, a folder."""
        ...

    @property
    def towers_hash(self) -> str:
        """Hex SHA-256 over all their weights. Heads name it: they fit the towers they were trained on and no others."""
        ...

    @property
    def tokenizer(self) -> str:
        """Name and version of the text preparation, as in `EncoderSpec`."""
        ...

    @property
    def preprocessing(self) -> Mapping[str, Any]:
        """How pixels are prepared, as in `EncoderSpec`; JSON values only."""
        ...

    @property
    def image_size(self) -> int:
        """Side in pixels of the square the image tower sees; the decoder may shrink a photo to little more."""
        ...

    @property
    def runtime(self) -> str:
        """What computes the features, in words: `torch`, or of an export `openvino (image f32, text bf16)`."""
        ...

    @property
    def image_features_dimension(self) -> int: ...

    @property
    def text_features_dimension(self) -> int: ...

    def preprocess(self, image: "Image.Image") -> npt.NDArray[np.uint8]:
        """One RGB picture -> uint8 [height, width, 3], one shape for all. Thread-safe."""
        ...

    def image_features(self, pixels: npt.NDArray[np.uint8]) -> FloatArray:
        """Stacked `preprocess` results [n, height, width, 3] -> float32 [n, image_features_dimension]; n may be 0."""
        ...

    def text_features(self, texts: Sequence[str]) -> FloatArray:
        """Texts of any length and language -> float32 [len(texts), text_features_dimension]; may be empty."""
        ...


@runtime_checkable
class SpatialTowers(Protocol):
    """Towers that can say what lies where in a picture, for heat maps."""

    def image_cells(self, pixels: npt.NDArray[np.uint8]) -> FloatArray | None:
        """Stacked `preprocess` results [n, …] -> features of each cell, [n, rows, columns, image_features_dimension].

        As `image_features` would be if the picture held only what the cell sees. None if these weights have no grid.
        """
        ...


@runtime_checkable
class TowersWithTokens(Protocol):
    """Towers that can also give what a reranker looks at, of the forward pass that gives the features."""

    def token_spec_for(self, encoder: str) -> "TokenSpec | None":
        """What their tokens are beside the vectors of an encoder with that fingerprint; None if they have none here."""
        ...

    def image_features_with_tokens(self, pixels: npt.NDArray[np.uint8]) -> "Tokens":
        """Stacked `preprocess` results [n, …] -> tokens, whose `vectors` are those of `image_features`; n may be 0."""
        ...

    def text_features_with_tokens(self, texts: Sequence[str]) -> "Tokens":
        """Texts -> tokens, whose `vectors` are those of `text_features`; may be empty."""
        ...
