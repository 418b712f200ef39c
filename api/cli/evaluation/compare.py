"""What `catalens eval compare` does and prints."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.text import Text

from api.cli.evaluation.files import read_folder
from api.cli.evaluation.tables import comparison_table, examples_table
from api.cli.evaluation.words import DIRECTIONS
from api.cli.formats import one_line
from api.cli.output import out, print_json
from retrieval.errors import EvaluationError
from retrieval.evaluation.compare import Comparison, check_same_words, compare
from retrieval.evaluation.measures import parse
from retrieval.evaluation.saved import QueryLine, SavedEvaluation
from retrieval.evaluation.types import Direction


def compare_runs(before: Path, after: Path, measures: Sequence[str], *, as_json: bool) -> None:
    """Compare two folders of earlier evaluations, direction by direction."""
    wanted = [parse(name).name for name in measures]
    first, second = read_folder(before), read_folder(after)
    compared = _compared(first, second, wanted)
    if as_json:
        print_json(_comparison_json(first, second, compared))
        return
    for which, one in (("before", first), ("after", second)):
        out.print(Text(one_line(f"{which}: {one.model}, {one.search} search, on {one.dataset}")), soft_wrap=True)
    out.print()
    out.print(comparison_table(compared))
    for direction, comparisons in compared.items():
        out.print()
        out.print(Text(DIRECTIONS[direction], style="bold"))
        out.print(examples_table(_telling(comparisons), first.queries[direction], second.queries[direction]))


def _compared(
    first: SavedEvaluation, second: SavedEvaluation, wanted: Sequence[str]
) -> dict[Direction, list[Comparison]]:
    """By default all measures that both have, but a rank that some query does not have in one of the runs."""
    compared: dict[Direction, list[Comparison]] = {}
    for direction in (name for name in first.results if name in second.results):
        for kind, words in (("queries", _queries), ("answers", _answers)):
            check_same_words(words(first.queries[direction]), words(second.queries[direction]), kind)
        one, other = first.results[direction], second.results[direction]
        common = [
            name
            for name, values in one.per_query.items()
            if name in other.per_query and all(map(math.isfinite, (*values, *other.per_query[name])))
        ]
        compared[direction] = [compare(one, other, name) for name in wanted or common]
    if not any(compared.values()):
        raise EvaluationError(
            f"the runs have no direction and measure in common: {', '.join(first.results)} in the first, "
            f"{', '.join(second.results)} in the second",
            hint="evaluate both on the same set",
        )
    return compared


def _queries(lines: Mapping[str, QueryLine]) -> dict[str, str]:
    return {name: line.query for name, line in lines.items()}


def _answers(lines: Mapping[str, QueryLine]) -> dict[str, str]:
    """The words of the answers that the lines show; a picture's are its id."""
    shown = [pair for line in lines.values() for pair in ((line.first_id, line.first), (line.right_id, line.right))]
    return {name: words for name, words in shown if name is not None and words is not None}


def _telling(comparisons: Sequence[Comparison]) -> Comparison:
    """The comparison whose examples are shown: of the measures, the one under which most queries changed."""
    return max(comparisons, key=lambda one: one.n_better + one.n_worse)


def _comparison_json(
    first: SavedEvaluation, second: SavedEvaluation, compared: Mapping[Direction, Sequence[Comparison]]
) -> dict[str, Any]:
    def about(run: SavedEvaluation) -> dict[str, str]:
        return {name: getattr(run, name) for name in ("dataset", "model", "fingerprint", "search")}

    def shown(direction: Direction, one: Comparison) -> dict[str, Any]:
        words = _queries(first.queries[direction])
        examples = {
            which: [{**asdict(change), "query": words[change.query_id]} for change in changes]
            for which, changes in (("better", one.better), ("worse", one.worse))
        }
        return {**{name: value for name, value in asdict(one).items() if name != "measure"}, **examples}

    directions: dict[str, Any] = {
        direction: {one.measure: shown(direction, one) for one in comparisons}
        for direction, comparisons in compared.items()
    }
    return {"before": about(first), "after": about(second), **directions}
