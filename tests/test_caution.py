"""What an index run does not throw away: a slip of the hand or a half-read file must not cost what was stored."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from indexer.forget import forget
from indexer.pipeline import index_sources
from indexer.sources import open_source
from indexer.state import MAX_ATTEMPTS
from indexer.summary import Progress, Summary
from retrieval.collection import Collection
from retrieval.errors import CollectionNotFound, SourceError
from tests.fakes import ColourEncoder


def paint(path: Path, seed: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (16, 16), (seed % 256, seed // 256, 7)).save(path, "PNG")
    return path


class Shop:
    """Ten products in a table, their photos in a folder of their own."""

    def __init__(self, folder: Path) -> None:
        self.collection = folder / "collection"
        self.photos = folder / "photos"
        self.table = folder / "shop" / "products.csv"
        self.table.parent.mkdir()
        for number in range(10):
            paint(self.photos / f"{number}.png", number)
        self.write([f"{number},Product {number},{number}.png" for number in range(10)])

    def write(self, rows: list[str]) -> None:
        self.table.write_text("\n".join(["id,title,image", *rows]) + "\n")

    def index(self, *, images_dir: Path | None = None, **options: Any) -> Summary:
        source = open_source(self.table, images_dir=images_dir)
        return index_sources(self.collection, [source], ColourEncoder(), **options)

    @property
    def stored(self) -> tuple[int, int]:
        with Collection.open(self.collection) as opened:
            status = opened.status()
        return status["items"], status["photos"]


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    shop = Shop(tmp_path)
    shop.index(images_dir=shop.photos)
    assert shop.stored == (10, 10)
    yield shop


def test_a_forgotten_images_dir_costs_nothing(shop: Shop) -> None:
    forgotten = shop.index()
    assert (forgotten.to_json()["failed"], forgotten.removed) == (10, 0)
    assert shop.stored == (10, 10)
    again = shop.index(images_dir=shop.photos)
    assert (again.embedded, again.removed) == (0, 0)
    assert shop.stored == (10, 10)


def test_an_open_quote_removes_nothing(shop: Shop) -> None:
    rows = [f"{number},Product {number},{number}.png" for number in range(10)]
    rows[3] = '3,"Product 3,3.png'
    shop.write(rows)
    summary = shop.index(images_dir=shop.photos)
    assert summary.removed == 0
    assert shop.stored == (10, 10)
    assert any("were kept" in note and "cannot be read" in note for note in summary.notes)
    rows[3] = "3,Product 3,3.png"
    shop.write(rows[:8])
    mended = shop.index(images_dir=shop.photos)
    assert (mended.removed, mended.embedded) == (2, 0)
    assert not any("were kept" in note for note in mended.notes)
    assert shop.stored == (8, 8)


def test_json_lines_cut_short_remove_nothing(tmp_path: Path) -> None:
    table, collection = tmp_path / "products.jsonl", tmp_path / "collection"
    lines = []
    for number in range(6):
        paint(tmp_path / f"{number}.png", number)
        lines.append(json.dumps({"id": number, "title": f"Product {number}", "image": f"{number}.png"}))
    table.write_text("\n".join(lines))
    index_sources(collection, [open_source(table)], ColourEncoder())
    table.write_text("\n".join(lines)[:-80])
    assert index_sources(collection, [open_source(table)], ColourEncoder()).removed == 0
    with Collection.open(collection) as opened:
        assert opened.status()["items"] == 6


def test_a_photo_moved_between_folders_is_renamed_in_either_order(tmp_path: Path) -> None:
    for order in (("a", "b"), ("b", "a")):
        base = tmp_path / "".join(order)
        for seed, name in enumerate(["a/1.png", "a/2.png", "b/3.png"]):
            paint(base / name, seed)

        def index(order: tuple[str, ...] = order, base: Path = base) -> Summary:
            return index_sources(base / "collection", [open_source(base / name) for name in order], ColourEncoder())

        index()
        (base / "a" / "1.png").rename(base / "b" / "1.png")
        moved = index().to_json()
        assert (moved["renamed"], moved["new"], moved["removed"], moved["embedded"]) == (1, 0, 0, 0)


def test_a_product_folder_that_lost_its_last_photo_leaves_the_index(tmp_path: Path) -> None:
    rows = ["id,title,image"]
    for number in range(4):
        paint(tmp_path / f"images/sku{number}/1.png", number)
        rows.append(f"sku{number},Product {number},images/sku{number}/1.png")
    table = tmp_path / "products.csv"
    table.write_text("\n".join(rows))
    index_sources(tmp_path / "collection", [open_source(table)], ColourEncoder())
    (tmp_path / "images/sku1/1.png").unlink()
    shutil.rmtree(tmp_path / "images/sku2")
    assert index_sources(tmp_path / "collection", [open_source(table)], ColourEncoder()).removed == 2
    shutil.move(tmp_path / "images", tmp_path / "elsewhere")
    (tmp_path / "images").mkdir()  # as the mount point of a disk that is not there
    assert index_sources(tmp_path / "collection", [open_source(table)], ColourEncoder()).removed == 0
    with Collection.open(tmp_path / "collection") as opened:
        assert opened.status()["photos"] == 2


def test_a_file_that_was_given_up_is_read_again_on_request(tmp_path: Path) -> None:
    photos, collection = tmp_path / "photos", tmp_path / "collection"
    Image.new("RGB", (7_000, 6_000)).save(paint(photos / "large.png", 1))

    def index(**options: Any) -> Summary:
        return index_sources(collection, [open_source(photos)], ColourEncoder(), **options)

    for _ in range(MAX_ATTEMPTS + 1):
        assert index().to_json()["failed"] == 1
    assert index(retry_failed=True).to_json()["failed"] == 1
    assert index(max_pixels=50_000_000).to_json()["new"] == 1


def test_equal_bytes_far_apart_are_encoded_once(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    for number in range(200):
        paint(photos / f"{number:03d}.png", number)
    for number in (60, 130, 199):
        shutil.copy(photos / "000.png", photos / f"{number:03d}.png")
    summary = index_sources(tmp_path / "collection", [open_source(photos)], encoder := ColourEncoder())
    assert (summary.embedded, encoder.images_encoded) == (197, 197)
    assert summary.to_json()["new"] == 200


def test_a_long_run_builds_an_index_before_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("indexer.pipeline.COMPACT_EVERY", 64)
    photos, collection = tmp_path / "photos", tmp_path / "collection"
    for number in range(200):
        paint(photos / f"{number:03d}.png", number)

    def stop_late(progress: Progress) -> None:
        if progress.done >= 192:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        index_sources(collection, [open_source(photos)], ColourEncoder(), on_progress=stop_late)
    with Collection.open(collection) as opened:
        assert opened.status()["index"]["image"]["rows"] >= 64


def test_a_source_can_be_forgotten_also_when_it_is_gone(tmp_path: Path) -> None:
    collection = tmp_path / "collection"
    for name in ("a/1.png", "a/2.png", "b/3.png"):
        paint(tmp_path / name, len(name) + ord(name[2]))
    index_sources(collection, [open_source(tmp_path / name) for name in ("a", "b")], ColourEncoder())
    with pytest.raises(SourceError, match="has no source") as caught:
        forget(collection, tmp_path / "c")
    assert str(tmp_path / "a") in caught.value.hint
    shutil.rmtree(tmp_path / "a")
    assert forget(collection, tmp_path / "b" / ".." / "a") == 2
    with Collection.open(collection) as opened:
        status = opened.status()
        assert (status["items"], status["photos"], status["sources"]) == (1, 1, [str(tmp_path / "b")])
        assert len(opened.view().image) == len(opened.view().text) == 1
    with pytest.raises(CollectionNotFound):
        forget(tmp_path / "none", tmp_path / "b")


def test_what_was_guessed_and_what_was_left_out_is_said(tmp_path: Path) -> None:
    paint(tmp_path / "1.png", 1)
    (tmp_path / "p.csv").write_text("slug,name,image,size\nchair,Chair,1.png,S\n,,,M\n,,,L\n")
    summary = index_sources(tmp_path / "collection", [open_source(tmp_path / "p.csv")], ColourEncoder())
    assert "id from slug, title from name, photos from image" in summary.notes[0]
    assert "2 rows only continue the item above" in summary.notes[1]
