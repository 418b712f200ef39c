"""Pictures of two halves, a first stage that sees only their mean colour, and a reranker that sees each half."""

import io
from collections.abc import Mapping, Sequence
from itertools import permutations

import numpy as np
from PIL import Image

from retrieval.arrays import FloatArray
from retrieval.evaluation.types import EvaluationImage, EvaluationSet, EvaluationText, Task
from retrieval.rerankers.base import Direction, RerankerSpec
from retrieval.tokens.value import Tokens, TokenSpec
from tests.fakes import COLOURS, ColourEncoder, Pixels

PAIRS = tuple(permutations(COLOURS, 2))
WEIGHTS: Mapping[Direction, float] = {"text_to_image": 0.5, "image_to_text": 0.5}


def halves(left: str, right: str) -> bytes:
    """A PNG that is one colour on the left and another on the right."""
    picture = Image.new("RGB", (32, 32), COLOURS[left])
    picture.paste(COLOURS[right], (16, 0, 32, 32))
    data = io.BytesIO()
    picture.save(data, "PNG")
    return data.getvalue()


def halves_set(pairs: Sequence[tuple[str, str]] = PAIRS) -> EvaluationSet:
    """A picture for each pair of colours, with the caption that names its colours from left to right."""
    names = tuple("-".join(pair) for pair in pairs)
    images = tuple(
        EvaluationImage(name, lambda pair=pair: halves(*pair)) for name, pair in zip(names, pairs, strict=True)
    )
    texts = tuple(EvaluationText(f"t-{name}", " ".join(pair)) for name, pair in zip(names, pairs, strict=True))
    text_ids = tuple(text.text_id for text in texts)
    return EvaluationSet(
        "halves",
        images,
        texts,
        (
            Task("text_to_image", text_ids, names, {f"t-{name}": {name: 1} for name in names}),
            Task("image_to_text", names, text_ids, {name: {f"t-{name}": 1} for name in names}),
        ),
    )


class HalvesEncoder(ColourEncoder):
    """Mean colours as vectors, so that "red blue" and "blue red" are the same; as tokens the colours from the left."""

    def __init__(self, name: str = "halves", version: str = "1") -> None:
        super().__init__(name, version)
        self.token_spec: TokenSpec | None = TokenSpec(self.spec.fingerprint, 2, 3, 3, 4, "p" * 64)

    def encode_images_with_tokens(self, pixels: Pixels) -> Tokens:
        wide = pixels.reshape(len(pixels), self.image_size, 2, self.image_size // 2, 3)
        tokens = (wide.mean(axis=(1, 3)) / 255).astype(np.float32)
        return Tokens(tokens, np.full(len(pixels), 2, dtype=np.int64), self.encode_images(pixels))

    def encode_texts_with_tokens(self, texts: Sequence[str]) -> Tokens:
        tokens = np.zeros((len(texts), 4, 3), dtype=np.float32)
        lengths = np.zeros(len(texts), dtype=np.int64)
        for row, text in enumerate(texts):
            named = [COLOURS[word] for word in text.split() if word in COLOURS][:4]
            lengths[row] = len(named)
            tokens[row, : len(named)] = np.array(named, dtype=np.float32).reshape(-1, 3) / 255
        return Tokens(tokens, lengths, self.encode_texts(texts))


class HalvesReranker:
    """1 for the right colour on each side, less the further it is off; 0 for a text that does not name two.

    sense: -1 prefers the wrong order. pairs: how many were matched so far.
    """

    runtime = "numpy"

    def __init__(
        self,
        tokens: TokenSpec | None,
        weights: Mapping[Direction, float] = WEIGHTS,
        sense: float = 1,
        name: str = "halves",
    ) -> None:
        assert tokens
        self.spec = RerankerSpec(name, "halves", "h" * 64, tokens, weights, dict.fromkeys(weights, 1.0))
        self.sense = sense
        self.pairs = 0

    def match(self, texts: Tokens, photos: Tokens) -> FloatArray:
        n = max(len(texts), len(photos)) if len(texts) and len(photos) else 0
        self.pairs += n
        words, places = texts.tokens[:, :2], photos.tokens[:, :2]
        if not n or words.shape[1] < 2:
            return np.zeros(n, dtype=np.float32)
        fit = 1 - np.abs(words - places).mean(axis=(1, 2))
        found: FloatArray = np.where(np.broadcast_to(texts.lengths, n) == 2, self.sense * fit, 0).astype(np.float32)
        return found
