"""The contact sheet, read back as a browser reads it."""

from pathlib import Path

import pytest
from PIL import Image

from api.cli.contact_sheet import Section, write_contact_sheet
from api.cli.formats import format_price
from retrieval.errors import StorageError
from retrieval.records import Hit
from tests.pages import Page


def photo(path: Path, colour: str, size: tuple[int, int] = (900, 600)) -> str:
    Image.new("RGB", size, colour).save(path)
    return str(path)


@pytest.fixture
def page(tmp_path: Path) -> Page:
    red = photo(tmp_path / "red.png", "red")
    blue = photo(tmp_path / "blue.jpg", "blue", (40, 700))
    hits = [
        Hit(rank=1, item_id="a", score=0.31249, title="Road Bike", photo=red, attributes={"price": 2499.0}),
        Hit(rank=2, item_id="sku-b", score=0.2, title="", photo=blue),
    ]
    sections = [Section("black bicycle", None, hits), Section("like this", Path(blue), hits[:1])]
    write_contact_sheet(tmp_path / "sheet.html", "My shop", sections)
    return Page(tmp_path / "sheet.html")


def test_shows_each_query_with_its_hits_best_first(page: Page) -> None:
    about = next(text for text in page.texts if "cosine similarity" in text)
    seen = page.texts[page.texts.index(about) + 1 :]
    assert seen == [
        *("black bicycle", "Road Bike", "2,499.00", "0.312", "sku-b", "0.200"),
        *("query photo", "like this", "Road Bike", "2,499.00", "0.312"),
    ]
    assert page.texts[:2] == ["My shop", "My shop"]  # the window's title and the headline


def test_photos_lie_inside_the_page_as_squares_of_320_pixels(page: Page) -> None:
    images = page.images()
    assert [image.size for image in images] == [(320, 320)] * 4
    middle = [max(range(3), key=image.getpixel((160, 160)).__getitem__) for image in images]
    assert ["RGB"[channel] for channel in middle] == ["R", "B", "B", "R"]  # the third is the query photo


def test_needs_no_network_no_script_and_no_second_file(page: Page) -> None:
    page.assert_safe_and_whole()


def test_whatever_a_catalogue_says_stays_text(tmp_path: Path) -> None:
    evil = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'&amp;"
    hit = Hit(rank=1, item_id=evil, score=1.0, title=evil, photo=None, attributes={"price": evil})
    write_contact_sheet(tmp_path / "sheet.html", evil, [Section(evil, None, [hit])])
    page = Page(tmp_path / "sheet.html")
    assert page.count("script") == page.count("img") == 0
    assert page.texts.count(evil) == 5  # window title, headline, query, title, price


@pytest.mark.parametrize("name", ["missing.jpg", "broken.jpg", "folder"])
def test_a_photo_that_cannot_be_read_leaves_a_gap_and_no_error(tmp_path: Path, name: str) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff and then nothing")
    (tmp_path / "folder").mkdir()
    hit = Hit(rank=1, item_id="a", score=0.5, title="Road Bike", photo=str(tmp_path / name))
    write_contact_sheet(tmp_path / "sheet.html", "t", [Section("q", tmp_path / name, [hit])])
    page = Page(tmp_path / "sheet.html")
    assert page.count("img") == 0
    assert "no photo" in page.texts
    assert "Road Bike" in page.texts


def test_a_query_without_hits_says_so(tmp_path: Path) -> None:
    write_contact_sheet(tmp_path / "sheet.html", "t", [Section("unicorn", None, [])])
    assert Page(tmp_path / "sheet.html").texts[-2:] == ["unicorn", "Nothing found."]


def test_words_that_are_no_unicode_do_not_spoil_the_page(tmp_path: Path) -> None:
    write_contact_sheet(tmp_path / "sheet.html", "t", [Section("caf\udce9", None, [])])
    assert "caf?" in Page(tmp_path / "sheet.html").texts


def test_replaces_an_earlier_sheet(tmp_path: Path) -> None:
    (tmp_path / "sheet.html").write_text("x" * 1_000_000)
    write_contact_sheet(tmp_path / "sheet.html", "t", [])
    assert Page(tmp_path / "sheet.html").source.endswith("</html>\n")


def test_a_path_that_cannot_be_written_is_a_storage_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"sheet\.html cannot be written: No such file or directory"):
        write_contact_sheet(tmp_path / "no-such-folder" / "sheet.html", "t", [])


@pytest.mark.parametrize(
    ("price", "shown"),
    [(2499.0, "2,499.00"), (5, "5.00"), ("from 3 €", "from 3 €"), ("", ""), (None, ""), (True, "True")],
    ids=["float", "int", "words", "empty", "none", "yes or no"],
)
def test_prices_read_well(price: object, shown: str) -> None:
    assert format_price(price) == shown
