"""Is an export the same encoder? Its vectors are compared with torch's, one by one."""

from dataclasses import dataclass

import numpy as np

from retrieval.arrays import FloatArray

EXACT = 0.9995
"""What bfloat16 and float32 must reach on every picture and text of the bank."""

INT8 = 0.999
INT8_LOSS = 0.003
"""What int8 must reach, and the share of queries it may lose at success@1 on labelled data."""


@dataclass(frozen=True)
class Agreement:
    """Cosines between two runtimes' vectors of the same pictures or texts: the lowest, and the mean."""

    lowest: float
    mean: float

    def reaches(self, threshold: float) -> bool:
        """Is even the worst vector near enough? Not so for NaN."""
        return self.lowest >= threshold

    def to_json(self) -> dict[str, float]:
        """Rounded towards what is there, so that a printed 0.9995 is one."""
        return {"lowest": np.floor(self.lowest * 1e6) / 1e6, "mean": round(self.mean, 6)}


def agreement(reference: FloatArray, other: FloatArray) -> Agreement:
    """Of unit vectors [n, dimension] with n >= 1. Two zero vectors agree: neither places its text anywhere."""
    cosines = np.sum(reference.astype(np.float64) * other.astype(np.float64), axis=1)
    nowhere = ~reference.any(axis=1) & ~other.any(axis=1)
    cosines = np.where(nowhere, 1.0, np.minimum(cosines, 1.0))
    return Agreement(float(cosines.min()), float(cosines.mean()))
