"""`catalens explain` as a person and as a program sees it."""

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image

import retrieval.encoders
import retrieval.search
from indexer.sources.base import SourceItem
from tests.command_line import Run, runner
from tests.explained import thing
from tests.fakes import COLOURS, ColourEncoder
from tests.listed import fill, paint


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    monkeypatch.setattr(retrieval.search, "load_encoder", lambda *_, **__: ColourEncoder())
    return runner(monkeypatch, capsys)


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    items = []
    for number, (name, colour) in enumerate(COLOURS.items()):
        photo = paint(tmp_path / f"{name}.png", colour)
        items.append(SourceItem(f"sku-{name}", f"{name} [thing]", (photo,), attributes={"price": number}))
    thing("red", (0.1, 0.1, 0.4, 0.4), (300, 200)).save(tmp_path / "thing.png")
    items.append(SourceItem("sku-thing", "a thing", (tmp_path / "thing.png",), attributes={"price": 50}))
    items.append(SourceItem("sku-none", "words only", (), attributes={"price": 1}))
    fill(tmp_path / "collection", items, ColourEncoder())
    monkeypatch.setenv("CATALENS_COLLECTION", str(tmp_path / "collection"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_hit(run: Run, shop: Path) -> None:
    code, out, err = run("explain", "red", "--id", "sku-red")
    assert (code, err) == (0, "")
    assert out.startswith("sku-red red [thing]\na hit: it is hit 1\n")
    assert "1 of 10" in out and str(shop / "red.png") in out


def test_a_miss_fits_into_80_columns(run: Run, shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    code, out, _ = run("explain", "dark", "red", "--id", "sku-cyan", "-k", "2", "--filter", "price > 1")
    assert code == 0
    assert "not a hit: it is number" in out and "too little" in out
    assert "passes price > 1 (price is 5)" in out
    lines = [line for line in out.splitlines() if not line.startswith("best photo")]  # a path is copied whole
    assert max(map(len, lines)) <= 80


def test_the_filter(run: Run, shop: Path) -> None:
    code, out, _ = run("explain", "red", "--id", "sku-red", "--filter", "price > 1 and price < 9")
    assert code == 0
    assert "not a hit: it does not pass the filter: price > 1" in out
    assert "FAILS price > 1 (price is 0)" in out and "passes price < 9 (price is 0)" in out


def test_as_json_with_a_heat_map(run: Run, shop: Path) -> None:
    code, out, err = run("explain", "red", "--id", "sku-thing", "--heatmap", "map.png", "--json")
    assert (code, err) == (0, "")
    said = json.loads(out)
    assert said["outcome"]["step"] in ("hit", "below_cut")
    assert said["heat_map"]["file"] == "map.png" and said["heat_map"]["method"] == "occlusion"
    assert -1 <= said["heat_map"]["faithfulness"] <= 1
    with Image.open("map.png") as drawn:
        assert drawn.format == "PNG" and drawn.text["Description"].startswith("red: score")  # type: ignore[attr-defined]


def test_a_heat_map_in_words(run: Run, shop: Path) -> None:
    code, out, _ = run("explain", "red", "--id", "sku-thing", "--heatmap", "map.png")
    assert code == 0
    assert "heat map map.png (occlusion" in " ".join(out.split())
    assert "0 is no better than chance" in " ".join(out.split())


@pytest.mark.parametrize("query", [["--image", "red.png"], ["--like", "sku-red"], ["red", "-", "blue"]], ids=str)
def test_a_heat_map_of_other_queries(run: Run, shop: Path, query: list[str]) -> None:
    code, _, err = run("explain", *query, "--id", "sku-thing", "--heatmap", "map.png")
    assert (code, err) == (0, "")
    assert (shop / "map.png").stat().st_size > 1_000


def test_a_photo_that_is_gone(run: Run, shop: Path) -> None:
    (shop / "thing.png").unlink()
    code, out, err = run("explain", "red", "--id", "sku-thing", "--heatmap", "map.png")
    assert code == 1
    assert "sku-thing" in out and "of 10" in out  # the rest is explained
    assert "no heat map" in err and "thing.png: no such file" in err and "catalens index" in err
    assert not (shop / "map.png").exists()


def test_a_photo_that_cannot_be_read_any_more(run: Run, shop: Path) -> None:
    (shop / "thing.png").write_bytes(b"not a picture")
    code, out, err = run("explain", "red", "--id", "sku-thing", "--heatmap", "map.png", "--json")
    assert code == 1
    assert json.loads(out)["item_id"] == "sku-thing"
    assert "no heat map" in err and "not a picture" in err


def test_an_item_without_photos(run: Run, shop: Path) -> None:
    code, out, err = run("explain", "red", "--id", "sku-none", "--heatmap", "map.png")
    assert code == 1
    assert "it has no photo to compare" in out
    assert "the item has no photo" in err


def test_nothing_to_look_for(run: Run, shop: Path) -> None:
    code, out, err = run("explain", "--id", "sku-red", "--filter", "price < 3", "--heatmap", "map.png")
    assert (code, out) == (2, "")
    assert "a heat map needs something to look for" in err


@pytest.mark.parametrize("place", ["missing/map.png", "."])
def test_a_place_that_cannot_be_written_is_said_before_anything_is_done(run: Run, shop: Path, place: str) -> None:
    code, out, err = run("explain", "red", "--id", "sku-red", "--heatmap", place)
    assert (code, out) == (1, "")
    assert f"cannot write {place}" in err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is full")
def test_a_disk_that_is_full(run: Run, shop: Path) -> None:
    (shop / "map.png").symlink_to("/dev/full")
    code, out, err = run("explain", "red", "--id", "sku-thing", "--heatmap", "map.png")
    assert code == 1
    assert "sku-thing" in out and "cannot write map.png: No space left" in err


def test_an_unknown_id(run: Run, shop: Path) -> None:
    code, out, err = run("explain", "red", "--id", "sku-rad")
    assert (code, out) == (2, "")
    assert "no item 'sku-rad'" in err and "sku-red" in err


def test_no_id(run: Run, shop: Path) -> None:
    code, _, err = run("explain", "red")
    assert code == 2 and "--id" in err


def test_no_collection(run: Run, shop: Path) -> None:
    shutil.rmtree(shop / "collection")
    code, _, err = run("explain", "red", "--id", "sku-red")
    assert code == 1 and "collection" in err


def test_a_map_is_not_written_over_a_file_of_another_kind(run: Run, shop: Path) -> None:
    (shop / "products.csv").write_text("sku\n1\n")
    code, _, err = run("explain", "red", "--id", "sku-red", "--heatmap", "products.csv")
    assert (code, (shop / "products.csv").read_text()) == (1, "sku\n1\n")
    assert "products.csv is no name for a picture" in err


def test_a_sorted_answer_is_explained_by_its_order(run: Run, shop: Path) -> None:
    _, out, _ = run("explain", "red", "--id", "sku-thing", "--sort=price", "-k", "2")
    assert "the hits stand in the order of price" in " ".join(out.split())
    assert "too little" not in out
