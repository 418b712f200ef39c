"""The evaluation page, read back as a browser reads it."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from api.cli.evaluation.page import write_page
from retrieval.errors import EvaluationError, StorageError
from retrieval.evaluation.evaluation import Evaluation
from retrieval.evaluation.types import EvaluationText
from tests.evaluations import evaluation, images, ranking, result, task
from tests.pages import Page


def written(path: Path, made: Evaluation) -> Page:
    write_page(path / "report.html", made)
    page = Page(path / "report.html")
    page.assert_safe_and_whole()
    return page


def after(page: Page, words: str) -> list[str]:
    return page.texts[page.texts.index(words) + 1 :]


def test_says_what_was_judged_and_how_well(tmp_path: Path) -> None:
    page = written(tmp_path, evaluation(tmp_path))
    assert page.texts[:2] == ["three colours: evaluation of starter", "three colours"]
    about = " ".join(page.texts[2:6]).replace("\n", " ")
    assert (
        about
        == "starter on 3 images, 3 texts; exact search; 1.5 seconds; fingerprint 0123456789abcdef 1 photo was left out"
    )
    shown = after(page, "Text to image")
    assert shown[:4] == ["3 queries, each ranked against 3 answers", "success@1", "33.3", "%"]
    assert shown[4] == "23.3 to 43.3"
    assert shown[shown.index("mrr@10") :][:3] == ["mrr@10", "0.611", "0.511 to 0.711"]
    assert shown[shown.index("median rank") :][:3] == ["median rank", "2", "1.9 to 2.1"]
    assert page.texts.index("Text to image") < page.texts.index("Image to text")


def test_the_curve_has_axes_and_says_in_words_what_it_draws(tmp_path: Path) -> None:
    page = written(tmp_path, evaluation(tmp_path))
    chart = next(attrs for tag, attrs in page.elements if tag == "svg")
    ids = {attrs["id"] for tag, attrs in page.elements if tag in ("title", "desc") and "id" in attrs}
    assert chart["role"] == "img"
    assert set(chart["aria-labelledby"].split()) == ids
    assert "success@k for k from 1 to 3" in page.texts
    assert "Text to image: 33.3% at k = 1. Image to text: 33.3% at k = 1." in page.texts
    assert {"success@k", "k: how many answers are looked at", "0 %", "100 %", "1", "2"} <= set(page.texts)
    paths = [attrs["d"] for tag, attrs in page.elements if tag == "path"]
    assert [path.count("L") for path in paths] == [2, 2, 2, 2]  # a curve and what chance reaches, for each direction


def test_a_full_curve_stays_inside_the_drawing(tmp_path: Path) -> None:
    documents = tuple(f"d{number}" for number in range(300))
    lone = task("text_to_image", ("t1", "t2"), documents, {"t1": {"d0": 1}, "t2": {"d250": 1}})
    made = replace(evaluation(tmp_path), results={"text_to_image": result(lone, ranking(lone, [list(range(300))] * 2))})
    page = written(tmp_path, made)
    _, line = (attrs["d"] for tag, attrs in page.elements if tag == "path")
    points = [tuple(map(float, point.split(","))) for point in line[1:].split(" L")]
    assert len(points) == 100
    assert all(0 <= x <= 760 and 0 <= y <= 420 for x, y in points)
    assert {y for _, y in points} == {points[0][1]}  # one of two at every k
    assert "Text to image: " + ", ".join(f"50.0% at k = {k}" for k in (1, 5, 10, 50, 100)) + "." in page.texts


def test_failures_show_query_first_answer_and_right_one(tmp_path: Path) -> None:
    page = written(tmp_path, evaluation(tmp_path, ("something red", "the green one", "rather blue")))
    forth = after(page, "Worst failures, text to image")
    assert forth[: forth.index("Worst failures, image to text")] == [
        *("Query", "rather blue", "Came first", "score 0.500", "green.png", "Right", "rank 3, 0.250", "blue.png"),
        *("Query", "the green one", "Came first", "score 0.500", "red.png", "Right", "rank 2, 0.375", "green.png"),
    ]
    back = after(page, "Worst failures, image to text")
    assert back[: back.index("What the figures mean")] == [
        *("Query", "blue.png", "Came first", "score 0.500", "the green one"),
        *("Right", "rank 3, 0.250", "rather blue"),
        *("Query", "green.png", "Came first", "score 0.500", "something red"),
        *("Right", "rank 2, 0.375", "the green one"),
    ]
    shown = page.images()
    assert [picture.size for picture in shown] == [(320, 213)] * 6
    strongest = [max(range(3), key=picture.getpixel((160, 100)).__getitem__) for picture in shown]
    assert ["rgb"[channel] for channel in strongest] == ["g", "b", "r", "g", "b", "g"]
    names = [attrs["alt"] for tag, attrs in page.elements if tag == "img"]
    assert names == ["green.png", "blue.png", "red.png", "green.png", "blue.png", "green.png"]


def test_at_most_twelve_failures_a_direction_and_several_right_answers(tmp_path: Path) -> None:
    queries = tuple(f"q{number}" for number in range(40))
    documents = ("wrong", *(f"right {number}" for number in range(5)))
    lone = task("text_to_text", queries, documents, {query: dict.fromkeys(documents[1:], 1) for query in queries})
    made = ranking(lone, [[0, 3, 1, 2, 4, 5]] * 20 + [[0]] * 20)
    page = written(tmp_path, replace(evaluation(tmp_path), results={"text_to_text": result(lone, made)}))
    assert page.count("li") == 1 + 12  # one note
    shown = after(page, "Worst failures, text to text")
    assert shown[:10] == [
        *("Query", "q20", "Came first", "score 0.500", "wrong"),
        *("Right", "not found", "right 0", "right 1", "right 2"),
    ]
    assert shown[10] == "and 2 more right ones"


def test_the_best_ranked_right_answer_is_the_one_shown(tmp_path: Path) -> None:
    lone = task("text_to_image", ("t1",), ("red.png", "green.png", "blue.png"), {"t1": {"green.png": 1, "blue.png": 1}})
    made = replace(evaluation(tmp_path), results={"text_to_image": result(lone, ranking(lone, [[0, 2, 1]]))})
    shown = after(written(tmp_path, made), "Worst failures, text to image")
    assert shown[5:9] == ["Right", "best at rank 2, 0.375", "blue.png", "and 1 more right one"]


def test_no_failures_is_said(tmp_path: Path) -> None:
    lone = task("text_to_image", ("t1", "t2"), ("red.png", "green.png"), {"t1": {"red.png": 1}, "t2": {"green.png": 1}})
    made = result(lone, ranking(lone, [[0, 1], [1, 0]]))
    page = written(tmp_path, replace(evaluation(tmp_path), results={"text_to_image": made}))
    assert after(page, "Worst failures, text to image")[0] == "None: every query had a right answer first."
    assert page.count("img") == 0
    assert "Image to text" not in page.texts


def test_nothing_found_and_nothing_judged(tmp_path: Path) -> None:
    lone = task("text_to_image", ("t1",), ("red.png",), {"t1": {"red.png": 1}})
    made = replace(evaluation(tmp_path), results={"text_to_image": result(lone, ranking(lone, [[]]))})
    assert "nothing was found" in written(tmp_path, made).texts
    assert written(tmp_path, replace(made, results={})).texts[-1] == "No direction was judged."


def test_slices_stand_best_first_with_bars(tmp_path: Path) -> None:
    made = evaluation(tmp_path)
    slices = {
        "language": {
            "zh": (2, {"success@1": 0.25, "success@10": 0.5}),
            "<b>": (1, {"success@1": 0.75, "success@10": 1.0}),
            **{f"v{n}": (0, {"success@1": 0.0, "success@10": 0.0}) for n in range(50)},
        }
    }
    one = replace(made.results["text_to_image"], slices=slices)
    page = written(tmp_path, replace(made, results={"text_to_image": one}))
    shown = after(page, "Text to image by language")
    assert shown[:4] == ["language", "queries", "success@1", "success@10"]
    assert shown[4:16] == [
        *("all", "3", "33.3 %", "100.0 %"),
        *("<b>", "1", "75.0 %", "100.0 %"),
        *("zh", "2", "25.0 %", "50.0 %"),
    ]
    bars = [attrs["width"] for tag, attrs in page.elements if tag == "rect" and attrs.get("class") == "reach"]
    assert bars[:6] == ["33.3", "100.0", "75.0", "100.0", "25.0", "50.0"]
    assert "12 smaller slices are not shown." in shown


def test_whatever_a_data_set_says_stays_text(tmp_path: Path) -> None:
    evil = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'&amp;"
    made = evaluation(tmp_path, (evil, evil, evil))
    slices = {evil: {evil: (3, {"success@1": 0.5})}}
    said = tuple(replace(text, language=evil) for text in made.dataset.texts)
    dataset = replace(made.dataset, name=evil, notes=(evil,), texts=said)
    results = {direction: replace(one, slices=slices) for direction, one in made.results.items()}
    hostile = replace(made, dataset=dataset, model=evil, fingerprint=evil, search=evil, results=results)
    page = written(tmp_path, hostile)
    assert page.count("script") == 0
    assert page.count("img") == 6
    assert page.texts.count(evil) == 14
    assert {attrs["lang"] for _, attrs in page.elements if "lang" in attrs} == {"en", evil}


def test_hostile_file_names_stay_text(tmp_path: Path) -> None:
    names = ('"><img src=x>.png', "'onload='x'.png", "caf\udce9 &lt;.png")
    photos = images(tmp_path, names)
    lone = task("image_to_image", names[:1], names[1:], {names[0]: {names[2]: 1}})
    made = replace(
        evaluation(tmp_path),
        dataset=replace(evaluation(tmp_path).dataset, images=photos),
        results={"image_to_image": result(lone, ranking(lone, [[0, 1]]))},
    )
    page = written(tmp_path, made)
    assert [attrs["alt"] for tag, attrs in page.elements if tag == "img"] == [*names[:2], "caf? &lt;.png"]


def _refuse() -> bytes:
    raise EvaluationError("the archive is gone")


@pytest.mark.parametrize(
    "read",
    [lambda: Path("no-such-file.jpg").read_bytes(), _refuse, lambda: b"\xff\xd8\xff and then nothing", lambda: {}["x"]],
    ids=["missing", "refused", "broken", "gone from its archive"],
)
def test_a_picture_that_can_no_longer_be_read_leaves_a_gap_and_no_error(
    tmp_path: Path, read: Callable[[], bytes]
) -> None:
    made = evaluation(tmp_path)
    lost = tuple(replace(photo, read=read) for photo in made.dataset.images)
    page = written(tmp_path, replace(made, dataset=replace(made.dataset, images=lost)))
    assert page.count("img") == 0
    assert page.texts.count("no photo") == 6
    assert "33.3" in page.texts


def test_long_texts_are_cut_and_languages_named(tmp_path: Path) -> None:
    made = evaluation(tmp_path)
    said = tuple(EvaluationText(text.text_id, "long " * 1_000, "de-CH") for text in made.dataset.texts)
    page = written(tmp_path, replace(made, dataset=replace(made.dataset, texts=said)))
    assert max(len(text) for text in after(page, "Worst failures, text to image")) <= 300
    assert {"lang": "de-CH", "dir": "auto", "class": "said"} in [attrs for _, attrs in page.elements]


def test_a_path_that_cannot_be_written_is_a_storage_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"report\.html cannot be written: No such file or directory"):
        write_page(tmp_path / "no-such-folder" / "report.html", evaluation(tmp_path))
