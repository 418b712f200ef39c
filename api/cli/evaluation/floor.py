"""`--fail-under`: a figure that an evaluation must reach."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

from retrieval.errors import EvaluationError, QueryError
from retrieval.evaluation.evaluation import Evaluation
from retrieval.evaluation.measures import parse
from retrieval.evaluation.types import Direction


@dataclass(frozen=True)
class Floor:
    """One `--fail-under`. direction: None for text to image, or the only direction there is."""

    direction: str | None
    measure: str
    value: float

    @classmethod
    def parse(cls, written: str) -> "Floor":
        """`success@10=0.6` or `image_to_text:success@10=0.6`. Raises EvaluationError for an unknown measure,
        QueryError for an unknown direction or no value.
        """
        name, _, value = written.partition("=")
        direction, colon, measure = name.rpartition(":")
        try:
            floor = float(value)
        except ValueError:
            floor = math.nan
        if math.isnan(floor):
            raise QueryError(f"--fail-under {written} names no value", hint="write it so: --fail-under success@10=0.60")
        if colon and direction not in get_args(Direction):
            raise QueryError(
                f"--fail-under {written}: there is no direction '{direction}'",
                hint=f"the directions are {', '.join(get_args(Direction))}",
            )
        return cls(direction if colon else None, parse(measure).name, floor)

    def direction_among(self, there: Sequence[Direction]) -> Direction:
        """The one of these directions that is meant. Raises EvaluationError when it is not among them."""
        wanted = self.direction or (there[0] if len(there) == 1 else "text_to_image")
        for direction in there:
            if direction == wanted:
                return direction
        raise EvaluationError(
            f"--fail-under asks for {wanted}, which is not judged",
            hint=f"write one of {', '.join(f'{one}:{self.measure}={self.value:g}' for one in there)}",
        )

    def missed(self, evaluation: Evaluation) -> str:
        """By how much it is missed, or an empty string. Raises EvaluationError for a direction that was not judged."""
        direction = self.direction_among(list(evaluation.results))
        figure = evaluation.results[direction].figures[self.measure]
        higher_is_better = parse(self.measure).higher_is_better
        if (figure >= self.value) if higher_is_better else (figure <= self.value):
            return ""
        gap, where = abs(self.value - figure), "below" if higher_is_better else "above"
        return f"{direction} {self.measure} is {figure:.4g}, {gap:.4g} {where} the {self.value:g} asked for"
