"""An evaluation as JSON, as a curve and as its worst failures."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from retrieval.evaluation.curve import chance_curve, success_curve
from retrieval.evaluation.outcomes import Outcome, worst_failures
from retrieval.evaluation.summary import to_json
from tests.evaluations import evaluation, ranking, result, task


def test_the_summary_has_the_agreed_shape(tmp_path: Path) -> None:
    summary = json.loads(json.dumps(to_json(evaluation(tmp_path)), allow_nan=False))
    figures = {"success@1": 1 / 3, "success@5": 1, "success@10": 1, "mrr@10": (1 + 1 / 2 + 1 / 3) / 3, "median_rank": 2}
    for direction in ("text_to_image", "image_to_text"):
        assert summary.pop(direction) == pytest.approx(figures)
        assert list(summary["intervals"][direction]) == list(figures)
        assert summary["intervals"][direction]["mrr@10"] == pytest.approx([0.511111, 0.711111], abs=1e-5)
    assert summary.pop("intervals").keys() == {"text_to_image", "image_to_text"}
    aliases = summary.pop("aliases")
    assert aliases["text_to_image"]["image_retrieval_recall@5"] == "success@5"
    assert aliases["image_to_text"]["text_retrieval_recall@5"] == "success@5"
    assert aliases["text_to_image"]["success_10"] == "success@10"
    assert summary == {
        "dataset": "three colours",
        "model": "starter",
        "fingerprint": "0123456789abcdef",
        "search": "exact",
        "n_images": 3,
        "n_texts": 3,
        "n_queries": {"text_to_image": 3, "image_to_text": 3},
        "slices": {"text_to_image": {}, "image_to_text": {}},
        "notes": ["1 photo was left out"],
        "seconds": 1.5,
    }


def test_slices_and_infinite_ranks_are_json_too(tmp_path: Path) -> None:
    made = evaluation(tmp_path)
    one = replace(
        made.results["text_to_image"],
        figures={"median_rank": math.inf},
        intervals={"median_rank": (np.float64(2), math.inf)},
        slices={"language": {"zh": (2, {"success@1": np.float64(0.5), "median_rank": math.inf})}},
    )
    summary = json.loads(json.dumps(to_json(replace(made, results={"text_to_image": one})), allow_nan=False))
    assert summary["text_to_image"] == {"median_rank": None}
    assert summary["intervals"] == {"text_to_image": {"median_rank": [2, None]}}
    zh = {"n_queries": 2, "success@1": 0.5, "median_rank": None}
    assert summary["slices"] == {"text_to_image": {"language": {"zh": zh}}}
    assert "image_to_text" not in summary


def test_the_worst_failures_come_first(tmp_path: Path) -> None:
    made = evaluation(tmp_path).results["text_to_image"]
    third = Outcome("t3", "green.png", 0.5, ("blue.png",), 3, 0.25)
    second = Outcome("t2", "red.png", 0.5, ("green.png",), 2, 0.375)
    assert worst_failures(made, 12) == [third, second]
    assert worst_failures(made, 1) == [third]


def test_failures_beyond_the_depth_and_without_any_right_answer() -> None:
    documents = ("a", "b", "c", "d")
    lone = task("text_to_image", ("deep", "lost", "unjudged", "two"), documents, {
        "deep": {"c": 0, "d": 1, "b": 2}, "lost": {"d": 1}, "two": {"d": 1, "b": 1},
    })  # fmt: skip
    made = ranking(lone, [[0, 2, 1, 3], [0, 1], [0, 1, 2, 3], [0, 1, 2, 3]], depth=2)
    assert [found.tolist() for found in made.ranks] == [[3, 4], [], [], [2, 4]]
    assert worst_failures(result(lone, made), 12) == [
        Outcome("lost", "a", 0.5, ("d",), None, None),
        Outcome("deep", "a", 0.5, ("d", "b"), 3, None),
        Outcome("two", "a", 0.5, ("b", "d"), 2, 0.375),
    ]


def test_the_curve_is_success_at_every_k(tmp_path: Path) -> None:
    made = evaluation(tmp_path).results["text_to_image"]
    assert success_curve(made).tolist() == pytest.approx([1 / 3, 2 / 3, 1])
    assert chance_curve(made).tolist() == pytest.approx([1 / 3, 2 / 3, 1])
    assert success_curve(made, up_to=2).tolist() == pytest.approx([1 / 3, 2 / 3])


def test_the_curve_ends_where_the_search_ended() -> None:
    documents = tuple(f"d{number}" for number in range(200))
    half = task("text_to_image", ("q1", "q2"), documents, {"q1": {"d1": 1}, "q2": {"d9": 1}})
    complete = result(half, ranking(half, [list(range(200))] * 2))
    assert success_curve(complete).tolist() == [0.0, *[0.5] * 8, *[1.0] * 91]
    cut_short = result(half, ranking(half, [[0, 1, 2], [0, 1, 2]]))
    assert success_curve(cut_short).tolist() == [0.0, 0.5, 0.5]


def test_chance_with_several_right_answers_is_what_shuffling_gives() -> None:
    documents = tuple("abcdefgh")
    graded = task("text_to_image", ("q1", "q2"), documents, {"q1": {"a": 1, "b": 2, "c": 0, "d": 1}, "q2": {"h": 1}})
    rng = np.random.default_rng(0)
    shuffled = [rng.permutation(8).tolist() for _ in range(2_000)]
    curve = np.zeros(8)
    for order in shuffled:
        made = ranking(graded, [order, order])
        curve += success_curve(result(graded, made)) / len(shuffled)
    assert chance_curve(result(graded, made)) == pytest.approx(curve, abs=0.03)
