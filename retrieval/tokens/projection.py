"""What brings a tower's own width to one small enough to keep for every place of every photo.

The starter's matrices are shipped: principal components of what its towers give over training pictures and their texts,
each scaled by its variance to the power -1/4, so that the strong ones do not drown the rest in 8 bits. For other
towers it is a random matrix, which keeps distances (Johnson & Lindenstrauss 1984) and needs no data.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from retrieval.arrays import FloatArray
from retrieval.encoders.towers.pinned import read_pinned
from retrieval.tokens.codec import FORMAT

NARROW = 192
"""49 tokens of so many numbers take 9.5 KB a photo."""

STARTER = Path(__file__).parents[1] / "encoders" / "assets" / "starter-tokens.safetensors"
STARTER_SHA256 = "aa3371ae89d7bebd8012b6826955601abddbf74861c5a5eb99b745f5865bb427"


@dataclass(frozen=True)
class Projection:
    """mean: float32 [wide]. matrix: float32 [wide, narrow]."""

    mean: FloatArray
    matrix: FloatArray

    @property
    def width(self) -> int:
        """Numbers in a projected token."""
        return int(self.matrix.shape[1])

    def apply(self, tokens: FloatArray) -> FloatArray:
        """float32 [..., wide] -> (tokens - mean) @ matrix, float32 [..., narrow]."""
        centred: FloatArray = np.asarray(tokens - self.mean, dtype=np.float32)
        return centred @ self.matrix


@cache
def seeded(wide: int, narrow: int = NARROW) -> Projection | None:
    """Gaussian numbers / sqrt(narrow), always the same; None where `wide` is small enough as it is."""
    if wide <= narrow:
        return None
    # The old generator: no release of NumPy may change its numbers (NEP 19), and with them all tokens that are kept.
    matrix = np.random.RandomState(0).standard_normal((wide, narrow)) / np.sqrt(narrow)
    return Projection(np.zeros(wide, dtype=np.float32), matrix.astype(np.float32))


@cache
def of_starter() -> tuple[Projection, Projection]:
    """For its image tower's 1280 numbers, and for its English text tower's 384.

    Raises WeightsUnavailable if the file cannot be read, EncoderError if it is not the one that is shipped.
    """
    from safetensors.numpy import load

    held = load(read_pinned(STARTER, STARTER_SHA256, package="catalens"))
    image, text = (
        Projection(held[f"{side}.mean"].astype(np.float32), held[f"{side}.matrix"].astype(np.float32))
        for side in ("image", "text")
    )
    return image, text


def hash_of(projections: Sequence[Projection | None]) -> str:
    """Hex SHA-256 over the matrices, in the order given, and over how tokens are rounded."""
    digest = hashlib.sha256(FORMAT.encode())
    for one in projections:
        digest.update(b"none" if one is None else str(one.matrix.shape).encode())
        if one is not None:
            digest.update(one.mean.astype("<f4").tobytes())
            digest.update(one.matrix.astype("<f4").tobytes())
    return digest.hexdigest()
