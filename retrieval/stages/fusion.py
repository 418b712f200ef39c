"""One ranking out of several: what each leg of a hybrid search found, and what it adds to an item's score."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from retrieval.arrays import FloatArray, IdArray

LegName = Literal["image", "text", "lexical"]
Method = Literal["convex", "rrf"]
Table = npt.NDArray[np.float64]

# Cormack, Clarke and Büttcher 2009 have 60; here ranks far down say less. nDCG@10 on validation queries, mean of what
# is gained over the best single leg: -.005 with 5, -.024 with 10, -.035 with 20, -.046 with 60. Convex sums gain .02.
RRF_K = 5

# Chosen with POWERS and DEPTH on validation products of two catalogues and on photos without titles, as what loses
# least to the best single leg anywhere, then what gains most; `benchmarks/hybrid.py` has the settings.
WEIGHTS: Mapping[LegName, float] = {"image": 0.3, "text": 0.25, "lexical": 0.45}

# Two equal texts have a cosine of 1, so that is a perfect fit. A photo and a text never come near it.
CEILINGS: Mapping[LegName, float] = {"text": 1.0}

# Titles that say nothing (IMG_1234) are all about equally far from a query: squared, their differences disappear.
POWERS: Mapping[LegName, float] = {"text": 2.0}

# Items of each leg that are fused at least. On 8,390 products nDCG@10 is .80 with 100, .81 with 200 and .82 with 1,000.
DEPTH = 200


@dataclass(frozen=True)
class Leg:
    """What one way of searching found.

    keys: int64 [n], keys of items, each once, best first. scores: float32 [n], finite, falling.
    floor: the score of an item that has nothing to do with the query; less counts as it. None: the least in `scores`.
    ceiling: the score of an item that fits perfectly. None: that of CEILINGS, or else the best in `scores`.
    """

    name: LegName
    keys: IdArray
    scores: FloatArray
    floor: float | None = None
    ceiling: float | None = None


@dataclass(frozen=True)
class Fused:
    """Every item that any leg found, best first, equal ones by key.

    keys: int64 [n]. scores: float64 [n], the sums of the rows of `contributions`.
    legs: names of the columns. ranks: int64 [n, legs], place in the leg from 1, 0 for an item it did not list.
    leg_scores: float32 [n, legs], the leg's own score, NaN for an item it did not list. contributions: float64
    [n, legs].
    """

    keys: IdArray
    scores: Table
    legs: tuple[LegName, ...]
    ranks: IdArray
    leg_scores: FloatArray
    contributions: Table


def fuse(
    legs: Sequence[Leg],
    method: Method = "convex",
    weights: Mapping[LegName, float] = WEIGHTS,
    *,
    rrf_k: float = RRF_K,
) -> Fused:
    """Merge the legs. Those that found nothing are left out, so that their weight goes to the others.

    rrf: the sum of weight / (rrf_k + rank); an item gets nothing of a leg that did not list it (Cormack, Clarke and
        Büttcher, Reciprocal rank fusion outperforms Condorcet and individual rank learning methods, SIGIR 2009).
    convex: the sum of weight * ((score - floor) / (ceiling - floor)) ** power, in [0, 1], with the power of POWERS or 1
        (Bruch, Gai and Ingber, An analysis of fusion functions for hybrid retrieval, TOIS 2023, who take a floor that
        is known, and have no powers).

    Weights are shares: they are divided by the sum of those of the legs that found anything. With one leg left its
    order is the answer.
    """
    found = [leg for leg in legs if len(leg.keys) and weights.get(leg.name, 0) > 0]
    keys = np.unique(np.concatenate([leg.keys for leg in found])) if found else np.empty(0, dtype=np.int64)
    shape = (len(keys), len(found))
    ranks = np.zeros(shape, dtype=np.int64)
    leg_scores = np.full(shape, np.nan, dtype=np.float32)
    contributions = np.zeros(shape, dtype=np.float64)
    whole = sum(weights[leg.name] for leg in found)
    for column, leg in enumerate(found):
        place = np.searchsorted(keys, leg.keys)
        ranks[place, column] = np.arange(1, len(leg.keys) + 1)
        leg_scores[place, column] = leg.scores
        if method == "rrf":
            added = np.where(ranks[:, column] > 0, 1 / (rrf_k + ranks[:, column]), 0.0)
        else:
            added = _normalised(leg, leg_scores[:, column])
        contributions[:, column] = weights[leg.name] / whole * added
    scores = contributions.sum(axis=1)
    order = np.lexsort((keys, -scores))
    return Fused(
        keys[order],
        scores[order],
        tuple(leg.name for leg in found),
        ranks[order],
        leg_scores[order],
        contributions[order],
    )


def _normalised(leg: Leg, scores: FloatArray) -> Table:
    """NaN, the score of an item that is not listed, counts as the floor."""
    floor = float(leg.scores.min()) if leg.floor is None else leg.floor
    ceiling = CEILINGS.get(leg.name, float(leg.scores.max())) if leg.ceiling is None else leg.ceiling
    if ceiling <= floor:  # all scores are equal: whatever is listed fits as well as can be
        return np.where(np.isnan(scores), 0.0, 1.0)
    above = np.nan_to_num(scores.astype(np.float64) - floor, nan=0.0)
    return np.clip(above / (ceiling - floor), 0.0, 1.0) ** POWERS.get(leg.name, 1.0)
