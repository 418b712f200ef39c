"""Fakes that carry meaning: their right answers are knowable, so tests of the whole path need no weights."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image

from retrieval.arrays import FloatArray
from retrieval.encoders.base import EncoderSpec, unit_rows
from retrieval.encoders.heads import Heads
from retrieval.encoders.projected import ProjectedEncoder
from retrieval.encoders.towers.embedding import identity_head
from retrieval.tokens.value import Tokens, TokenSpec

Pixels = npt.NDArray[np.uint8]

COLOURS = {
    "red": (220, 20, 20),
    "green": (20, 180, 20),
    "blue": (20, 20, 220),
    "yellow": (230, 220, 20),
    "purple": (130, 20, 160),
    "cyan": (20, 200, 210),
    "orange": (240, 130, 20),
    "white": (250, 250, 250),
    "black": (5, 5, 5),
}


def colour_of(text: str) -> tuple[float, float, float]:
    """Mean of the colours a text names; "dark" halves and "light" lifts; grey when it names none."""
    words = text.lower().replace("-", " ").replace("_", " ").replace("/", " ").split()
    named = [COLOURS[word] for word in words if word in COLOURS]
    rgb = np.mean(named, axis=0) if named else np.array([128.0, 128.0, 128.0])
    if "dark" in words:
        rgb = rgb / 2
    if "light" in words:
        rgb = (rgb + 255) / 2
    return float(rgb[0]), float(rgb[1]), float(rgb[2])


class ColourEncoder:
    """A dual encoder whose joint space is mean colour: a red photo is nearest to the word "red".

    The vector is the colour centred on grey, with a constant fourth axis so that grey has a direction too.
    `images_encoded` and `texts_encoded` count the work, so that tests can say what a run cost.
    """

    image_size = 32

    def __init__(self, name: str = "colour", version: str = "1") -> None:
        self.spec = EncoderSpec(
            name=name,
            weights_hash=version,
            tokenizer="colour-words",
            dimension=4,
            preprocessing={"size": self.image_size},
        )
        self.images_encoded = 0
        self.texts_encoded = 0

    def preprocess(self, image: Image.Image) -> Pixels:
        return np.asarray(image.resize((self.image_size, self.image_size)), dtype=np.uint8)

    def encode_images(self, pixels: Pixels) -> FloatArray:
        self.images_encoded += len(pixels)
        return self._embed(pixels.reshape(len(pixels), -1, 3).mean(axis=1) if len(pixels) else np.empty((0, 3)))

    def encode_texts(self, texts: Sequence[str]) -> FloatArray:
        self.texts_encoded += len(texts)
        return self._embed(np.array([colour_of(text) for text in texts]).reshape(-1, 3))

    def _embed(self, rgb: npt.NDArray[np.float64]) -> FloatArray:
        centred = rgb / 255 - 0.5
        return unit_rows(np.concatenate([centred, np.full((len(rgb), 1), 0.25)], axis=1))


class ColourTowers:
    """Towers whose features are mean colours, but with a text side that mixes up the channels until heads are trained.

    Photos give (r, g, b, 1) and texts (g, b, r, 1) of the colours they name, so that untrained heads find the wrong
    pictures, and trained ones can find the right ones. Counts its work as ColourEncoder does.
    """

    tokenizer = "colour-words"
    image_size = 32
    runtime = "torch"
    image_features_dimension = 4
    text_features_dimension = 4

    def __init__(self, name: str = "colour-towers", towers_hash: str = "c" * 64) -> None:
        self.name = name
        self.towers_hash = towers_hash
        self.preprocessing = {"size": self.image_size}
        self.images_encoded = 0
        self.texts_encoded = 0

    def preprocess(self, image: Image.Image) -> Pixels:
        return np.asarray(image.resize((self.image_size, self.image_size)), dtype=np.uint8)

    def image_features(self, pixels: Pixels) -> FloatArray:
        self.images_encoded += len(pixels)
        return self._features(pixels.reshape(len(pixels), -1, 3).mean(axis=1) if len(pixels) else np.empty((0, 3)))

    def text_features(self, texts: Sequence[str]) -> FloatArray:
        self.texts_encoded += len(texts)
        return self._features(np.array([colour_of(text) for text in texts]).reshape(-1, 3)[:, [1, 2, 0]])

    def _features(self, rgb: npt.NDArray[np.float64]) -> FloatArray:
        return np.concatenate([rgb / 255 - 0.5, np.full((len(rgb), 1), 0.25)], axis=1).astype(np.float32)


def colour_model(name: str = "colour-towers", towers_hash: str = "c" * 64) -> ProjectedEncoder:
    """ColourTowers with heads that change nothing: a base to train on from."""
    image, text = identity_head(4, seed=0).as_saved(), identity_head(4, seed=1).as_saved()
    heads = Heads(image=image, text=text, towers=towers_hash, sha256="0" * 64)
    return ProjectedEncoder(ColourTowers(name, towers_hash), heads, name)


class PlaceEncoder(ColourEncoder):
    """A ColourEncoder whose tokens know places: a photo's are the mean colours of its halves, a text's its colours.

    "red left blue right" and its mirror have one vector, so only tokens tell them apart. A text's token is a colour
    and whether left or right follows it. `blind` leaves all tokens the same: then nothing is to be learned.
    """

    def __init__(self, name: str = "places", blind: bool = False, projection: str = "0" * 64) -> None:
        super().__init__(name)
        self.blind = blind
        self.token_spec: TokenSpec | None = TokenSpec(self.spec.fingerprint, 2, 4, 6, 4, projection)

    def encode_images_with_tokens(self, pixels: Pixels) -> Tokens:
        halves = np.stack(np.array_split(pixels, 2, axis=2), axis=1)
        rgb = halves.reshape(len(pixels), 2, -1, 3).mean(axis=2) / 255 - 0.5
        tokens = np.concatenate([rgb, np.full((len(pixels), 2, 1), 0.25)], axis=2).astype(np.float32)
        vectors = self.encode_images(pixels)
        return Tokens(tokens * (not self.blind), np.full(len(pixels), 2, dtype=np.int64), vectors)

    def encode_texts_with_tokens(self, texts: Sequence[str]) -> Tokens:
        tokens = np.zeros((len(texts), 4, 6), dtype=np.float32)
        lengths = np.zeros(len(texts), dtype=np.int64)
        for row, text in enumerate(texts):
            words = text.split()
            for word, after in zip(words, [*words[1:], ""], strict=True):
                if word in COLOURS and lengths[row] < 4:
                    rgb = np.array(COLOURS[word]) / 255 - 0.5
                    tokens[row, lengths[row]] = [*rgb, 0.25, after == "left", after == "right"]
                    lengths[row] += 1
        return Tokens(tokens * (not self.blind), lengths, self.encode_texts(texts))
