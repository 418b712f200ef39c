"""Evaluations on the terminal: tables that fit 80 columns, whatever names a data set brings."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.table import Table
from rich.text import Text

from api.cli.evaluation.words import DIRECTIONS, interval, is_rank, number, shown_directions, spoken
from api.cli.formats import one_line
from retrieval.evaluation.compare import Comparison
from retrieval.evaluation.evaluation import Evaluation
from retrieval.evaluation.saved import QueryLine
from retrieval.evaluation.types import Direction

SLICE_MEASURES = ("success@1", "success@5", "success@10", "ndcg@10")
SHOWN_SLICES = 20
CLEAR = 0.05
"""A difference with a p value below this is marked."""


@dataclass(frozen=True)
class RehearsedModel:
    """What one model reached on a set. figures: by column heading, such as `success@10`; memory in MiB.

    pareto: no other model is at least as good in all columns and better in one.
    """

    name: str
    figures: Mapping[str, float]
    images_per_second: float
    query_ms: float
    memory_mib: float
    pareto: bool
    runtime: str = ""


def figures_table(evaluation: Evaluation) -> Table:
    """Measures down, directions across, each figure with its 95 % interval."""
    table = _table("measure")
    directions = shown_directions(evaluation)
    for direction in directions:
        table.add_column(DIRECTIONS[direction], justify="right", no_wrap=True)
        table.add_column("95 %", justify="right", no_wrap=True, style="dim")
    measures = dict.fromkeys(m for direction in directions for m in evaluation.results[direction].figures)
    for measure in measures:
        cells = []
        for direction in directions:
            result = evaluation.results[direction]
            cells += [
                number(measure, result.figures[measure]) if measure in result.figures else "",
                interval(measure, result.intervals.get(measure)),
            ]
        table.add_row(spoken(measure), *cells)
    queries = [f"{len(evaluation.results[direction].task.query_ids):,}" for direction in directions]
    table.add_row("queries", *(cell for count in queries for cell in (count, "")), style="dim")
    return table


def slice_tables(evaluation: Evaluation) -> list[Table]:
    """One table a direction and attribute, the slices with the most queries first, at most 20."""
    return [
        _slice_table(DIRECTIONS[direction], attribute, values)
        for direction in shown_directions(evaluation)
        for attribute, values in evaluation.results[direction].slices.items()
    ]


def comparison_table(comparisons: Mapping[Direction, Sequence[Comparison]]) -> Table:
    """Two runs side by side; a difference that chance hardly explains (p below 0.05) is marked with an asterisk."""
    table = _table("measure")
    for heading in ("before", "after", "change", "95 %", "p", "better", "worse"):
        table.add_column(heading, justify="right", no_wrap=True, style="dim" if heading == "95 %" else "")
    for direction, figures in comparisons.items():
        queries = f"{figures[0].n_queries:,} queries" if figures else ""
        table.add_row(Text(DIRECTIONS[direction], style="bold"), "", "", "", queries)
        for one in figures:
            table.add_row(
                f"  {spoken(one.measure)}",
                number(one.measure, one.first),
                number(one.measure, one.second),
                _change(one),
                "" if one.interval is None else " to ".join(_signed(one.measure, bound) for bound in one.interval),
                "<.001" if one.p_value < 0.001 else f"{one.p_value:.3f}",
                f"{one.n_better:,}",
                f"{one.n_worse:,}",
            )
    return table


def examples_table(
    comparison: Comparison, before: Mapping[str, QueryLine], after: Mapping[str, QueryLine], count: int = 5
) -> Table:
    """The queries that changed most: their words, and the rank of the right answer in both runs.

    before, after: the lines of both runs by query id.
    """
    table = Table(box=None, pad_edge=False, expand=True)
    table.add_column("query", ratio=1)
    table.add_column("rank before", justify="right", no_wrap=True)
    table.add_column("after", justify="right", no_wrap=True)
    for heading, style, changes in (("better", "green", comparison.better), ("worse", "red", comparison.worse)):
        if changes:
            table.add_row(Text(f"{heading} by {spoken(comparison.measure)}", style=style))
        for change in changes[:count]:
            words = Text("  " + one_line(before[change.query_id].query), no_wrap=True, overflow="ellipsis")
            ranks = (lines[change.query_id].rank for lines in (before, after))
            table.add_row(words, *("none" if rank is None else f"{rank:,}" for rank in ranks))
    return table


def models_table(models: Sequence[RehearsedModel]) -> Table:
    """Models side by side, the best of the first figure first; a star before those that no other one beats."""
    measures = list(dict.fromkeys(measure for model in models for measure in model.figures))
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    table.add_column("model", overflow="fold")
    for measure in measures:
        table.add_column(_heading(measure), justify="right", no_wrap=True)
    for heading in ("images/s", "query ms", "MiB"):
        table.add_column(_heading(heading), justify="right", no_wrap=True)
    first = measures[0] if measures else ""
    for model in sorted(models, key=lambda model: -model.figures.get(first, 0)):
        table.add_row(
            "*" if model.pareto else " ",
            Text(one_line(f"{model.name} ({model.runtime})" if model.runtime else model.name)),
            *(number(measure, model.figures[measure]) if measure in model.figures else "–" for measure in measures),
            f"{model.images_per_second:,.1f}",
            f"{model.query_ms:,.1f}",
            f"{model.memory_mib:,.0f}",
            style="bold" if model.pareto else "",
        )
    return table


def _slice_table(direction: str, attribute: str, values: Mapping[str, tuple[int, Mapping[str, float]]]) -> Table:
    table = Table(
        box=None, pad_edge=False, title=Text(one_line(f"{direction} by {spoken(attribute)}")), title_justify="left"
    )
    table.add_column(Text(one_line(spoken(attribute))), overflow="fold", max_width=28)
    table.add_column("queries", justify="right", no_wrap=True)
    measures = [m for m in SLICE_MEASURES if all(m in figures for _, figures in values.values())]
    for measure in measures:
        table.add_column(measure, justify="right", no_wrap=True)
    largest = sorted(values, key=lambda value: -values[value][0])
    for value in largest[:SHOWN_SLICES]:
        queries, figures = values[value]
        table.add_row(Text(one_line(value) or "(none)"), f"{queries:,}", *(number(m, figures[m]) for m in measures))
    if len(largest) > SHOWN_SLICES:
        table.add_row(Text(f"and {len(largest) - SHOWN_SLICES:,} smaller ones", style="dim"))
    return table


def _change(comparison: Comparison) -> Text:
    clear = comparison.p_value < CLEAR and comparison.difference != 0
    improved = (comparison.difference < 0) == is_rank(comparison.measure)
    style = ("green" if improved else "red") if clear else ""
    return Text(_signed(comparison.measure, comparison.difference) + ("*" if clear else " "), style=style)


def _signed(measure: str, difference: float) -> str:
    shown = number(measure, abs(difference))
    return shown if not float(shown.replace(",", "")) else ("+" if difference > 0 else "-") + shown


def _table(first: str) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column(first, no_wrap=True)
    return table


def _heading(name: str) -> str:
    """Broken in two lines, so that a table of many columns stays narrow."""
    return name.replace("@", "\n@").replace("_", "\n").replace(" ", "\n")
