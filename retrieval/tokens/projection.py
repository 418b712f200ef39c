"""From a tower's own width to that of tokens: principal components that are shipped, or numbers drawn once for all."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from retrieval.encoders.base import FloatArray
from retrieval.encoders.towers.pinned import read_pinned

WIDTH = 192
"""Numbers in a token. With 49 places a photo takes 9.5 KB; 320 numbers, 15.8 KB, made rerankers no better."""


@dataclass(frozen=True)
class Projection:
    """Tokens are (states - mean) @ matrix. mean: float32 [wide]; matrix: float32 [wide, narrow]."""

    mean: FloatArray
    matrix: FloatArray

    @property
    def width(self) -> int:
        return int(self.matrix.shape[1])

    @property
    def digest(self) -> str:
        """Hex SHA-256 over both."""
        return hashlib.sha256(self.mean.tobytes() + self.matrix.tobytes()).hexdigest()

    def apply(self, states: FloatArray) -> FloatArray:
        """float32 [..., wide] -> float32 [..., narrow]."""
        tokens: FloatArray = (states - self.mean) @ self.matrix
        return tokens


def drawn(wide: int) -> Projection:
    """A Gaussian projection to WIDTH, which keeps distances (Johnson & Lindenstrauss 1984); none where wide is less.

    The same numbers for every model of that width, so that collections and rerankers need not carry them.
    """
    if wide <= WIDTH:
        return Projection(np.zeros(wide, np.float32), np.eye(wide).astype(np.float32))
    matrix: FloatArray = np.random.default_rng(0).standard_normal((wide, WIDTH)).astype(np.float32)
    return Projection(np.zeros(wide, np.float32), matrix / np.float32(WIDTH**0.5))


def shipped(path: Path, sha256: str) -> dict[str, Projection]:
    """By side, `image` and `text`, what a file of this project holds, see `read_pinned` for errors.

    Principal components of states over training pictures and texts, each scaled by its variance to the power -1/4: so
    that those of little variance are not rounded away, and none is as loud as the first.
    """
    from safetensors.numpy import load

    held = load(read_pinned(path, sha256, package="catalens"))
    return {
        side: Projection(held[f"{side}.mean"].astype(np.float32), held[f"{side}.matrix"].astype(np.float32))
        for side in ("image", "text")
    }
