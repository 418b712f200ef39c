"""Is what an export gives a reranker torch's? Judged on a few pictures: the features beside it are judged on all."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from retrieval.arrays import FloatArray
from retrieval.encoders.base import unit_rows
from retrieval.runtime.gate import EXACT, Agreement, agreement
from retrieval.tokens.value import Tokens

TOKENS = 0.999
"""What the mean over all tokens of these pictures must reach: they are rounded to 8 bits afterwards."""

PICTURES = 9
"""One alone, which runs on one thread, and a batch that runs on all: 49 tokens each."""


class TokenGate:
    """Torch's tokens of a few pictures, to compare an export's with.

    towers: in torch, and `TowersWithTokens`. pixels: uint8 [n, height, width, 3]. vectors: unit vectors from features.
    """

    def __init__(self, towers: Any, pixels: npt.NDArray[np.uint8], vectors: Callable[[FloatArray], FloatArray]) -> None:
        self._pixels, self._vectors = pixels[:PICTURES], vectors
        self._reference = self._run(towers)

    def judged(self, towers: Any) -> tuple[Agreement, bool]:
        """How well the tokens of exported towers agree with torch's, and whether they and their vectors pass."""
        mine, other = self._run(towers), self._reference
        tokens = agreement(*(unit_rows(each.tokens.reshape(-1, each.tokens.shape[-1])) for each in (other, mine)))
        vectors = agreement(self._vectors(other.vectors), self._vectors(mine.vectors))
        return tokens, tokens.mean >= TOKENS and vectors.reaches(EXACT)

    def _run(self, towers: Any) -> Tokens:
        parts = [towers.image_features_with_tokens(given) for given in (self._pixels[:1], self._pixels[1:])]
        fields = [[getattr(part, name) for part in parts] for name in ("tokens", "lengths", "vectors")]
        return Tokens(*(np.concatenate(arrays) for arrays in fields))
