"""How much a match counts beside the cosine, and when it is not asked: chosen on validation, by direction."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from retrieval.arrays import FloatArray
from retrieval.rerankers.order import order_of

HUBS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0)
"""Of hubness beside the network's logit."""
WEIGHTS = (0.0, 0.001, 0.002, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0)
BEYOND = 2.0
"""Standard deviations by which a match must win more queries than it loses, to count at all."""


@dataclass(frozen=True)
class Candidates:
    """What the first stage found for n queries, best first.

    cosines float32 [n, depth]. right: bool [n, depth].
    """

    cosines: FloatArray
    right: npt.NDArray[np.bool_]


def success(found: Candidates, matches: FloatArray, weight: float, k: int = 1, margin: float = np.inf) -> float:
    """Share of the queries with a right one among the first k, as `succeeded` says, 0…1."""
    return float(succeeded(found, matches, weight, k, margin).mean())


def succeeded(
    found: Candidates, matches: FloatArray, weight: float, k: int = 1, margin: float = np.inf
) -> npt.NDArray[np.bool_]:
    """Whether each query has a right one among the first k by cosine + weight * match: bool [n].

    matches: float32 [n, depth], see `order_of`. margin: queries whose first cosine is further above the second's stay
    as they are.
    """
    asked = np.where((sure(found) > margin)[:, None], np.float32(np.nan), matches)
    order = order_of(found.cosines, asked, weight)[:, :k]
    return np.asarray(np.take_along_axis(found.right, order, axis=1).any(axis=1))


def sure(found: Candidates) -> npt.NDArray[np.float64]:
    """How far each query's first cosine is above its second's: float64 [n]; infinite where there is no second."""
    if found.cosines.shape[1] < 2:
        return np.full(len(found.cosines), np.inf)
    return found.cosines[:, 0].astype(np.float64) - found.cosines[:, 1]


def choose_weight(found: Sequence[Candidates], matches: Sequence[FloatArray], beyond: float = BEYOND) -> float:
    """The weight of WEIGHTS with the best mean success@1 over the checks; the least of those that are equal.

    0 unless it wins more queries than chance does: the best of several weights wins a few with any match, even of an
    untrained module. As McNemar's test has it (Psychometrika 12, 1947), won - lost >= beyond * sqrt(won + lost).
    """
    pairs = list(zip(found, matches, strict=True))
    best = WEIGHTS[int(np.argmax([np.mean([success(*one, weight) for one in pairs]) for weight in WEIGHTS]))]
    before = np.concatenate([succeeded(*one, 0.0) for one in pairs])
    after = np.concatenate([succeeded(*one, best) for one in pairs])
    won, lost = int((after & ~before).sum()), int((before & ~after).sum())
    return best if won - lost >= beyond * (won + lost) ** 0.5 else 0.0


def choose_margin(found: Sequence[Candidates], matches: Sequence[FloatArray], weight: float) -> float:
    """The least margin, of the queries' own deciles, with which success@1 is no lower than when all are reranked.

    0 if the weight is 0: then no query is worth it.
    """
    if not weight:
        return 0.0
    gaps = np.concatenate([sure(one) for one in found])
    gaps = gaps[np.isfinite(gaps)]
    pairs = list(zip(found, matches, strict=True))
    whole = np.mean([success(*one, weight) for one in pairs])
    for margin in np.quantile(gaps, np.arange(1, 10) / 10) if len(gaps) else ():
        if np.mean([success(*one, weight, margin=float(margin)) for one in pairs]) >= whole:
            return float(margin)
    return float(gaps.max()) if len(gaps) else 0.0
