"""How the evaluation reports, on the terminal and on the page, call things and write numbers."""

import math
from collections.abc import Mapping
from types import MappingProxyType

from retrieval.evaluation.evaluation import Evaluation
from retrieval.evaluation.types import Direction

DIRECTIONS: Mapping[Direction, str] = MappingProxyType(
    {
        "text_to_image": "text to image",
        "image_to_text": "image to text",
        "image_to_image": "image to image",
        "text_to_text": "text to text",
    }
)
"""In the order in which reports show them."""


def shown_directions(evaluation: Evaluation) -> list[Direction]:
    """The directions that were judged, in the order in which reports show them."""
    return [direction for direction in DIRECTIONS if direction in evaluation.results]


def is_rank(measure: str) -> bool:
    """Whether a measure is a rank (from 1, lower is better) and not a share between 0 and 1."""
    return measure.endswith("_rank")


def number(measure: str, value: float) -> str:
    """A figure for reading: a share with three decimals, a rank below 100 with one if it is not whole."""
    if not math.isfinite(value):
        return "∞" if value > 0 else "–"
    if is_rank(measure):
        return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}".removesuffix(".0")
    return f"{value:.3f}"


def spoken(name: str) -> str:
    """A measure or attribute as words: `median rank`."""
    return name.replace("_", " ")


def interval(measure: str, bounds: tuple[float, float] | None) -> str:
    """`0.381 to 0.402`, or nothing."""
    return f"{number(measure, bounds[0])} to {number(measure, bounds[1])}" if bounds else ""


def counts(evaluation: Evaluation) -> str:
    """`1,000 images, 5,000 texts`."""
    images, texts = len(evaluation.dataset.images), len(evaluation.dataset.texts)
    return f"{images:,} image{'s' * (images != 1)}, {texts:,} text{'s' * (texts != 1)}"
