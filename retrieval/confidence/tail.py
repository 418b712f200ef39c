"""A distribution from a sample: its quantiles below, a generalised Pareto tail above, so that it never saturates."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]

TAIL_SHARE = 0.2  # of the sample: 51 values of 256, 11 of 56
KNOTS = 33
MAX_SHAPE = 0.5  # from a few dozen values the shape is uncertain by 0.2; a heavier tail would be that uncertainty
SMALLEST_SCALE = 0.1  # of a tail: where all values of a sample are the same, rounding must not decide


@dataclass(frozen=True)
class NullDistribution:
    """F(x), the share of what means nothing that lies at or below x.

    knots: the quantiles at KNOTS even steps from 0 to 1 - share, ascending; F is linear between them, and 0 below the
    first. Above the last, the threshold u, stands a generalised Pareto tail (Pickands, Annals of Statistics 1975):

        F(x) = 1 - share * (1 + shape * (x - u) / scale) ** (-1 / shape)

    or 1 - share * exp(-(x - u) / scale) where shape is 0. Both pieces give 1 - share at u, so F is continuous there.
    Scale and shape are fitted to the exceedances by probability-weighted moments (Hosking and Wallis, Technometrics
    29(3), 1987), which need fewer values than maximum likelihood. The shape is held in 0 to MAX_SHAPE: a negative one
    says that there is a largest possible value, and all beyond it would be equally certain.
    """

    knots: tuple[float, ...]
    share: float
    scale: float
    shape: float

    @classmethod
    def fitted(cls, sample: npt.NDArray[np.floating]) -> "NullDistribution":
        """The distribution of a sample [n], finite, n >= 1."""
        values = np.sort(np.asarray(sample, dtype=np.float64))
        knots = np.quantile(values, np.linspace(0, 1 - TAIL_SHARE, KNOTS))
        scale, shape = _pareto(values[values > knots[-1]] - knots[-1])
        return cls(tuple(knots.tolist()), TAIL_SHARE, scale, shape)

    def share_below(self, values: npt.NDArray[np.floating]) -> Values:
        """F, element-wise, in [0, 1]; never falls where values rise."""
        x = np.asarray(values, dtype=np.float64)
        body = np.interp(x, self.knots, np.linspace(0, 1 - self.share, len(self.knots)), left=0.0)
        beyond = np.maximum(x - self.knots[-1], 0) / self.scale
        survival = np.exp(-beyond) if self.shape == 0 else (1 + self.shape * beyond) ** (-1 / self.shape)
        return np.where(x > self.knots[-1], 1 - self.share * survival, body)

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return {"knots": list(self.knots), "share": self.share, "scale": self.scale, "shape": self.shape}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "NullDistribution":
        """What `to_json` gave. Raises ValueError, KeyError or TypeError for anything else."""
        knots = tuple(float(knot) for knot in value["knots"])
        numbers = {name: float(value[name]) for name in ("share", "scale", "shape")}
        if not all(map(math.isfinite, (*knots, *numbers.values()))):
            raise ValueError("a number is not finite")
        if not 2 <= len(knots) <= 1_000 or list(knots) != sorted(knots):
            raise ValueError("the quantiles do not ascend")
        if not (0 < numbers["share"] < 1 and numbers["scale"] > 0 and 0 <= numbers["shape"] <= MAX_SHAPE):
            raise ValueError("the tail's parameters are out of range")
        return cls(knots, **numbers)


def _pareto(exceedances: Values) -> tuple[float, float]:
    """Scale and shape by probability-weighted moments of exceedances [n], ascending; n may be 0."""
    if not len(exceedances):
        return SMALLEST_SCALE, 0.0
    mean = float(exceedances.mean())
    above = 1 - (np.arange(1, len(exceedances) + 1) - 0.35) / len(exceedances)
    weighted = float((above * exceedances).mean())
    shape = 2 - mean / (mean - 2 * weighted) if mean > 2 * weighted else 0.0
    if len(exceedances) < 2 or shape <= 0:
        return max(mean, SMALLEST_SCALE), 0.0  # exponential: its mean is its scale
    shape = min(shape, MAX_SHAPE)
    return max(mean * (1 - shape), SMALLEST_SCALE), shape  # the mean of a Pareto tail is scale / (1 - shape)
