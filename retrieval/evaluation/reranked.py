"""What a reranker made of an evaluation: figures by direction and depth, and whether they pay."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from retrieval.evaluation.compare import Comparison
from retrieval.evaluation.matching_time import Timing
from retrieval.rerankers.base import Direction

MEASURES = ("success@1", "success@5", "ndcg@10")
CLEAR = 0.05
"""A difference with a p value below this counts. Five depths are looked at, but of one and the same re-ordering, whose
differences hang closely together: p values are given as they are, not divided by five."""


@dataclass(frozen=True)
class AtDepth:
    """figures: measure -> first stage against reranked. timing: what matching adds to a query, None if not needed."""

    depth: int
    figures: Mapping[str, Comparison]
    timing: Timing | None

    @property
    def pays(self) -> bool:
        """success@1 is clearly better, and no measure clearly worse."""
        clear = [one for one in self.figures.values() if one.p_value < CLEAR]
        first = self.figures[MEASURES[0]]
        return first in clear and first.difference > 0 and all(one.difference >= 0 for one in clear)


@dataclass(frozen=True)
class RerankedDirection:
    """weight: what a match counts beside the cosine; with 0 nothing is matched and nothing changes.

    without_tokens: texts of the task that have no tokens, of `texts`: they are not reordered, as in a search.
    """

    weight: float
    depths: tuple[AtDepth, ...]
    without_tokens: int
    texts: int

    @property
    def pays_at(self) -> int | None:
        """The depth of the best success@1 among those that pay, of equal ones the shallowest; None if none does."""
        paying = [at for at in self.depths if at.pays]
        best = max(paying, key=lambda at: (at.figures[MEASURES[0]].second, -at.depth), default=None)
        return best.depth if best else None


@dataclass(frozen=True)
class Reranking:
    """One reranker on one set. trained_on: pictures of the set that the encoder or it was trained on, of `images`."""

    reranker: str
    kind: str
    runtime: str
    directions: Mapping[Direction, RerankedDirection]
    trained_on: int = 0
    images: int = 0

    def to_json(self) -> dict[str, Any]:
        """JSON values; the figures by direction and, under `depths`, one entry a depth. ms: median and 95th percentile
        of what matching adds to a query.
        """
        return {
            "reranker": self.reranker,
            "kind": self.kind,
            "runtime": self.runtime,
            "images_trained_on": self.trained_on,
            **{direction: _direction_json(found) for direction, found in self.directions.items()},
        }


def _direction_json(found: RerankedDirection) -> dict[str, Any]:
    return {
        "weight": float(found.weight),
        "pays_at": found.pays_at,
        "texts_without_tokens": found.without_tokens,
        "depths": [
            {
                "depth": at.depth,
                **{name: _figure_json(one) for name, one in at.figures.items()},
                "ms": round(at.timing.median, 4) if at.timing else None,
                "ms_p95": round(at.timing.p95, 4) if at.timing else None,
                "timed_queries": at.timing.queries if at.timing else 0,
            }
            for at in found.depths
        ],
    }


def _figure_json(one: Comparison) -> dict[str, Any]:
    return {
        "first_stage": one.first,
        "reranked": one.second,
        "change": one.difference,
        "interval": list(one.interval) if one.interval else None,
        "p": one.p_value,
        "n_better": one.n_better,
        "n_worse": one.n_worse,
    }
