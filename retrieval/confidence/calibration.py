"""Turns the cosines of one answer into confidences: how they compare with what queries get that mean nothing."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from retrieval.arrays import FloatArray
from retrieval.confidence import bank
from retrieval.confidence.tail import NullDistribution

NOTHING_FITS_BELOW = 0.98
"""An answer whose best confidence is lower fits nothing. Chosen on validation parts of two catalogues."""

NEIGHBOURS = 10  # of 1, 5, 10 and 30, by validation; 5 to 30 differ by less than 0.005 of AUC
# How much being unlike nonsense counts beside being like the collection. On validation parts, words compared with
# photos: at 1.0 a quarter of what a furniture shop does not sell passes for a find, at 0.75 a thirteenth, at 0.5 none;
# real queries missed are 3.4, 3.8 and 7.2 %. On the raw cosine (0) they are 21 %.
NEARNESS_WEIGHT = 0.75
SMALLEST_SPREAD = 0.005  # of cosines: with less, every query that means nothing is the same query to the encoder


@dataclass(frozen=True, eq=False)
class Calibration:
    """What queries that mean nothing get from one collection, for one kind of query compared with photos or texts.

    A query q has a nearness a(q): the mean cosine with the NEIGHBOURS nearest of the queries that mean nothing. A hit
    of score s has the contrast

        t = (s - mean_s) / spread_s - NEARNESS_WEIGHT * (a(q) - mean_a) / spread_a

    with means and standard deviations over those queries, of their best score in the collection and of their nearness
    to the others. So t says how much nearer the collection is than nonsense is, in units that do not depend on the
    encoder's scale; CSLS (Conneau et al., ICLR 2018) is the same idea with neighbours on both sides. The confidence is
    the share of queries that mean nothing whose *best* hit has a lower contrast (`NullDistribution`). Within one answer
    it rises with the score, so rank 2 says: how rarely would nonsense have found something as good as this at all.

    nulls: float32 [n, dimension], the queries that mean nothing, unit rows.
    score, nearness: mean and standard deviation of each over them.
    """

    nulls: FloatArray = field(repr=False)
    score: tuple[float, float]
    nearness: tuple[float, float]
    null: NullDistribution

    def confidence(self, query: FloatArray, scores: FloatArray) -> FloatArray:
        """Confidences float32 [n] in [0, 1] of hits with cosines [n], for the unit query vector [dimension].

        A score that is not finite has confidence 0.
        """
        scores = np.asarray(scores, dtype=np.float64)
        contrast = _standard(np.nan_to_num(scores, nan=-1, posinf=-1, neginf=-1), self.score)
        near = float(_nearest(self.nulls @ np.asarray(query, dtype=np.float32).ravel()))
        found = self.null.share_below(contrast - NEARNESS_WEIGHT * _standard(near, self.nearness))
        return np.where(np.isfinite(scores), found, 0).astype(np.float32)

    def to_json(self) -> dict[str, Any]:
        """All but the null queries' vectors, as JSON values."""
        return {
            "bank": bank.VERSION,
            "score": list(self.score),
            "nearness": list(self.nearness),
            "null": self.null.to_json(),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any], nulls: FloatArray) -> "Calibration":
        """What `to_json` gave, with the vectors it was made with. Raises ValueError, KeyError or TypeError."""
        if value["bank"] != bank.VERSION:
            raise ValueError(f"made with bank {value['bank']}, this program has {bank.VERSION}")
        return cls(nulls, _pair(value["score"]), _pair(value["nearness"]), NullDistribution.from_json(value["null"]))


def calibrate(nulls: FloatArray, best: FloatArray) -> Calibration:
    """The calibration of one collection and direction.

    nulls: float32 [n, dimension], unit rows, n >= 2: queries that mean nothing.
    best: [n], the cosine of each one's best hit in the collection; finite.
    """
    cosines = nulls @ nulls.T
    np.fill_diagonal(cosines, -np.inf)  # a query is not its own neighbour
    near = _nearest(cosines)
    score, nearness = _moments(best), _moments(near)
    contrast = _standard(np.asarray(best, dtype=np.float64), score) - NEARNESS_WEIGHT * _standard(near, nearness)
    return Calibration(nulls, score, nearness, NullDistribution.fitted(contrast))


def nothing_fits(best_confidence: float) -> bool:
    """Is the best hit of an answer so weak that nothing in the collection fits the query?"""
    return best_confidence < NOTHING_FITS_BELOW


def _nearest(cosines: FloatArray) -> Any:
    """Mean of the NEIGHBOURS highest along the last axis, float64; of all finite ones if there are fewer."""
    count = min(NEIGHBOURS, cosines.shape[-1])
    highest = np.partition(cosines, -count, axis=-1)[..., -count:].astype(np.float64)
    known = np.isfinite(highest)
    return np.where(known, highest, 0).sum(axis=-1) / np.maximum(known.sum(axis=-1), 1)


def _moments(values: Any) -> tuple[float, float]:
    return float(np.mean(values)), max(float(np.std(values)), SMALLEST_SPREAD)


def _standard(values: Any, moments: tuple[float, float]) -> Any:
    return (values - moments[0]) / moments[1]


def _pair(value: Any) -> tuple[float, float]:
    mean, spread = (float(number) for number in value)
    if not (math.isfinite(mean) and math.isfinite(spread) and spread > 0):
        raise ValueError("a mean or spread is out of range")
    return mean, spread
