"""A saved evaluation reads back well enough to be looked into and compared."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from retrieval.errors import EvaluationError, SourceError, StorageError
from retrieval.evaluation.compare import compare
from retrieval.evaluation.saved import load, save
from tests.evaluations import evaluation, ranking, result, task


def test_comparing_saved_runs_is_comparing_the_runs(tmp_path: Path) -> None:
    before = evaluation(tmp_path)
    back, forth = before.results["image_to_text"], before.results["text_to_image"]
    better = result(forth.task, ranking(forth.task, [[0, 1, 2], [1, 0, 2], [1, 0, 2]]))
    after = replace(before, results={"image_to_text": back, "text_to_image": better})
    save(tmp_path / "a.jsonl", before)
    save(tmp_path / "b.jsonl", after)
    first, second = load(tmp_path / "a.jsonl"), load(tmp_path / "b.jsonl")
    for direction in before.results:
        assert first.results[direction].figures == before.results[direction].figures
        for measure in ("success@1", "mrr@10", "median_rank"):
            saved = compare(first.results[direction], second.results[direction], measure)
            assert saved == compare(before.results[direction], after.results[direction], measure)
    changed = compare(first.results["text_to_image"], second.results["text_to_image"], "success@1")
    assert [change.query_id for change in changed.better] == ["t2"]


def test_says_what_was_judged_and_keeps_words_and_ranks(tmp_path: Path) -> None:
    save(tmp_path / "a.jsonl", evaluation(tmp_path, ("a red\nsquare", "ein grünes", "蓝色")))
    saved = load(tmp_path / "a.jsonl")
    assert (saved.dataset, saved.model, saved.search) == ("three colours", "starter", "exact")
    assert saved.fingerprint == "0123456789abcdef"
    photo, last = saved.queries["image_to_text"]["blue.png"], saved.queries["text_to_image"]["t3"]
    assert (photo.query, photo.first_id, photo.first, photo.right, photo.rank) == (
        *("blue.png", "t2", "ein grünes", "蓝色"),
        3,
    )
    assert (last.query, last.first, last.first_score, last.right_id, last.rank) == (
        *("蓝色", "green.png", 0.5, "blue.png"),
        3,
    )
    assert last.figures["mrr@10"] == pytest.approx(1 / 3)
    assert [row.tolist() for row in saved.results["text_to_image"].ranking.ranks] == [[1], [2], [3]]


def test_a_program_reads_each_line_by_itself(tmp_path: Path) -> None:
    save(tmp_path / "a.jsonl", evaluation(tmp_path))
    head, *lines = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    assert head["documents"]["text_to_image"] == ["red.png", "green.png", "blue.png"]
    assert [(line["direction"], line["query_id"], line["rank"]) for line in lines] == [
        *zip(["image_to_text"] * 3, ("red.png", "green.png", "blue.png"), (1, 2, 3), strict=True),
        *zip(["text_to_image"] * 3, ("t1", "t2", "t3"), (1, 2, 3), strict=True),
    ]


def test_a_query_that_found_nothing_and_an_id_that_is_no_unicode_read_back(tmp_path: Path) -> None:
    lone = task("text_to_image", ("caf\udce9",), ("a", "b"), {"caf\udce9": {"a": 0, "b": 2}})
    save(
        tmp_path / "a.jsonl",
        replace(evaluation(tmp_path), results={"text_to_image": result(lone, ranking(lone, [[]]))}),
    )
    saved = load(tmp_path / "a.jsonl")
    line = saved.queries["text_to_image"]["caf\udce9"]
    assert (line.first_id, line.first, line.first_score, line.right_id, line.rank) == (None, None, None, "b", None)
    assert line.figures["median_rank"] is None
    one = saved.results["text_to_image"]
    assert one.figures["median_rank"] == math.inf
    assert one.task.qrels == {"caf\udce9": {"b": 2}}
    assert one.ranking.top.tolist() == [[-1]]


def test_runs_over_other_documents_are_still_told_apart(tmp_path: Path) -> None:
    made = evaluation(tmp_path)
    forth = made.results["text_to_image"]
    more = task("text_to_image", forth.task.query_ids, (*forth.task.document_ids, "fourth.png"), forth.task.qrels)
    larger = replace(made, results={"text_to_image": result(more, ranking(more, [[0, 1, 2, 3]] * 3))})
    save(tmp_path / "a.jsonl", made)
    save(tmp_path / "b.jsonl", larger)
    first, second = (load(tmp_path / name).results["text_to_image"] for name in ("a.jsonl", "b.jsonl"))
    with pytest.raises(EvaluationError, match="different documents: 3 in the first, 4 in the second"):
        compare(first, second, "success@1")


@pytest.mark.parametrize("content", ["", "{}\n", "[]\n", "3\n", '{"documents": {}}\n{"direction": 3}\n'])
def test_json_that_is_no_saved_evaluation_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "a.jsonl").write_text(content)
    with pytest.raises(SourceError, match=r"a\.jsonl is no saved evaluation"):
        load(tmp_path / "a.jsonl")


@pytest.mark.parametrize("field", ["direction", "figures", "first_id"])
def test_a_spoiled_line_is_refused(tmp_path: Path, field: str) -> None:
    save(tmp_path / "a.jsonl", evaluation(tmp_path))
    lines = (tmp_path / "a.jsonl").read_text().splitlines()
    (tmp_path / "a.jsonl").write_text("\n".join([*lines, json.dumps({**json.loads(lines[-1]), field: "nonsense"})]))
    with pytest.raises(SourceError, match="is no saved evaluation"):
        load(tmp_path / "a.jsonl")


def test_files_that_are_cut_off_missing_or_no_text_say_so(tmp_path: Path) -> None:
    save(tmp_path / "a.jsonl", evaluation(tmp_path))
    (tmp_path / "cut.jsonl").write_text((tmp_path / "a.jsonl").read_text()[:-20])
    with pytest.raises(SourceError, match=r"cut\.jsonl, line 7 is no JSON"):
        load(tmp_path / "cut.jsonl")
    with pytest.raises(SourceError, match="No such file"):
        load(tmp_path / "none.jsonl")
    (tmp_path / "photo.jsonl").write_bytes(b"\xff\xd8\xff")
    with pytest.raises(SourceError, match="it is no UTF-8 text"):
        load(tmp_path / "photo.jsonl")
    with pytest.raises(StorageError, match="cannot be written"):
        save(tmp_path / "none" / "a.jsonl", evaluation(tmp_path))
