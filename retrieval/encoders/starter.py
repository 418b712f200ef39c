"""`starter`: the encoder that is built in. Two pretrained towers of one modality each, joined by trained heads.

See STARTER.md beside this file for what it is good at, what it is not, and its figures.
"""

import hashlib
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from PIL import Image

from retrieval.encoders.base import EncoderSpec, FloatArray
from retrieval.encoders.heads import load_heads
from retrieval.encoders.towers import efficientnet, sentence
from retrieval.errors import EncoderError

if TYPE_CHECKING:
    from retrieval.encoders.towers.efficientnet import EfficientNetLite2
    from retrieval.encoders.towers.sentence import MultilingualSentenceEncoder

HEADS = Path(__file__).parent / "assets" / "starter.safetensors"
HEADS_SHA256 = "90dc02a5d552898ab0ff114f92e56676886b0f8e89c4285f694b3b44a6e73ab5"

_TRAIN = "train them again: python -m retrieval.training.recipes.starter --help"

TOWERS_SHA256 = hashlib.sha256("".join([efficientnet.SHA256, *sorted(sentence.SHA256.values())]).encode()).hexdigest()
"""Over the pinned hashes of every tower file: the heads name it, so they never meet other towers."""


class StarterEncoder:
    """A `DualEncoder` whose towers load on their first call: a text never pays for torch.

    heads: a heads file; by default the one that is shipped.
    sha256: what it must hash to; None takes any file, for heads trained by the user.

    Raises EncoderError if the heads were changed or were trained on other towers.
    """

    image_size = efficientnet.IMAGE_SIZE

    def __init__(self, heads: Path = HEADS, *, sha256: str | None = HEADS_SHA256) -> None:
        self._heads = load_heads(heads, sha256=sha256)
        if self._heads.towers != TOWERS_SHA256:
            raise EncoderError(
                f"the heads {heads} were trained on other towers than this release has",
                hint=_TRAIN,
            )
        found = self._heads.image.n_features, self._heads.text.n_features
        if found != (efficientnet.DIMENSION, sentence.DIMENSION):
            raise EncoderError(
                f"the towers give {efficientnet.DIMENSION} and {sentence.DIMENSION} features, "
                f"not {found[0]} and {found[1]} as the heads {heads} expect",
                hint=_TRAIN,
            )
        self.spec = EncoderSpec(
            name="starter",
            weights_hash=hashlib.sha256(f"{TOWERS_SHA256}{self._heads.sha256}".encode()).hexdigest(),
            tokenizer=f"use-multilingual-v3/{sentence.MAX_CHARACTERS}",
            dimension=self._heads.image.dimension,
            preprocessing={"size": self.image_size, "resize": "squash", "interpolation": "bicubic"},
        )

    @cached_property
    def _image_tower(self) -> "EfficientNetLite2":
        return efficientnet.EfficientNetLite2()

    @cached_property
    def _text_tower(self) -> "MultilingualSentenceEncoder":
        return sentence.MultilingualSentenceEncoder()

    def preprocess(self, image: Image.Image) -> npt.NDArray[np.uint8]:
        """One RGB picture -> uint8 [224, 224, 3]: 147 KiB to hold and queue. Thread-safe."""
        return efficientnet.preprocess(image)

    def encode_images(self, pixels: npt.NDArray[np.uint8]) -> FloatArray:
        """uint8 [n, 224, 224, 3] -> float32 unit vectors [n, dimension]; n may be 0."""
        return self._heads.image.apply(self._image_tower.features(pixels))

    def encode_texts(self, texts: Sequence[str]) -> FloatArray:
        """Texts -> float32 unit vectors [len(texts), dimension]; the first 1,000 characters of each count."""
        return self._heads.text.apply(self._text_tower.features(texts))


def load_starter() -> StarterEncoder:
    """The encoder that is shipped. Reads the heads (milliseconds); no tower and no torch yet."""
    return StarterEncoder()
