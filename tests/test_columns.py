"""Which column means what, and what its cells mean."""

import datetime
import decimal

import pytest

from indexer.sources.columns import map_columns
from indexer.sources.values import TextColumn, as_prose, as_text, facets, native
from retrieval.errors import SourceError


def column(*cells: str) -> TextColumn:
    learnt = TextColumn()
    for cell in cells:
        if cell:
            learnt.observe(cell)
    return learnt


def typed(*cells: str) -> list[object]:
    return [column(*cells).value(cell) for cell in cells]


@pytest.mark.parametrize("header", ["product_id", "Product ID", "productId", "PRODUCT-ID", "product.id"])
def test_case_and_separators_do_not_matter(header: str) -> None:
    assert map_columns(["image", header], file_name="x.csv").id == header


@pytest.mark.parametrize(
    ("headers", "id_", "title", "images", "descriptions"),
    [
        (["id", "title", "image"], "id", "title", ("image",), ()),
        (["sku", "slug", "name", "assets"], "slug", "name", ("assets",), ()),
        (["Handle", "Title", "Body (HTML)", "Image Src"], "Handle", "Title", ("Image Src",), ("Body (HTML)",)),
        (["article_id", "prod", "image_1", "image_2"], "article_id", None, ("image_1", "image_2"), ()),
        (["id", "image", "additional_images", "photo"], "id", None, ("image", "additional_images"), ()),
        (["id", "link", "image_link", "additional_image_link"], "id", None,
         ("image_link", "additional_image_link"), ()),
        (["ASIN", "ProductName", "imgs", "summary", "details"], "ASIN", "ProductName", ("imgs",),
         ("summary", "details")),
        (["filename", "label", "caption"], None, "label", ("filename",), ("caption",)),
    ],
)  # fmt: skip
def test_guesses(
    headers: list[str], id_: str | None, title: str | None, images: tuple[str, ...], descriptions: tuple[str, ...]
) -> None:
    mapped = map_columns(headers, file_name="x.csv")
    assert (mapped.id, mapped.title, mapped.images, mapped.descriptions) == (id_, title, images, descriptions)


def test_a_column_given_wins_over_the_guess() -> None:
    mapped = map_columns(
        ["id", "name", "image", "Alt Key", "caption", "thumb"],
        file_name="x.csv",
        id_column="alt_key",
        image_column="thumb",
        title_column="caption",
    )
    assert (mapped.id, mapped.title, mapped.images, mapped.descriptions) == ("Alt Key", "caption", ("thumb",), ())
    assert mapped.used == {"Alt Key", "caption", "thumb"}


@pytest.mark.parametrize("role", ["id", "title", "image"])
def test_an_unknown_column_names_those_there_are_and_the_nearest(role: str) -> None:
    with pytest.raises(SourceError, match=r"no column 'colour_nam'; its columns are id, colour_name, image") as caught:
        map_columns(["id", "colour_name", "image"], file_name="x.csv", **{f"{role}_column": "colour_nam"})
    assert f"--{role}-column" in caught.value.hint
    assert "'colour_name'" in caught.value.hint


def test_no_column_of_photos() -> None:
    with pytest.raises(SourceError, match="its columns are id, price") as caught:
        map_columns(["id", "price"], file_name="x.csv")
    assert "--image-column" in caught.value.hint


def test_many_columns_are_not_all_listed() -> None:
    with pytest.raises(SourceError, match="c29 and 70 more"):
        map_columns([f"c{n}" for n in range(100)], file_name="x.csv")


@pytest.mark.parametrize(
    ("cells", "values"),
    [
        (["1", "", "-20", "0"], [1, None, -20, 0]),
        (["1", "2.5", ".5"], [1.0, 2.5, 0.5]),
        (["1.5e-3", "nan", "-2"], [0.0015, None, -2.0]),
        (["nan", "NaN"], [None, None]),
        (["Yes", "no", "TRUE", "false", "nan"], [True, False, True, False, None]),
        (["yes", "1"], ["yes", "1"]),
        (["1", "yes"], ["1", "yes"]),
        (["yes", "maybe"], ["yes", "maybe"]),
        (["12", "0012"], ["12", "0012"]),
        (["+49"], ["+49"]),
        (["1,299"], ["1,299"]),
        (["3,5"], ["3,5"]),
        (["inf", "1"], ["inf", "1"]),
        (["1e5"], ["1e5"]),
        (["999999999999999"], [999999999999999]),
        (["1234567890123456"], ["1234567890123456"]),
        (["500.210.76"], ["500.210.76"]),
        (["١٢"], ["١٢"]),
        (["Nan", "bread"], ["Nan", "bread"]),
    ],
)
def test_text_columns_are_typed_as_a_whole(cells: list[str], values: list[object]) -> None:
    result = typed(*cells)
    assert result == values
    assert [type(value) for value in result] == [type(value) for value in values]


def test_a_cell_that_came_after_the_types_were_learnt_stays_text() -> None:
    assert column("1").value("one") == "one"
    assert column("1.5").value("one") == "one"


def test_a_text_column_counts_the_photos_it_may_name() -> None:
    counted = column("a.jpg", "", "b.jpg|c.jpg;d.jpg")
    assert counted.filled + counted.parts == 4


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (" x ", "x"),
        ("", None),
        (True, True),
        (2**62, 2**62),
        (2**63, str(2**63)),
        (float("nan"), None),
        (float("inf"), None),
        (decimal.Decimal("12.50"), 12.5),
        (datetime.datetime(2024, 5, 1, 12, 30), "2024-05-01T12:30:00"),
        (datetime.date(2024, 5, 1), "2024-05-01"),
        (datetime.time(8, 15), "08:15:00"),
        (b"\xff\xd8", None),
        (["a", None, 2, True], ["a", "2", "true"]),
        ([], []),
        ({"w": 1, "d": datetime.date(2024, 5, 1)}, '{"w": 1, "d": "2024-05-01"}'),
        ([{"w": 1}], '[{"w": 1}]'),
        ([("k", "v")], '[["k", "v"]]'),
        (datetime.timedelta(hours=1), "1:00:00"),
    ],
)
def test_native_values(value: object, expected: object) -> None:
    result = native(value)
    assert result == expected
    assert type(result) is type(expected)


def test_a_value_nested_without_end_is_nothing() -> None:
    nested: list[object] = []
    for _ in range(100_000):
        nested = [nested]
    assert native(nested) is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [(None, ""), (15970, "15970"), (15970.0, "15970"), (1.5, "1.5"), (False, "false"), (["", "a", "b"], "a"), ([], "")],
)
def test_ids_and_titles_as_text(value: object, expected: str) -> None:
    assert as_text(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("<p>Soft &amp; warm</p>", "Soft & warm"),
        ("fits sizes < 5 and > 3", "fits sizes < 5 and > 3"),
        (["one", None, "two"], "one\ntwo"),
        (None, ""),
    ],
)
def test_descriptions_are_plain_text(value: object, expected: str) -> None:
    assert as_prose(value) == expected


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("colour:red | colour: blue|brand:Acme", {"colour": ["red", "blue"], "brand": "Acme"}),
        ("link:https://x", {"link": "https://x"}),
        ("just words", None),
        ("colour:red|new", None),
        ("", None),
    ],
)
def test_facets(cell: str, expected: object) -> None:
    assert facets(cell) == expected
