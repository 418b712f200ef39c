"""`starter`: the encoder that is built in. Pretrained towers of one modality each, joined by trained heads.

See STARTER.md beside this file for what it is good at, what it is not, and its figures.
"""

import hashlib
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from retrieval.arrays import FloatArray
from retrieval.encoders.heads import load_heads
from retrieval.encoders.projected import ProjectedEncoder
from retrieval.encoders.towers import efficientnet, minilm, sentence
from retrieval.encoders.towers.graphs import IMAGE_TOKENS, Graph, GraphSource
from retrieval.encoders.towers.texts import MAX_CHARACTERS
from retrieval.tokens import projection
from retrieval.tokens.codec import padded
from retrieval.tokens.value import Tokens, TokenSpec

if TYPE_CHECKING:
    from retrieval.encoders.towers.efficientnet import EfficientNetLite2
    from retrieval.encoders.towers.minilm import MiniLM
    from retrieval.encoders.towers.sentence import MultilingualSentenceEncoder

TEXT_TOKENS = 40  # pieces, of 128: as the projections were fitted on

HEADS = Path(__file__).parent / "assets" / "starter.safetensors"
HEADS_SHA256 = "caa45ffbfb695802c92c8ac50ff712d5408a23659ea57b609e85027eb29405c1"
SEEN = HEADS.with_suffix(".seen")
"""Which pictures the heads were trained on: python -m retrieval.training.recipes.starter."""

_TRAIN = "train them again: python -m retrieval.training.recipes.starter --help"


def towers_hash(tuned: str) -> str:
    """Hex SHA-256 over the pinned hashes of every tower file, with that of the image tower's tuned blocks as given."""
    texts = (*sorted(sentence.SHA256.values()), *sorted(minilm.SHA256.values()))
    return hashlib.sha256("".join([efficientnet.SHA256, tuned, *texts]).encode()).hexdigest()


TOWERS_SHA256 = towers_hash(efficientnet.TUNED_SHA256)
"""The heads name it, so they never meet other towers."""


class StarterTowers:
    """The starter's `Towers`. Each loads on its first call: a text never pays for torch.

    graphs, unpacked: of an export, see `retrieval/encoders/towers/graphs.py`. runtime: see `Towers`. An export without
    the graph for tokens, which an earlier release made, is as good as ever for vectors; tokens then run in torch.
    """

    name = "starter"
    kind = "starter"
    towers_hash = TOWERS_SHA256
    tokenizer = f"use-multilingual-v3+minilm-{minilm.MAX_TOKENS}-english-{minilm.FOREIGN}/{MAX_CHARACTERS}"
    image_size = efficientnet.IMAGE_SIZE
    image_features_dimension = efficientnet.DIMENSION
    text_features_dimension = sentence.DIMENSION + minilm.DIMENSION

    def __init__(
        self, graphs: Mapping[str, Graph] | None = None, unpacked: Path | None = None, *, runtime: str = "torch"
    ) -> None:
        self.runtime = runtime
        self._graphs = graphs or {}
        self._unpacked = unpacked
        self.preprocessing: Mapping[str, Any] = {
            "size": self.image_size,
            "resize": "squash",
            "interpolation": "bicubic",
        }

    @cached_property
    def _image_tower(self) -> "EfficientNetLite2":
        return efficientnet.EfficientNetLite2(self._graphs.get("image"), self._graphs.get(IMAGE_TOKENS))

    @cached_property
    def _text_towers(self) -> "tuple[MultilingualSentenceEncoder, MiniLM]":
        return sentence.MultilingualSentenceEncoder(self._unpacked), minilm.MiniLM()

    def graph_sources(self) -> Mapping[str, GraphSource]:
        """The image tower, and with tokens; of an export, nothing. The text towers are NumPy."""
        if self._graphs:
            return {}
        return {"image": efficientnet.source(), IMAGE_TOKENS: efficientnet.tokens_source()}

    def unpack(self, folder: Path) -> Mapping[str, Any]:
        """Write the multilingual text tower in a form that opens at once; the other does anyway."""
        sentence.unpack(folder)
        return {}

    def preprocess(self, image: Image.Image) -> npt.NDArray[np.uint8]:
        """One RGB picture -> uint8 [224, 224, 3]: 147 KiB to hold and queue. Thread-safe."""
        return efficientnet.preprocess(image)

    def image_features(self, pixels: npt.NDArray[np.uint8]) -> FloatArray:
        """uint8 [n, 224, 224, 3] -> float32 [n, image_features_dimension]; n may be 0."""
        return self._image_tower.features(pixels)

    def image_cells(self, pixels: npt.NDArray[np.uint8]) -> FloatArray:
        """uint8 [n, 224, 224, 3] -> float32 [n, 14, 14, image_features_dimension], see `EfficientNetLite2`."""
        return self._image_tower.cell_features(pixels)

    def text_features(self, texts: Sequence[str]) -> FloatArray:
        """Texts -> float32 [len(texts), text_features_dimension]; the first 1,000 characters of each count.

        What the multilingual tower gives, and beside it what the English one does, zeros where it is not asked.
        """
        return np.concatenate([tower.features(texts) for tower in self._text_towers], axis=1)

    def token_spec_for(self, encoder: str) -> TokenSpec:
        """The image tower's last map as 49 places, the English tower's last layer as up to 40 pieces."""
        image, text = projection.of_starter()
        kind = projection.hash_of([image, text])
        return TokenSpec(encoder, efficientnet.PLACES, image.width, text.width, TEXT_TOKENS, kind)

    def image_features_with_tokens(self, pixels: npt.NDArray[np.uint8]) -> Tokens:
        """uint8 [n, 224, 224, 3] -> 49 tokens each, with their features; n may be 0."""
        features, tokens = self._image_tower.features_with_tokens(pixels)
        return Tokens(tokens, np.full(len(pixels), efficientnet.PLACES, dtype=np.int64), features)

    def text_features_with_tokens(self, texts: Sequence[str]) -> Tokens:
        """Texts -> up to 40 tokens each, none for a text that is not English, with their features; may be empty."""
        multilingual, english = self._text_towers
        _, text = projection.of_starter()
        features, states = english.features_with_tokens(texts, longest=TEXT_TOKENS)
        tokens, lengths = padded([text.apply(each) for each in states], text.width)
        return Tokens(tokens, lengths, np.concatenate([multilingual.features(texts), features], axis=1))


def load_starter(
    heads: Path = HEADS, *, sha256: str | None = HEADS_SHA256, towers: StarterTowers | None = None
) -> ProjectedEncoder:
    """The encoder that is shipped. Reads the heads (milliseconds); no tower and no torch yet.

    heads: a heads file; by default the one that is shipped.
    sha256: what it must hash to; None takes any file, for heads trained by the user.
    towers: those of an export; by default the ones that run in torch and NumPy.

    Raises EncoderError if the heads were changed or were trained on other towers.
    """
    pair, seen = load_heads(heads, sha256=sha256), heads.with_suffix(".seen")
    return ProjectedEncoder(towers or StarterTowers(), pair, "starter", hint=_TRAIN, seen=seen)
