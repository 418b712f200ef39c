"""Evaluation through a collection's search: equal to exact evaluation where search is exact, lower where it loses."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from indexer.sources.base import SourceItem
from retrieval.arrays import FloatArray
from retrieval.collection import Collection
from retrieval.errors import EvaluationError, FingerprintMismatch
from retrieval.evaluation.evaluate import evaluate
from retrieval.evaluation.through_search import evaluate_through_search
from retrieval.evaluation.types import EvaluationImage, EvaluationSet, EvaluationText, Task
from retrieval.images import read_file
from retrieval.index.view import VectorView
from tests.fakes import COLOURS, ColourEncoder
from tests.listed import NoiseEncoder, compacted, fill, paint

COUNT = 40
MEASURES = ("success@1", "success@5", "mrr@10", "ndcg@10")


@pytest.fixture
def items(tmp_path: Path) -> list[SourceItem]:
    """40 different photos, each with a title of its own."""
    return [
        SourceItem(f"i{at}", f"thing {at}", (paint(tmp_path / f"{at}.png", (6 * at, 255 - 6 * at, 128)),))
        for at in range(COUNT)
    ]


def dataset(items: list[SourceItem], *, named: str = "path") -> EvaluationSet:
    """Titles ask for photos, photos for titles. named: `item`: images have item ids and no path."""
    images = tuple(
        EvaluationImage(
            item.item_id if named == "item" else item.photos[0].name,
            partial(read_file, item.photos[0]),
            None if named == "item" else item.photos[0],
        )
        for item in items
    )
    texts = tuple(EvaluationText(f"t{item.item_id}", item.title) for item in items)
    image_ids, text_ids = tuple(i.image_id for i in images), tuple(t.text_id for t in texts)
    pairs = list(zip(text_ids, image_ids, strict=True))
    forth = Task("text_to_image", text_ids, image_ids, {text: {image: 1} for text, image in pairs})
    back = Task("image_to_text", image_ids, text_ids, {image: {text: 1} for text, image in pairs})
    return EvaluationSet("noise", images, texts, (forth, back))


@pytest.mark.parametrize("named", ["path", "item"])
def test_equals_exact_evaluation_where_search_is_exact(named: str, items: list[SourceItem], tmp_path: Path) -> None:
    fill(tmp_path / "c", items)
    wanted = evaluate(dataset(items, named=named), NoiseEncoder(), measures=MEASURES)
    with Collection.open(tmp_path / "c") as collection:
        found = evaluate_through_search(dataset(items, named=named), collection, NoiseEncoder(), measures=MEASURES)
    for direction, result in wanted.results.items():
        assert found.results[direction].figures == result.figures
        assert (found.results[direction].ranking.top[:, 0] == result.ranking.top[:, 0]).all()
    assert found.search == "collection (image exact-fp16, text exact-fp16)"
    assert [note for note in found.dataset.notes if "by item id" in note] == (
        ["40 of 40 images were matched by item id, not by path"] if named == "item" else []
    )


def test_documents_outside_the_set_are_left_out(items: list[SourceItem], tmp_path: Path) -> None:
    fill(tmp_path / "c", items)
    part = dataset(items[:8])
    wanted = evaluate(part, NoiseEncoder(), measures=MEASURES)
    with Collection.open(tmp_path / "c") as collection:
        found = evaluate_through_search(part, collection, NoiseEncoder(), measures=MEASURES)
    top = found.results["text_to_image"].ranking.top
    assert top.shape == (8, 8)
    assert (np.sort(top, axis=1) == np.arange(8)).all()
    assert found.results["text_to_image"].figures == wanted.results["text_to_image"].figures


def test_newer_and_deleted_rows_count(items: list[SourceItem], tmp_path: Path) -> None:
    fill(tmp_path / "c", items)
    kept = items[3:]
    newer = SourceItem("new", "a new thing", (paint(tmp_path / "new.png", (1, 2, 3)),))
    fill(tmp_path / "c", [*kept, newer])
    asked = dataset([*kept, newer])
    with Collection.open(tmp_path / "c") as collection:
        view = collection.view().image
        assert (len(view.delta), len(view.deleted)) == (1, 3)
        found = evaluate_through_search(asked, collection, NoiseEncoder(), measures=MEASURES)
        assert (
            found.results["text_to_image"].figures
            == evaluate(asked, NoiseEncoder(), measures=MEASURES).results["text_to_image"].figures
        )
        with pytest.raises(
            EvaluationError, match=r"3 of 40 images of the set are not in .*'0\.png', '1\.png', '2\.png'"
        ):
            evaluate_through_search(dataset(items), collection, NoiseEncoder())


def test_what_search_loses_shows(items: list[SourceItem], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An index that has lost its first row: the title of that photo can no longer be answered."""
    fill(tmp_path / "c", items)
    search = VectorView.search
    with Collection.open(tmp_path / "c") as collection:
        whole = evaluate_through_search(dataset(items), collection, NoiseEncoder(), measures=["success@40"])

        def lossy(view: VectorView, *arguments: object) -> object:
            found = search(view, *arguments)  # type: ignore[arg-type]
            return replace(found, ids=np.where(found.ids == 1, -1, found.ids))

        monkeypatch.setattr(VectorView, "search", lossy)
        found = evaluate_through_search(dataset(items), collection, NoiseEncoder(), measures=["success@40"])
    assert whole.results["text_to_image"].figures["success@40"] == 1
    assert found.results["text_to_image"].figures["success@40"] == pytest.approx(1 - 1 / COUNT)


def test_through_an_approximate_index(items: list[SourceItem], tmp_path: Path) -> None:
    fill(tmp_path / "c", items, exact_rows=10)
    with Collection.open(tmp_path / "c") as collection:
        found = evaluate_through_search(dataset(items), collection, NoiseEncoder(), measures=MEASURES)
    assert found.search == "collection (image ivf-sq8, text ivf-sq8)"
    assert found.results["image_to_text"].ranking.top.shape == (COUNT, 10)


def test_search_is_asked_for_no_more_than_the_measures_look_at(items: list[SourceItem], tmp_path: Path) -> None:
    fill(tmp_path / "c", items)
    with Collection.open(tmp_path / "c") as collection:
        found = evaluate_through_search(
            dataset(items), collection, NoiseEncoder(), measures=["success@2", "median_rank"]
        )
    assert found.results["text_to_image"].ranking.top.shape == (COUNT, 2)
    assert found.results["text_to_image"].figures["median_rank"] == float("inf")
    assert found.dataset.notes == ("search was asked for 2 answers a query; a rank beyond them counts as infinite",)


def test_by_text_a_photo_is_found_by_its_title(items: list[SourceItem], tmp_path: Path) -> None:
    fill(tmp_path / "c", items)
    with Collection.open(tmp_path / "c") as collection:
        asked = dataset(items)
        own = COUNT // 2
        others = tuple(replace(text, text=f"asked {text.text}") for text in asked.texts[own:])
        half = replace(asked, texts=(*asked.texts[:own], *others), tasks=asked.tasks[:1])
        found = evaluate_through_search(half, collection, NoiseEncoder(), by="text", measures=["success@1"])
    # With noise for vectors only equal words are near.
    assert found.results["text_to_image"].per_query["success@1"][:own].all()


def test_by_text_queries_that_are_the_stored_titles_are_refused(items: list[SourceItem], tmp_path: Path) -> None:
    fill(tmp_path / "c", items)
    asked = dataset(items)
    own = COUNT // 2 + 1
    blanks = tuple(replace(text, text=f" {text.text} ") for text in asked.texts[:own])
    others = tuple(replace(text, text=f"asked {text.text}") for text in asked.texts[own:])
    encoder = NoiseEncoder()
    with (
        Collection.open(tmp_path / "c") as collection,
        pytest.raises(EvaluationError, match="would find themselves: 21 of 40") as caught,
    ):
        evaluate_through_search(replace(asked, texts=(*blanks, *others)), collection, encoder, by="text")
    assert "--queries attributes" in caught.value.hint


def test_an_id_alone_does_not_make_two_pictures_one(items: list[SourceItem], tmp_path: Path) -> None:
    fill(tmp_path / "c", items)
    asked = dataset(items, named="item")
    other = paint(tmp_path / "other.png", (9, 9, 9))
    unlike = replace(asked, images=(replace(asked.images[0], read=other.read_bytes), *asked.images[1:]))
    gone = replace(asked, images=(replace(asked.images[0], read=(tmp_path / "gone.png").read_bytes), *asked.images[1:]))
    with Collection.open(tmp_path / "c") as collection:
        with pytest.raises(
            EvaluationError, match=r"1 of 40 images .*: 'i0'; 1 of them have the id of an item with oth"
        ):
            evaluate_through_search(unlike, collection, NoiseEncoder())
        with pytest.raises(EvaluationError, match="image 'i0' of the set cannot be read"):
            evaluate_through_search(gone, collection, NoiseEncoder())


def test_a_collection_that_changes_meanwhile_gives_no_figure(items: list[SourceItem], tmp_path: Path) -> None:
    fill(tmp_path / "c", items)
    changed = False

    def change(*_: object) -> None:
        nonlocal changed
        if not changed:
            fill(tmp_path / "c", items[1:])
        changed = True

    with (
        Collection.open(tmp_path / "c") as collection,
        pytest.raises(EvaluationError, match="the collection changed while it was judged") as caught,
    ):
        evaluate_through_search(dataset(items), collection, NoiseEncoder(), on_progress=change)
    assert caught.value.hint == "run it again"


def test_only_queries_with_too_few_answers_are_searched_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    same = [paint(tmp_path / f"b{at}.png", (200, 0, 0)) for at in range(4)]
    others = [paint(tmp_path / f"{name}.png", COLOURS[name]) for name in ("green", "blue", "yellow")]
    entries = [SourceItem("b", "red", tuple(same)), *(SourceItem(p.stem, p.stem, (p,)) for p in others)]
    fill(tmp_path / "c", entries, ColourEncoder())
    images = tuple(EvaluationImage(path.name, path.read_bytes, path) for path in (*same, *others))
    texts = tuple(EvaluationText(name, f"a {name} thing") for name in ("red", "green"))
    task = Task("text_to_image", ("red", "green"), tuple(image.image_id for image in images), {"red": {"b0.png": 1}})
    asked = EvaluationSet("few", images, texts, (task,))
    sizes = []
    search = VectorView.search

    def counting(view: VectorView, vectors: FloatArray, k: int, *rest: object) -> object:
        found = search(view, vectors, k, *rest)  # type: ignore[arg-type]
        if k == 3:  # the second query has lost its places, as in an approximate index
            found.ids[1] = -1
        sizes.append((len(vectors), k))
        return found

    monkeypatch.setattr(VectorView, "search", counting)
    with Collection.open(tmp_path / "c") as collection:
        found = evaluate_through_search(asked, collection, ColourEncoder(), measures=["success@3"])
    assert sizes == [(2, 3), (1, 7)]
    top = found.results["text_to_image"].ranking.top
    assert top[0].tolist() == [0, 1, 2]
    assert top[1, 0] == 4


def test_by_text_all_photos_of_an_item_share_its_score(tmp_path: Path) -> None:
    pictures = tuple(paint(tmp_path / f"p{at}.png", (60 * at, 0, 0)) for at in range(3))
    fill(tmp_path / "c", [SourceItem("a", "one", pictures[:2]), SourceItem("b", "two", pictures[2:])])
    images = tuple(EvaluationImage(path.name, path.read_bytes, path) for path in pictures)
    ids = tuple(image.image_id for image in images)
    task = Task("text_to_image", ("t",), ids, {"t": {"p0.png": 1, "p1.png": 1}})
    task = replace(task, query_ids=("t", "u"))
    asked = EvaluationSet("two", images, (EvaluationText("t", "one"), EvaluationText("u", "else")), (task,))
    with Collection.open(tmp_path / "c") as collection:
        found = evaluate_through_search(asked, collection, NoiseEncoder(), by="text", measures=["recall@2"])
    result = found.results["text_to_image"]
    assert result.ranking.top[0].tolist() == [0, 1]
    assert result.ranking.scores[0, 0] == result.ranking.scores[0, 1]
    assert result.per_query["recall@2"][0] == 1


def test_image_to_image(items: list[SourceItem], tmp_path: Path) -> None:
    fill(tmp_path / "c", items)
    images = dataset(items).images
    query = EvaluationImage("shelf", images[5].read)
    ids = tuple(image.image_id for image in images)
    task = Task("image_to_image", ("shelf",), ids, {"shelf": {ids[5]: 1}})
    asked = EvaluationSet("shelves", (query, *images), (), (task,))
    with Collection.open(tmp_path / "c") as collection:
        found = evaluate_through_search(asked, collection, NoiseEncoder(), measures=["success@1"])
    assert found.results["image_to_image"].figures["success@1"] == 1


def test_texts_that_the_collection_lacks_leave_their_direction_out(items: list[SourceItem], tmp_path: Path) -> None:
    fill(tmp_path / "c", items)
    asked = dataset(items)
    asked = replace(asked, texts=(replace(asked.texts[0], text="something else"), *asked.texts[1:]))
    with Collection.open(tmp_path / "c") as collection:
        found = evaluate_through_search(asked, collection, NoiseEncoder())
        assert list(found.results) == ["text_to_image"]
        assert any(note.startswith("image_to_text was left out: 1 of 40 texts") for note in found.dataset.notes)
        with pytest.raises(EvaluationError, match="nothing of 'noise' can be judged"):
            evaluate_through_search(replace(asked, tasks=asked.tasks[1:]), collection, NoiseEncoder())


def test_another_encoder_is_refused(items: list[SourceItem], tmp_path: Path) -> None:
    fill(tmp_path / "c", items)
    with Collection.open(tmp_path / "c") as collection, pytest.raises(FingerprintMismatch, match="colour"):
        evaluate_through_search(dataset(items), collection, ColourEncoder())


def test_a_set_that_names_unknown_entries_is_refused(items: list[SourceItem], tmp_path: Path) -> None:
    fill(tmp_path / "c", items)
    asked = replace(dataset(items), texts=dataset(items).texts[1:])
    with Collection.open(tmp_path / "c") as collection, pytest.raises(EvaluationError, match="'ti0'"):
        evaluate_through_search(asked, collection, NoiseEncoder())


def test_after_compaction_the_same(items: list[SourceItem], tmp_path: Path) -> None:
    fill(tmp_path / "c", items)
    with Collection.open(tmp_path / "c") as collection:
        before = evaluate_through_search(dataset(items), collection, NoiseEncoder(), measures=MEASURES)
        compacted(tmp_path / "c")
        after = evaluate_through_search(dataset(items), collection, NoiseEncoder(), measures=MEASURES)
    assert before.results["text_to_image"].figures == after.results["text_to_image"].figures
