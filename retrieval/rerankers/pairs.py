"""Checks and pads what a reranker is given, and cuts it into batches: the same for every runtime."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from retrieval.arrays import FloatArray
from retrieval.errors import FingerprintMismatch
from retrieval.rerankers.base import RerankerSpec
from retrieval.tokens.value import Tokens, TokenSpec

BATCH = 256
"""Pairs at once: 30 MB of intermediate results for cross attention with 40 pieces."""

Run = Callable[..., FloatArray]
"""tokens float32 [n, length, width], lengths int64 [n], vectors float32 [n, dimension] of texts, then of photos; a side
may have one row -> float32 [n, 1]."""


def require_tokens(reranker: RerankerSpec, tokens: TokenSpec | None) -> None:
    """Raise FingerprintMismatch unless the reranker reads these tokens. None: a collection without any."""
    if tokens is None:
        raise FingerprintMismatch(
            f"the collection has no tokens for the reranker {reranker.name}", hint="catalens index --add-tokens"
        )
    if tokens != reranker.tokens:
        unlike = [key for key, value in tokens.to_json().items() if value != reranker.tokens.to_json()[key]]
        raise FingerprintMismatch(
            f"the reranker {reranker.name} reads other tokens: {', '.join(unlike)} differ",
            hint="use a reranker that was trained on this encoder: catalens train reranker",
        )


def matched(run: Run, spec: RerankerSpec, dimension: int, texts: Tokens, photos: Tokens) -> FloatArray:
    """Logits float32 [n] of a reranker, as `Reranker.match` promises.

    Raises FingerprintMismatch for tokens of other sizes than it reads, ValueError for rows that do not go together.
    """
    if len(texts) != len(photos) and 1 not in (len(texts), len(photos)):
        raise ValueError(f"{len(texts)} texts and {len(photos)} photos make no pairs")
    n = min(len(texts), len(photos)) and max(len(texts), len(photos))
    _require_sizes(spec, "text", texts, spec.tokens.text_length, spec.tokens.text_width, dimension)
    _require_sizes(spec, "photo", photos, spec.tokens.places, spec.tokens.image_width, dimension)
    logits = np.zeros(n, dtype=np.float32)
    for start in range(0, n, BATCH):
        rows = slice(start, start + BATCH)
        some_texts, some_photos = (side if len(side) == 1 else side.take(rows) for side in (texts, photos))
        # Texts differ much in length, and what is cut off costs nothing; photos have all of their places or none.
        length = max(1, int(some_texts.lengths.max()))
        found = run(*_padded(some_texts, length), *_padded(some_photos, spec.tokens.places))
        both = (some_texts.lengths > 0) & (some_photos.lengths > 0)
        logits[rows] = np.where(both, found[:, 0], 0)
    return logits


def _require_sizes(spec: RerankerSpec, side: str, given: Tokens, most: int, width: int, dimension: int) -> None:
    sizes = given.tokens.shape[2], given.vectors.shape[1]
    if sizes != (width, dimension):
        raise FingerprintMismatch(
            f"the reranker {spec.name} reads {side} tokens of {width} numbers beside vectors of {dimension}; these "
            f"have {sizes[0]} and {sizes[1]}",
            hint="use a reranker that was trained on this encoder: catalens train reranker",
        )
    if len(given) and not 0 <= given.lengths.min() <= given.lengths.max() <= min(most, given.tokens.shape[1]):
        raise FingerprintMismatch(
            f"the reranker {spec.name} reads at most {most} tokens of a {side}; there are lengths from "
            f"{given.lengths.min()} to {given.lengths.max()} in {given.tokens.shape[1]} columns",
            hint="use a reranker that was trained on this encoder: catalens train reranker",
        )


def _padded(given: Tokens, length: int) -> tuple[npt.NDArray[Any], ...]:
    """As a graph takes them: exactly `length` columns."""
    tokens = np.asarray(given.tokens[:, :length], dtype=np.float32)
    if (lacking := length - tokens.shape[1]) > 0:
        tokens = np.pad(tokens, ((0, 0), (0, lacking), (0, 0)))
    return tokens, given.lengths.astype(np.int64), given.vectors.astype(np.float32)
