"""Rerankers and tokens for tests: small, and random by a seed."""

import numpy as np

from retrieval.rerankers.base import RerankerSpec
from retrieval.tokens.value import Tokens, TokenSpec

SMALL = TokenSpec("e" * 16, places=6, image_width=12, text_width=10, text_length=9, projection_hash="0" * 64)
DIMENSION = 16


def spec_of(kind: str) -> RerankerSpec:
    """Of an untrained reranker on `SMALL` tokens."""
    by_direction = {"text_to_image": 0.25, "image_to_text": 0.5}
    return RerankerSpec("new", kind, "", SMALL, by_direction, by_direction, {"trained_on": "nothing"})  # type: ignore[arg-type]


def texts_of(n: int, seed: int = 1, lengths: list[int] | None = None) -> Tokens:
    """n texts of 1 to 9 pieces, or of those lengths."""
    return _random(n, SMALL.text_length, SMALL.text_width, seed, lengths)


def photos_of(n: int, seed: int = 2, lengths: list[int] | None = None) -> Tokens:
    """n photos with all 6 places, or of those lengths."""
    return _random(n, SMALL.places, SMALL.image_width, seed, lengths if lengths is not None else [SMALL.places] * n)


def _random(n: int, length: int, width: int, seed: int, lengths: list[int] | None) -> Tokens:
    random = np.random.default_rng(seed)
    ends = random.integers(1, length + 1, n) if lengths is None else np.array(lengths, dtype=np.int64)
    tokens = random.normal(size=(n, length, width)).astype(np.float32)
    tokens[np.arange(length) >= ends[:, None]] = 0
    vectors = random.normal(size=(n, DIMENSION)).astype(np.float32)
    return Tokens(tokens, ends.astype(np.int64), vectors / np.linalg.norm(vectors, axis=1, keepdims=True))
