"""`--fail-under`: a figure that an evaluation must reach."""

import math
from dataclasses import dataclass

from retrieval.errors import EvaluationError, QueryError
from retrieval.evaluation.measures import parse
from retrieval.evaluation.types import Evaluation


@dataclass(frozen=True)
class Floor:
    """One `--fail-under`. direction: None for text to image, or the only direction there is."""

    direction: str | None
    measure: str
    value: float

    @classmethod
    def parse(cls, written: str) -> "Floor":
        """`success@10=0.6` or `image_to_text:success@10=0.6`. Raises EvaluationError for an unknown measure."""
        name, _, value = written.partition("=")
        direction, colon, measure = name.rpartition(":")
        try:
            floor = float(value)
        except ValueError:
            floor = math.nan
        if math.isnan(floor):
            raise QueryError(f"--fail-under {written} names no value", hint="write it so: --fail-under success@10=0.60")
        return cls(direction if colon else None, parse(measure).name, floor)

    def missed(self, evaluation: Evaluation) -> str:
        """By how much it is missed, or an empty string. Raises EvaluationError for a direction that was not judged."""
        there = list(evaluation.results)
        direction = self.direction or ("text_to_image" if "text_to_image" in there or len(there) > 1 else there[0])
        result = next((found for name, found in evaluation.results.items() if name == direction), None)
        if result is None:
            raise EvaluationError(
                f"--fail-under asks for {direction}, which was not judged",
                hint=f"name one of {', '.join(there)}, such as {there[0]}:{self.measure}={self.value:g}",
            )
        figure = result.figures[self.measure]
        higher_is_better = parse(self.measure).higher_is_better
        if (figure >= self.value) if higher_is_better else (figure <= self.value):
            return ""
        gap, where = abs(self.value - figure), "below" if higher_is_better else "above"
        return f"{direction} {self.measure} is {figure:.4g}, {gap:.4g} {where} the {self.value:g} asked for"
