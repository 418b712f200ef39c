"""The tables of an evaluation as a terminal of 80 columns shows them."""

import io
import math
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console, RenderableType
from rich.text import Text

from api.cli.evaluation.tables import (
    RehearsedModel,
    comparison_table,
    examples_table,
    figures_table,
    models_table,
    slice_tables,
)
from retrieval.evaluation.compare import Comparison, compare
from retrieval.evaluation.evaluation import Evaluation
from retrieval.evaluation.saved import load, save
from tests.evaluations import evaluation, ranking, result


def lines(table: RenderableType, *, may_cut: bool = False) -> list[str]:
    out = io.StringIO()
    Console(file=out, width=80).print(table)
    shown = [line.rstrip() for line in out.getvalue().splitlines()]
    assert all(len(line) <= 80 for line in shown)
    assert may_cut or not any("…" in line for line in shown), "cut for want of room"
    return shown


def with_slices(made: Evaluation, slices: dict[str, dict[str, tuple[int, dict[str, float]]]]) -> Evaluation:
    return replace(made, results={direction: replace(one, slices=slices) for direction, one in made.results.items()})


def test_figures_stand_with_their_intervals_by_direction(tmp_path: Path) -> None:
    shown = lines(figures_table(evaluation(tmp_path)))
    assert shown[0].split("  ")[0] == "measure"
    assert shown[0].index("text to image") < shown[0].index("image to text")
    assert [line.split() for line in shown[1:]] == [
        ["success@1", *["0.333", "0.233", "to", "0.433"] * 2],
        ["success@5", *["1.000", "0.900", "to", "1.100"] * 2],
        ["success@10", *["1.000", "0.900", "to", "1.100"] * 2],
        ["mrr@10", *["0.611", "0.511", "to", "0.711"] * 2],
        ["median", "rank", *["2", "1.9", "to", "2.1"] * 2],
        ["queries", "3", "3"],
    ]


def test_one_direction_and_missing_figures_leave_gaps(tmp_path: Path) -> None:
    made = evaluation(tmp_path)
    forth, back = made.results["text_to_image"], made.results["image_to_text"]
    only = lines(figures_table(replace(made, results={"text_to_image": forth})))
    assert "image to text" not in only[0]
    poorer = replace(back, figures={"success@1": 0.5, "median_rank": math.inf}, intervals={})
    both = lines(figures_table(replace(made, results={"text_to_image": forth, "image_to_text": poorer})))
    assert both[2].split() == ["success@5", "1.000", "0.900", "to", "1.100"]
    assert both[5].split()[-1] == "∞"
    assert lines(figures_table(replace(made, results={})))[0] == "measure"


def test_slices_show_the_most_queries_first_and_count_the_rest(tmp_path: Path) -> None:
    hostile = "[bold]a very long value of an attribute\n that no column should have to hold[/bold] " * 2
    values = {f"v{number}": (number, {"success@1": 0.25, "success@10": 0.5}) for number in range(30)}
    values[hostile] = (1_234_567, {"success@1": 1.0, "success@10": 1.0})
    values[""] = (1_000, {"success@1": 0.0, "success@10": 0.0})
    tables = slice_tables(with_slices(evaluation(tmp_path), {"main_colour": values}))
    assert len(tables) == 2
    shown = lines(tables[0])
    assert shown[0] == "text to image by main colour"
    assert shown[1].split() == ["main", "colour", "queries", "success@1", "success@10"]
    assert shown[2].startswith("[bold]a very long value of")
    assert shown[2].split()[-3:] == ["1,234,567", "1.000", "1.000"]
    assert next(line.split() for line in shown if line.startswith("(none)")) == ["(none)", "1,000", "0.000", "0.000"]
    assert shown[-1] == "and 12 smaller ones"
    assert slice_tables(evaluation(tmp_path)) == []


def compared(
    measure: str,
    first: float,
    second: float,
    p_value: float,
    better: int = 1,
    worse: int = 1,
    spread: float = 0.0625,
) -> Comparison:
    difference = second - first
    return Comparison(
        measure=measure,
        n_queries=25_000,
        first=first,
        second=second,
        difference=difference,
        interval=(difference - spread, difference + spread),
        p_value=p_value,
        n_better=better,
        n_worse=worse,
        better=(),
        worse=(),
    )


def test_a_comparison_marks_what_chance_hardly_explains() -> None:
    table = comparison_table(
        {
            "text_to_image": [
                compared("success@1", 0.25, 0.375, 0.0001, 11_312, 10_250),
                compared("median_rank", 1_012.25, 4, 0.049, 20_000, 5_000, spread=10),
            ],
            "image_to_text": [
                compared("success@1", 0.5, 0.49, 0.4, 12, 15),
                replace(compared("mrr@10", 0.5, 0.5, 1, 0, 0), interval=None),
            ],
        }
    )
    assert [line.split() for line in lines(table)] == [
        ["measure", "before", "after", "change", "95", "%", "p", "better", "worse"],
        ["text", "to", "image", "25,000", "queries"],
        ["success@1", "0.250", "0.375", "+0.125*", "+0.062", "to", "+0.188", "<.001", "11,312", "10,250"],
        ["median", "rank", "1,012", "4", "-1,008*", "-1,018", "to", "-998", "0.049", "20,000", "5,000"],
        ["image", "to", "text", "25,000", "queries"],
        ["success@1", "0.500", "0.490", "-0.010", "-0.073", "to", "+0.052", "0.400", "12", "15"],
        ["mrr@10", "0.500", "0.500", "0.000", "1.000", "0", "0"],
    ]


@pytest.mark.parametrize(
    ("measure", "before", "after", "p_value", "colour"),
    [
        ("success@1", 0.1, 0.2, 0.01, "green"),
        ("success@1", 0.2, 0.1, 0.01, "red"),
        ("median_rank", 9, 5, 0.01, "green"),
        ("median_rank", 5, 9, 0.01, "red"),
        ("success@1", 0.2, 0.1, 0.06, ""),
        ("success@1", 0.2, 0.2, 0.01, ""),
    ],
)
def test_a_lower_rank_is_better_and_a_lower_share_is_worse(
    measure: str, before: float, after: float, p_value: float, colour: str
) -> None:
    table = comparison_table({"text_to_image": [compared(measure, before, after, p_value)]})
    assert [cell.style for cell in table.columns[3].cells if isinstance(cell, Text)] == [colour]


def test_examples_name_the_queries_that_changed_most(tmp_path: Path) -> None:
    made = evaluation(tmp_path, ("[red] " * 40, "green\nthing", "blue"))
    forth = made.results["text_to_image"]
    other = result(forth.task, ranking(forth.task, [[1, 2], [1, 0, 2], [1, 0, 2]]))
    save(tmp_path / "a.jsonl", made)
    save(tmp_path / "b.jsonl", replace(made, results={"text_to_image": other}))
    before, after = load(tmp_path / "a.jsonl"), load(tmp_path / "b.jsonl")
    comparison = compare(before.results["text_to_image"], after.results["text_to_image"], "mrr@10")
    queries = before.queries["text_to_image"], after.queries["text_to_image"]
    shown = lines(examples_table(comparison, *queries), may_cut=True)
    assert shown[0].split() == ["query", "rank", "before", "after"]
    assert shown[1:4] == ["better by mrr@10", shown[2], "worse by mrr@10"]
    assert shown[2].split() == ["green", "thing", "2", "1"]
    assert shown[4].startswith("  [red] [red]")
    assert shown[4].split()[-2:] == ["1", "none"]
    assert len(lines(examples_table(comparison, *queries, count=0))) == 3


def test_models_stand_best_first_and_the_unbeaten_are_marked() -> None:
    def model(name: str, quality: float, speed: float, *, pareto: bool) -> RehearsedModel:
        figures = {"success@1": quality, "success@10": quality + 0.25, "ndcg@10": quality + 0.125}
        return RehearsedModel(name, figures, speed, 4.125, 1_412.4, pareto)

    long = "hf-hub:an-organisation/ViT-SO400M-14-SigLIP-384-with-[a]-long-name"
    shown = lines(
        models_table(
            [
                model("starter", 0.25, 31.2, pareto=True),
                model(long, 0.5, 1.25, pareto=True),
                model("slow", 0.25, 1_000.3, pareto=False),
            ]
        )
    )
    cells = [line.split() for line in shown[2:]]
    assert [row[0] for row in cells if row[-1] == "1,412"] == ["*", "*", "slow"]
    assert cells[0][-6:] == ["0.500", "0.750", "0.625", "1.2", "4.1", "1,412"]
    assert "".join(word for row in shown[2:5] for word in row.split() if word[0].isalpha() or "-" in word) in long
    assert "[a]" in "".join(line.split()[0] if not line.startswith("*") else line.split()[1] for line in shown[2:5])
    assert lines(models_table([])) != []
    on_openvino = replace(model("starter", 0.25, 31.2, pareto=True), runtime="openvino")
    assert "starter (openvino)" in "\n".join(lines(models_table([on_openvino])))


def test_control_characters_of_a_data_set_do_not_reach_the_terminal(tmp_path: Path) -> None:
    made = with_slices(evaluation(tmp_path), {"ki\x1bnd": {"\x1b[31mred": (3, {"success@1": 1.0})}})
    shown = "\n".join(line for table in slice_tables(made) for line in lines(table))
    assert "[31mred" in shown
    assert "\x1b" not in shown
