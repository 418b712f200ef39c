"""A catalogue as an evaluation set, and sets by whatever name."""

from pathlib import Path

import pytest

from indexer.evaluation_catalogue import read_catalogue
from indexer.evaluation_sets import open_evaluation_set
from indexer.sources import open_source
from retrieval.errors import EvaluationError, SourceError
from retrieval.evaluation.types import EvaluationSet
from tests.dataset_files import COLOURS, as_captions, write_images

ROWS = """id,title,color,type,image
1,Red shirt,Red,Shirts,images/1.jpg|images/1b.jpg
2,red  Shirt,red,shirts,images/2.jpg
3,Blue hat,Blue,Hat,images/3.jpg
4,Box,,Box,images/2.jpg
5,Nothing to see,Blue,Hat,
"""


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    write_images(tmp_path, [f"images/{name}.jpg" for name in ("1", "1b", "2", "3")])
    (tmp_path / "products.csv").write_text(ROWS)
    return tmp_path / "products.csv"


def of(path: Path, **options) -> EvaluationSet:  # type: ignore[no-untyped-def]
    return read_catalogue(open_source(path, images_dir=options.get("images_dir")), **options)


def test_titles_ask_for_their_own_photos_and_photos_for_titles(shop: Path) -> None:
    found = of(shop)
    forward, backward = found.tasks
    assert (forward.direction, backward.direction) == ("text_to_image", "image_to_text")
    assert forward.document_ids == ("images/1.jpg", "images/1b.jpg", "images/2.jpg", "images/3.jpg")
    assert forward.qrels == {
        "1": {"images/1.jpg": 1, "images/1b.jpg": 1, "images/2.jpg": 1},
        "3": {"images/3.jpg": 1},
        "4": {"images/2.jpg": 1},
    }
    assert backward.query_ids == forward.document_ids
    assert backward.qrels["images/2.jpg"] == {"1": 1, "4": 1}
    assert found.texts[0].attributes == {"color": "Red", "type": "Shirts"}
    assert found.images[0].attributes == {"color": "Red", "type": "Shirts"}
    assert found.images[2].attributes == {}  # a red shirt, and a box
    assert found.notes == (
        "1 of 5 items have no photo and ask nothing",
        "1 of 3 queries stand for several items, whose photos are all relevant",
    )


def test_queries_from_attributes(shop: Path) -> None:
    found = of(shop, queries="attributes")
    assert found.name.endswith("/products.csv (attributes)")
    assert found.tasks[0].qrels == {
        "Red Shirts": {"images/1.jpg": 1, "images/1b.jpg": 1, "images/2.jpg": 1},
        "Blue Hat": {"images/3.jpg": 1},
    }
    assert found.texts[1].attributes == {"color": "Blue", "type": "Hat"}
    assert "1 of 5 items have no color or no type" in found.notes
    shop.write_text("id,title,image,type\n1,Red shirt,images/1.jpg,Shirt\n")
    with pytest.raises(EvaluationError, match="no column for the colour"):
        of(shop, queries="attributes")


def test_queries_from_a_file(shop: Path) -> None:
    queries = shop.parent / "queries.csv"
    queries.write_text(
        "query,item_id,grade\nsomething red,1,2\nsomething red,2,1\nsomething red,4,3\nhat,3,\nhat,5,1\n"
    )
    found = of(shop, queries=queries)
    assert [task.direction for task in found.tasks] == ["text_to_image"]
    assert found.tasks[0].qrels == {
        "something red": {"images/1.jpg": 2, "images/1b.jpg": 2, "images/2.jpg": 3},
        "hat": {"images/3.jpg": 1},
    }
    assert "1 of 5 judgements are of items without a photo and were left out" in found.notes


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ("a,9,1\nb,8,1\nc,1,1\n", "2 of 3 judgements in queries.csv name items that the catalogue does not have: 9, 8"),
        ("a,1,high\n", "line 2: the grade 'high' is not a whole number"),
        ("a,1,1\na,1,2\n", "line 3: 'a' and '1' stand there twice"),
        (",1,1\n", "line 2: query, item_id must all be given"),
        ('"a,1,1\n', "unexpected end of data"),
        ("", "is empty"),
    ],
)
def test_faults_of_a_file_of_queries(shop: Path, rows: str, reason: str) -> None:
    queries = shop.parent / "queries.csv"
    queries.write_text("query,item_id,grade\n" + rows)
    with pytest.raises(EvaluationError) as refused:
        of(shop, queries=queries)
    assert reason in str(refused.value)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("6,Cap,Red,Cap,images/6.jpg\n", "1 photos of products.csv are missing"),
        ("6,Cap,Red,Cap,../6.jpg\n", "1 photos of products.csv are refused"),
        ("1,Cap,Red,Cap,images/3.jpg\n", "1 entries of products.csv cannot be used"),
    ],
)
def test_faults_of_a_catalogue_are_refused_or_left_out_with_a_note(shop: Path, row: str, reason: str) -> None:
    shop.write_text(ROWS + row)
    with pytest.raises(EvaluationError, match=reason):
        of(shop)
    found = of(shop, allow_missing=True)
    assert len(found.images) == 4
    assert f"{reason} and were left out" in found.notes


def test_a_folder_of_photos(shop: Path) -> None:
    found = of(shop.parent / "images")
    assert [image.image_id for image in found.images] == ["1.jpg", "1b.jpg", "2.jpg", "3.jpg"]
    assert found.texts[1].text == "1b"
    assert "the titles are words of the file names" in found.notes


def test_rows_without_a_title_are_counted(shop: Path) -> None:
    shop.write_text("id,title,image\n1,Red shirt,images/1.jpg\n2,,images/1b.jpg\n3,,images/2.jpg\n")
    assert of(shop).notes == ("the titles of 2 of 3 items are words of a file name",)


def test_a_title_of_several_items_keeps_what_they_share(shop: Path) -> None:
    shop.write_text("id,title,color,type,image\n1,Shirt,Red,Top,images/1.jpg\n2,shirt,Blue,top,images/2.jpg\n")
    assert [text.attributes for text in of(shop).texts] == [{"type": "Top"}]


def test_photos_of_an_images_folder_elsewhere(shop: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "far" / "table.csv"
    elsewhere.parent.mkdir()
    elsewhere.write_text("id,title,image\n1,One,1.jpg\n")
    assert [image.image_id for image in of(elsewhere, images_dir=shop.parent / "images").images] == ["1.jpg"]


def named(name: str | Path, cache: Path, **options) -> EvaluationSet:  # type: ignore[no-untyped-def]
    return open_evaluation_set(str(name), cache_dir=cache, on_message=lambda _: None, **options)


def test_sets_by_name_or_path(shop: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    write_images(tmp_path, list(COLOURS))
    assert len(named(as_captions(tmp_path, COLOURS), cache).images) == 3
    assert len(named(shop, cache).images) == 4
    assert [text.text_id for text in named(shop, cache, queries="attributes").texts] == ["Red Shirts", "Blue Hat"]
    write_images(cache / "vendure-create-3.7.3" / "images", ["bike.jpg"])
    (cache / "vendure-create-3.7.3" / "products.csv").write_text("name,slug,assets\nRoad Bike,road-bike,bike.jpg\n")
    demo = named("demo", cache)
    assert (demo.name, [text.text_id for text in demo.texts]) == ("demo", ["road-bike"])
    stamps = cache / "tuxpaint-stamps-default_1_all"
    write_images(stamps, ["animals/cat.png"])
    (stamps / "animals/cat.txt").write_text("A cat.\nde.utf8=Eine Katze.\n")
    assert [text.text for text in named("stamps", cache, language="de").texts] == ["Eine Katze."]


def test_choices_that_a_set_does_not_offer_are_refused(shop: Path, tmp_path: Path) -> None:
    write_images(tmp_path, list(COLOURS))
    captions = as_captions(tmp_path, COLOURS)
    with pytest.raises(EvaluationError, match="has queries of its own"):
        named(captions, tmp_path, queries="attributes")
    with pytest.raises(EvaluationError, match="has no splits"):
        named(shop, tmp_path, split="val")
    with pytest.raises(EvaluationError, match="does not name its languages"):
        named(shop, tmp_path, language="de")
    with pytest.raises(EvaluationError, match="there is nothing at"):
        named(tmp_path / "nope", tmp_path)
    with pytest.raises(SourceError, match="not a kind of catalogue"):
        (tmp_path / "x.md").write_text("# no")
        named(tmp_path / "x.md", tmp_path)
