"""The demo's whole way, with a little catalogue already in its cache and the encoder that sees colours only."""

import io
import re
import sys
from pathlib import Path

import pytest
from PIL import Image
from rich.console import Console

from api.cli.demo import QUERIES, QUERY_PHOTO, run
from tests.fakes import ColourEncoder

COLOURS = {"Night Bike": "black", "Red Shoes": "red", "Sky [bold]Sofa": "blue"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A demo folder whose catalogue was fetched before."""
    catalogue = tmp_path / "demo" / "catalogue" / "vendure-create-3.7.3"
    (catalogue / "images").mkdir(parents=True)
    rows = [f"Green Camera,camera,{QUERY_PHOTO},615.00"]
    Image.new("RGB", (120, 80), (20, 180, 20)).save(catalogue / "images" / QUERY_PHOTO)
    for price, (name, colour) in enumerate(COLOURS.items(), start=1):
        Image.new("RGB", (120, 80), colour).save(catalogue / "images" / f"{colour}.jpg")
        rows.append(f"{name},{colour},{colour}.jpg,{price}000.5")
    (catalogue / "products.csv").write_text("name,slug,assets,price\n" + "\n".join(rows) + "\n")
    return tmp_path / "demo"


def run_in(folder: Path, encoder: ColourEncoder) -> tuple[str, str]:
    out, err = io.StringIO(), io.StringIO()
    run(Console(file=out, width=80), Console(file=err, width=80), folder, encoder=encoder)
    return out.getvalue(), err.getvalue()


def test_searches_by_words_and_by_photo_and_leaves_a_page(folder: Path) -> None:
    encoder = ColourEncoder()
    out, err = run_in(folder, encoder)
    tables = out.split('"')
    assert [title for title in QUERIES if title in tables] == list(QUERIES)
    bicycle = tables[tables.index("black bicycle") + 1]
    assert re.search(r"^ *1 .*Night Bike .*1,000\.50", bicycle, re.MULTILINE)
    by_photo = out.partition("By photo:")[2]
    assert re.search(r"^ *1 .*Green Camera ", by_photo, re.MULTILINE)
    assert "Sky [bold]Sofa" in out
    assert "4 photos, 4 of them embedded now" in err
    sheet = (folder / "contact-sheet.html").read_text()
    assert all(query in sheet for query in QUERIES)
    assert "query photo" in sheet
    assert str(folder / "contact-sheet.html") in out


def test_tables_fit_80_columns(folder: Path) -> None:
    out, _ = run_in(folder, ColourEncoder())
    tables = out.partition("All of this")[0]
    assert max(map(len, tables.splitlines())) <= 80


def test_the_query_photo_is_another_picture_than_the_shops(folder: Path) -> None:
    run_in(folder, ColourEncoder())
    with Image.open(folder / "query-photo.jpg") as query:
        assert query.size == (105, 60)


def test_a_second_run_embeds_nothing_again(folder: Path) -> None:
    first, _ = run_in(folder, ColourEncoder())
    encoder = ColourEncoder()
    second, err = run_in(folder, encoder)
    assert second == first
    assert encoder.images_encoded == 1  # the query photo
    assert "4 photos, 0 of them embedded now" in err


@pytest.mark.parametrize(("on_path", "name"), [(True, "catalens"), (False, ".venv/bin/catalens")])
def test_ends_with_commands_that_work_from_here(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, on_path: bool, name: str
) -> None:
    """The commands name the program as the reader can call it."""
    (tmp_path / "bin").mkdir()
    if on_path:
        (tmp_path / "bin" / "catalens").write_text("#!/bin/sh\n")
        (tmp_path / "bin" / "catalens").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(sys, "argv", [".venv/bin/catalens", "demo"])
    out, _ = run_in(folder, ColourEncoder())
    [again, index, search] = out.strip().splitlines()[-3:]
    assert again.startswith(f"  {name} search ")
    assert again.endswith(f" --collection {folder / 'collection'}")
    assert index == f"  {name} index YOUR-FOLDER"
    assert search == f'  {name} search "red shoes"'
