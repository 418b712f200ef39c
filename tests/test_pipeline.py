"""An index run from files to rows: what each change on disk costs, and what a run that breaks leaves behind."""

import csv
import errno
import os
import shutil
import sqlite3
import threading
import time
import weakref
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from indexer import memory, pipeline
from indexer.compaction import compact
from indexer.memory import MOST_AHEAD as WINDOW
from indexer.memory import MOST_AT_ONCE as BATCH
from indexer.pipeline import index_sources
from indexer.sources import Rejected, Source, SourceItem, open_source
from indexer.state import MAX_ATTEMPTS
from indexer.summary import Progress, Summary
from retrieval.arrays import FloatArray
from retrieval.errors import SourceError
from retrieval.search import Searcher
from tests.fakes import COLOURS, ColourEncoder

NOTHING = {
    "new": 0,
    "changed": 0,
    "renamed": 0,
    "removed": 0,
    "unchanged": 0,
    "failed": 0,
    "skipped": 0,
    "embedded": 0,
    "embedded_texts": 0,
}


class Shop:
    """A collection and the folder it indexes; every `index` has a fresh encoder, so that its counters are the run's."""

    def __init__(self, folder: Path) -> None:
        self.photos = folder / "photos"
        self.photos.mkdir()
        self.csv = self.photos / "products.csv"
        self.collection = folder / "collection"
        self.encoder = ColourEncoder()

    def index(self, *paths: Path, **options: Any) -> dict[str, int | float]:
        """The counts of a run without its seconds."""
        self.encoder = options.pop("encoder", None) or ColourEncoder()
        sources = [open_source(path) for path in paths or (self.photos,)]
        return counts(index_sources(self.collection, sources, self.encoder, **options))

    def write_rows(self, *rows: Mapping[str, Any]) -> Path:
        with self.csv.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, ["id", "title", "image", "price"])
            writer.writeheader()
            writer.writerows(rows)
        return self.csv

    def state(self) -> list[Any]:
        return state_of(self.collection)

    def fresh_state(self, folder: Path, *paths: Path) -> list[Any]:
        """What a new collection of the same files would hold."""
        index_sources(folder, [open_source(path) for path in paths or (self.photos,)], ColourEncoder())
        return state_of(folder)

    def search(self, words: str, by: Any = "image") -> list[str]:
        with Searcher.open(self.collection, ColourEncoder()) as searcher:
            return [hit.item_id for hit in searcher.search(words, k=50, by=by).hits]


def counts(summary: Summary) -> dict[str, int | float]:
    said = summary.to_json()
    assert said.pop("seconds") >= 0
    return said


def paint(path: Path, colour: str | tuple[int, ...], mark: int = 0) -> Path:
    """A plain picture; `mark` makes its bytes its own without changing its colour to the eye."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.new("RGB", (24, 24), COLOURS[colour] if isinstance(colour, str) else colour)
    image.putpixel((0, 0), (mark % 256, mark // 256, 0))
    image.save(path, "PNG")
    return path


def rows_of(collection: Path, statement: str) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(collection / "catalog.db")
    try:
        return connection.execute(statement).fetchall()
    finally:
        connection.close()


def state_of(collection: Path) -> list[Any]:
    """(id, title, attributes, photos in order, texts) of every item: all that must not depend on history."""
    photos = rows_of(
        collection,
        "SELECT item, path, content_hash, width, height, hex(vector) FROM photos "
        "JOIN photo_embeddings ON owner_id = photos.id ORDER BY item, position",
    )
    texts = rows_of(
        collection,
        "SELECT item, field, content, hex(vector) FROM texts JOIN text_embeddings ON owner_id = texts.id",
    )
    items = rows_of(collection, "SELECT id, item_id, title, attributes FROM items ORDER BY item_id")
    return [
        (
            item_id,
            title,
            attributes,
            [p[1:] for p in photos if p[0] == key],
            sorted(t[1:] for t in texts if t[0] == key),
        )
        for key, item_id, title, attributes in items
    ]


def revision(collection: Path) -> int:
    return int(rows_of(collection, "SELECT value FROM counters WHERE name = 'revision'")[0][0])


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


@pytest.fixture
def folder(shop: Shop) -> Shop:
    """Three photos, indexed."""
    for name in ("red", "green", "blue"):
        paint(shop.photos / f"{name}.png", name)
    assert shop.index() == {**NOTHING, "new": 3, "embedded": 3, "embedded_texts": 3}
    return shop


@pytest.fixture
def table(shop: Shop) -> Shop:
    """Three rows with a photo each, indexed."""
    for name in ("red", "green", "blue"):
        paint(shop.photos / f"{name}.png", name)
    shop.write_rows(*table_rows())
    assert shop.index(shop.csv) == {**NOTHING, "new": 3, "embedded": 3, "embedded_texts": 3}
    return shop


def table_rows(**changes: Mapping[str, Any]) -> list[dict[str, Any]]:
    rows = [
        {"id": name, "title": f"{name} thing", "image": f"{name}.png", "price": 5} for name in ("red", "green", "blue")
    ]
    return [{**row, **changes.get(row["id"], {})} for row in rows]


def test_a_first_run_makes_the_photos_searchable_by_words(folder: Shop) -> None:
    assert folder.search("green")[0] == "green.png"
    assert folder.encoder.images_encoded == 3


@pytest.mark.parametrize("kind", ["folder", "table"])
def test_a_second_run_encodes_nothing_and_writes_nothing(kind: str, request: pytest.FixtureRequest) -> None:
    shop: Shop = request.getfixturevalue(kind)
    before = (shop.collection / "catalog.db").read_bytes(), revision(shop.collection)
    said = shop.index(shop.photos if kind == "folder" else shop.csv)
    assert said == {**NOTHING, "unchanged": 3}
    assert (shop.encoder.images_encoded, shop.encoder.texts_encoded) == (0, 0)
    assert ((shop.collection / "catalog.db").read_bytes(), revision(shop.collection)) == before


def test_a_run_with_failures_and_rejections_settles_too(shop: Shop) -> None:
    paint(shop.photos / "red.png", "red")
    (shop.photos / "bad.png").write_bytes(b"not a picture")
    shop.write_rows(*table_rows(green={"image": "bad.png"}, blue={"id": "red"}))
    for _ in range(MAX_ATTEMPTS):
        said = shop.index(shop.csv)
        assert (said["failed"], said["skipped"]) == (1, 1)
    settled = revision(shop.collection)
    assert shop.index(shop.csv) == {**NOTHING, "unchanged": 1, "failed": 1, "skipped": 1}
    assert revision(shop.collection) == settled


class TestOneChangeInAFolder:
    def test_added(self, folder: Shop) -> None:
        paint(folder.photos / "new one" / "yellow.png", "yellow")
        assert folder.index() == {**NOTHING, "new": 1, "unchanged": 3, "embedded": 1, "embedded_texts": 1}
        assert (folder.encoder.images_encoded, folder.encoder.texts_encoded) == (1, 1)
        assert folder.search("yellow")[0] == "new one/yellow.png"

    def test_changed(self, folder: Shop) -> None:
        paint(folder.photos / "red.png", "purple")
        assert folder.index() == {**NOTHING, "changed": 1, "unchanged": 2, "embedded": 1}
        assert folder.search("purple")[0] == "red.png"

    def test_touched_only(self, folder: Shop) -> None:
        (folder.photos / "red.png").touch()
        assert folder.index() == {**NOTHING, "unchanged": 3}

    def test_renamed(self, folder: Shop) -> None:
        (folder.photos / "red.png").rename(folder.photos / "crimson.png")
        assert folder.index() == {**NOTHING, "renamed": 1, "unchanged": 2, "embedded_texts": 1}
        assert folder.encoder.images_encoded == 0
        assert folder.search("red")[0] == "crimson.png"
        assert sorted(folder.search("red", by="text")) == ["blue.png", "crimson.png", "green.png"]

    def test_copied(self, folder: Shop) -> None:
        shutil.copy(folder.photos / "red.png", folder.photos / "twin.png")
        assert folder.index() == {**NOTHING, "new": 1, "unchanged": 3, "embedded_texts": 1}
        assert folder.encoder.images_encoded == 0

    def test_deleted_and_restored(self, folder: Shop) -> None:
        kept = (folder.photos / "red.png").read_bytes()
        (folder.photos / "red.png").unlink()
        assert folder.index() == {**NOTHING, "removed": 1, "unchanged": 2}
        assert folder.encoder.images_encoded == 0
        assert sorted(folder.search("red")) == ["blue.png", "green.png"]
        (folder.photos / "red.png").write_bytes(kept)
        assert folder.index() == {**NOTHING, "new": 1, "unchanged": 2, "embedded": 1, "embedded_texts": 1}
        assert folder.search("red")[0] == "red.png"

    def test_broken_keeps_what_was_found_before(self, folder: Shop) -> None:
        (folder.photos / "red.png").write_bytes(b"\x89PNG\r\n\x1a\n cut short")
        assert folder.index() == {**NOTHING, "failed": 1, "unchanged": 2}
        assert folder.search("red")[0] == "red.png"

    @pytest.mark.parametrize("unreadable", ["", "sub"], ids=["the folder itself", "a subfolder"])
    def test_a_folder_that_cannot_be_listed_loses_nothing(
        self, unreadable: str, folder: Shop, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        paint(folder.photos / "sub" / "cyan.png", "cyan")
        folder.index()
        (folder.photos / "red.png").unlink()
        source, scandir = open_source(folder.photos), os.scandir

        def stumble(path: Any) -> Any:
            if Path(path) == folder.photos / unreadable:
                raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
            return scandir(path)

        monkeypatch.setattr("indexer.sources.folder.os.scandir", stumble)
        said = counts(index_sources(folder.collection, [source], ColourEncoder()))
        assert said["skipped"] == 1
        assert said["removed"] == (1 if unreadable else 0), "red.png is gone only where its absence was seen"
        assert {"blue.png", "green.png", "sub/cyan.png"} <= set(folder.search("cyan"))

    def test_swapped_names(self, folder: Shop) -> None:
        red, blue, aside = (folder.photos / name for name in ("red.png", "blue.png", "aside"))
        red.rename(aside)
        blue.rename(red)
        aside.rename(blue)
        assert folder.index() == {**NOTHING, "changed": 2, "unchanged": 1}
        assert folder.encoder.images_encoded == 0
        assert folder.search("blue")[0] == "red.png"


class TestOneChangeInATable:
    def test_added(self, table: Shop) -> None:
        paint(table.photos / "yellow.png", "yellow")
        table.write_rows(*table_rows(), {"id": "yellow", "title": "yellow thing", "image": "yellow.png"})
        assert table.index(table.csv) == {**NOTHING, "new": 1, "unchanged": 3, "embedded": 1, "embedded_texts": 1}

    def test_changed(self, table: Shop) -> None:
        paint(table.photos / "red.png", "purple")
        assert table.index(table.csv) == {**NOTHING, "changed": 1, "unchanged": 2, "embedded": 1}
        assert table.search("purple")[0] == "red"

    def test_renamed_with_its_row(self, table: Shop) -> None:
        (table.photos / "red.png").rename(table.photos / "crimson.png")
        table.write_rows(*table_rows(red={"image": "crimson.png"}))
        assert table.index(table.csv) == {**NOTHING, "renamed": 1, "unchanged": 2}
        assert table.encoder.images_encoded == 0
        assert table.index(table.csv) == {**NOTHING, "unchanged": 3}

    def test_deleted_as_a_file(self, table: Shop) -> None:
        (table.photos / "red.png").unlink()
        assert table.index(table.csv) == {**NOTHING, "failed": 1, "removed": 1, "unchanged": 2}
        assert "red" not in table.search("red")
        assert "red" in table.search("red", by="text"), "the row is still there"
        assert table.index(table.csv) == {**NOTHING, "failed": 1, "unchanged": 2}

    def test_deleted_as_a_row_and_restored(self, table: Shop) -> None:
        table.write_rows(*table_rows()[1:])
        assert table.index(table.csv) == {**NOTHING, "removed": 1, "unchanged": 2}
        assert "red" not in table.search("red") + table.search("red", by="text")
        table.write_rows(*table_rows())
        assert table.index(table.csv) == {**NOTHING, "new": 1, "unchanged": 2, "embedded": 1, "embedded_texts": 1}

    def test_a_title_costs_one_text(self, table: Shop) -> None:
        table.write_rows(*table_rows(red={"title": "dark red thing"}))
        assert table.index(table.csv) == {**NOTHING, "changed": 1, "unchanged": 2, "embedded_texts": 1}
        assert (table.encoder.images_encoded, table.encoder.texts_encoded) == (0, 1)
        assert [item[1] for item in table.state()] == ["blue thing", "green thing", "dark red thing"]
        assert table.search("dark red", by="text")[0] == "red"

    def test_a_price_costs_nothing(self, table: Shop) -> None:
        table.write_rows(*table_rows(red={"price": 7}))
        assert table.index(table.csv) == {**NOTHING, "changed": 1, "unchanged": 2}
        assert (table.encoder.images_encoded, table.encoder.texts_encoded) == (0, 0)
        assert [item[2] for item in table.state()] == ['{"price": 5}', '{"price": 5}', '{"price": 7}']

    def test_all_photos_gone_with_their_folder_is_taken_for_a_disk_that_is_not_mounted(self, shop: Shop) -> None:
        paint(shop.photos / "disk" / "red.png", "red")
        shop.write_rows({"id": "red", "title": "red", "image": "disk/red.png"})
        shop.index(shop.csv)
        (shop.photos / "disk").rename(shop.photos / "elsewhere")
        assert shop.index(shop.csv) == {**NOTHING, "failed": 1}
        assert shop.search("red") == ["red"]
        (shop.photos / "elsewhere").rename(shop.photos / "disk")
        assert shop.index(shop.csv) == {**NOTHING, "unchanged": 1}


class TestItemsWithSeveralPhotos:
    @pytest.fixture
    def several(self, shop: Shop) -> Shop:
        for name in ("red", "green", "blue"):
            paint(shop.photos / f"{name}.png", name)
        shop.write_rows({"id": "1", "title": "thing", "image": "red.png|green.png"})
        assert shop.index(shop.csv) == {**NOTHING, "new": 2, "embedded": 2, "embedded_texts": 1}
        return shop

    def test_each_photo_finds_the_item_once(self, several: Shop) -> None:
        assert several.search("red") == several.search("green") == ["1"]

    def test_another_order_costs_nothing(self, several: Shop, tmp_path: Path) -> None:
        several.write_rows({"id": "1", "title": "thing", "image": "green.png|red.png"})
        assert several.index(several.csv) == {**NOTHING, "unchanged": 2}
        assert several.state() == several.fresh_state(tmp_path / "fresh", several.csv)

    def test_one_more_and_one_less(self, several: Shop, tmp_path: Path) -> None:
        several.write_rows({"id": "1", "title": "thing", "image": "blue.png|red.png"})
        assert several.index(several.csv) == {**NOTHING, "new": 1, "unchanged": 1, "removed": 1, "embedded": 1}
        assert several.state() == several.fresh_state(tmp_path / "fresh", several.csv)

    def test_one_bad_photo_does_not_cost_the_others(self, shop: Shop) -> None:
        paint(shop.photos / "red.png", "red")
        (shop.photos / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n")
        shop.write_rows({"id": "1", "title": "thing", "image": "bad.png|red.png"})
        assert shop.index(shop.csv) == {**NOTHING, "new": 1, "failed": 1, "embedded": 1, "embedded_texts": 1}
        assert shop.search("red") == ["1"]

    def test_more_photos_than_a_batch(self, shop: Shop) -> None:
        names = [paint(shop.photos / f"{i}.png", "red", i).name for i in range(2 * BATCH + 5)]
        shop.write_rows({"id": "1", "title": "thing", "image": "|".join(names)})
        assert shop.index(shop.csv)["embedded"] == len(names)
        assert [Path(photo[0]).name for photo in shop.state()[0][3]] == names


class TestSeveralSources:
    def test_a_folder_moved_with_its_photos_costs_no_encoding(self, folder: Shop, tmp_path: Path) -> None:
        moved = folder.photos.rename(tmp_path / "moved")
        assert folder.index(moved) == {**NOTHING, "renamed": 3}
        assert (folder.encoder.images_encoded, folder.encoder.texts_encoded) == (0, 0)
        assert folder.index(moved) == {**NOTHING, "unchanged": 3}
        (moved / "red.png").unlink()
        assert folder.index(moved) == {**NOTHING, "removed": 1, "unchanged": 2}

    def test_a_catalogue_moved_with_its_photos_costs_no_encoding(self, table: Shop, tmp_path: Path) -> None:
        moved = table.photos.rename(tmp_path / "moved") / "products.csv"
        assert table.index(moved) == {**NOTHING, "renamed": 3}
        settled = revision(table.collection)
        assert table.index(moved) == {**NOTHING, "unchanged": 3}
        assert revision(table.collection) == settled
        table.csv = moved
        table.write_rows(*table_rows()[1:])
        assert table.index(moved) == {**NOTHING, "removed": 1, "unchanged": 2}

    def test_a_catalogue_moved_without_its_photos_loses_none(self, table: Shop, tmp_path: Path) -> None:
        (tmp_path / "moved").mkdir()
        moved = table.csv.rename(tmp_path / "moved" / "products.csv")
        assert table.index(moved) == {**NOTHING, "failed": 3}
        source = open_source(moved, images_dir=table.photos)
        again = counts(index_sources(table.collection, [source], ColourEncoder()))
        assert again == {**NOTHING, "unchanged": 3}

    def test_a_later_catalogue_takes_items_over_with_its_own_photos(self, table: Shop, tmp_path: Path) -> None:
        later = tmp_path / "later"
        paint(later / "crimson.png", "orange")
        (later / "products.csv").write_text("id,title,image\nred,crimson thing,crimson.png\n")
        said = table.index(later / "products.csv")
        assert said == {**NOTHING, "changed": 0, "new": 1, "removed": 1, "embedded": 1, "embedded_texts": 1}
        assert [Path(photo[0]).name for photo in table.state()[2][3]] == ["crimson.png"]
        assert table.index(later / "products.csv") == {**NOTHING, "unchanged": 1}

    def test_two_in_one_run_and_in_two_runs_give_the_same(self, shop: Shop, tmp_path: Path) -> None:
        first, second = tmp_path / "first", tmp_path / "second"
        paint(first / "red.png", "red")
        paint(second / "blue.png", "blue")
        assert shop.index(first, second) == {**NOTHING, "new": 2, "embedded": 2, "embedded_texts": 2}
        assert shop.index(first) == shop.index(second) == {**NOTHING, "unchanged": 1}
        other = tmp_path / "other"
        for folder in (first, second):
            index_sources(other, [open_source(folder)], ColourEncoder())
        assert state_of(other) == shop.state()

    def test_an_id_of_an_earlier_source_of_the_run_is_refused(self, shop: Shop, tmp_path: Path) -> None:
        first, second = tmp_path / "first.csv", tmp_path / "second.csv"
        paint(tmp_path / "red.png", "red")
        for path in (first, second):
            path.write_text(f"id,title,image\nred,{path.stem},red.png\n")
        assert shop.index(first, second) == {**NOTHING, "new": 1, "skipped": 1, "embedded": 1, "embedded_texts": 1}
        assert shop.state()[0][1] == "first"

    def test_equal_names_in_two_folders_do_not_replace_each_other(self, folder: Shop, tmp_path: Path) -> None:
        paint(tmp_path / "second" / "red.png", "orange")
        assert folder.index(tmp_path / "second") == {**NOTHING, "skipped": 1}
        assert folder.search("red")[0] == "red.png"

    def test_removal_touches_only_the_source_at_hand(self, folder: Shop, tmp_path: Path) -> None:
        paint(tmp_path / "second" / "cyan.png", "cyan")
        folder.index(tmp_path / "second")
        (tmp_path / "second" / "cyan.png").unlink()
        paint(tmp_path / "second" / "black.png", "black")
        (folder.photos / "red.png").unlink()
        said = folder.index(tmp_path / "second")
        assert said == {**NOTHING, "new": 1, "removed": 1, "embedded": 1, "embedded_texts": 1}
        assert sorted(folder.search("red")) == ["black.png", "blue.png", "green.png", "red.png"]


class Breaking(ColourEncoder):
    """Encodes `good` batches and then raises."""

    def __init__(self, good: int) -> None:
        super().__init__()
        self.good = good

    def encode_images(self, pixels: npt.NDArray[np.uint8]) -> FloatArray:
        if self.good == 0:
            raise RuntimeError("out of memory")
        self.good -= 1
        return super().encode_images(pixels)


class TestARunThatBreaks:
    @pytest.fixture
    def many(self, shop: Shop) -> Shop:
        for i in range(4 * BATCH):
            paint(shop.photos / f"{i:03}.png", "red", i)
        return shop

    def finish(self, shop: Shop, tmp_path: Path, done: int) -> None:
        assert len(shop.search("red")) == min(done, 50)
        said = shop.index()
        left = 4 * BATCH - done
        assert said == {**NOTHING, "new": left, "unchanged": done, "embedded": left, "embedded_texts": left}
        assert shop.state() == shop.fresh_state(tmp_path / "fresh")

    def test_ctrl_c_in_the_middle_loses_no_batch_that_was_stored(self, many: Shop, tmp_path: Path) -> None:
        def stop(progress: Progress) -> None:
            if progress.stage == "photos" and progress.done >= 2 * BATCH:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            many.index(on_progress=stop)
        done = rows_of(many.collection, "SELECT count(*) FROM items")[0][0]
        assert 2 * BATCH <= done < 4 * BATCH
        self.finish(many, tmp_path, done)

    def test_an_encoder_that_raises_keeps_what_was_committed(self, many: Shop, tmp_path: Path) -> None:
        with pytest.raises(RuntimeError, match="out of memory"):
            many.index(encoder=Breaking(2))
        done = rows_of(many.collection, "SELECT count(*) FROM items")[0][0]
        assert BATCH <= done <= 2 * BATCH
        self.finish(many, tmp_path, done)

    def test_photos_that_nobody_wants_any_more_are_not_decoded(self, many: Shop) -> None:
        class Counting(Breaking):
            decoded = 0

            def preprocess(self, image: Image.Image) -> npt.NDArray[np.uint8]:
                time.sleep(0.01)
                self.decoded += 1
                return super().preprocess(image)

            def encode_images(self, pixels: npt.NDArray[np.uint8]) -> FloatArray:
                self.decoded = 0
                return super().encode_images(pixels)

        encoder = Counting(0)
        with pytest.raises(RuntimeError, match="out of memory"):
            many.index(encoder=encoder)
        assert encoder.decoded < BATCH, "beside those that workers had begun"

    def test_a_source_that_breaks_removes_nothing(self, folder: Shop) -> None:
        class Broken:
            kind, location = "folder", folder.photos

            def remarks(self) -> list[str]:
                return []

            def count(self) -> int:
                return 3

            def items(self) -> Iterator[SourceItem | Rejected]:
                yield next(open_source(folder.photos).items())
                raise SourceError("the file ended early")

        source: Source = Broken()
        with pytest.raises(SourceError, match="ended early"):
            index_sources(folder.collection, [source], ColourEncoder())
        assert len(folder.search("red")) == 3

    def test_a_photo_without_a_usable_vector_fails_alone(self, folder: Shop) -> None:
        class SometimesNaN(ColourEncoder):
            def _embed(self, rgb: npt.NDArray[np.float64]) -> FloatArray:
                vectors = super()._embed(rgb)
                vectors[rgb[:, 0] > 235] = np.nan
                return vectors

        paint(folder.photos / "orange.png", "orange")
        paint(folder.photos / "cyan.png", "cyan")
        said = folder.index(encoder=SometimesNaN())
        assert (said["new"], said["failed"], said["unchanged"]) == (1, 1, 3)
        assert "orange.png" not in folder.search("orange")
        assert folder.index()["new"] == 1, "a sound encoder's next run takes it"

    def test_a_failing_photo_is_left_alone_until_it_changes(self, shop: Shop) -> None:
        paint(shop.photos / "red.png", "red")
        bad = shop.photos / "bad.png"
        bad.write_bytes(b"no picture")
        for attempt in range(1, MAX_ATTEMPTS + 3):
            assert shop.index()["failed"] == 1
            attempts = rows_of(shop.collection, "SELECT attempts FROM ledger WHERE state = 'failed'")
            assert attempts == [(min(attempt, MAX_ATTEMPTS),)]
        paint(bad, "blue")
        assert shop.index() == {**NOTHING, "new": 1, "unchanged": 1, "embedded": 1, "embedded_texts": 1}


class TestDecodingAhead:
    """The encoder is what a run should cost; decoding goes on beside it, within bounded memory."""

    def test_the_encoder_does_not_wait_for_the_decoder(self, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
        batches, per_batch = 6, 0.15

        class Slow(ColourEncoder):
            def preprocess(self, image: Image.Image) -> npt.NDArray[np.uint8]:
                time.sleep(per_batch / BATCH)  # of the workers' time: one worker alone would just keep up
                return super().preprocess(image)

            def encode_images(self, pixels: npt.NDArray[np.uint8]) -> FloatArray:
                time.sleep(per_batch)
                return super().encode_images(pixels)

        for i in range(batches * BATCH):
            paint(shop.photos / f"{i:03}.png", "red", i)
        monkeypatch.setattr(pipeline.os, "cpu_count", lambda: 2)
        idle = ColourEncoder()
        started = time.perf_counter()
        index_sources(shop.collection.with_name("warm"), [open_source(shop.photos)], idle)
        overhead = time.perf_counter() - started
        started = time.perf_counter()
        shop.index(encoder=Slow())
        took = time.perf_counter() - started
        one_after_the_other = 2 * batches * per_batch
        assert took - overhead < 0.85 * one_after_the_other

    @pytest.mark.parametrize("slow", ["encoder", "decoder"])
    def test_memory_is_bounded(self, slow: str, shop: Shop) -> None:
        lock = threading.Lock()

        class Counting(ColourEncoder):
            alive = most = 0

            def preprocess(self, image: Image.Image) -> npt.NDArray[np.uint8]:
                if slow == "decoder":
                    time.sleep(0.002)
                pixels = super().preprocess(image).copy()
                with lock:
                    self.alive += 1
                    self.most = max(self.most, self.alive)
                weakref.finalize(pixels, self.died)
                return pixels

            def died(self) -> None:
                with lock:
                    self.alive -= 1

            def encode_images(self, pixels: npt.NDArray[np.uint8]) -> FloatArray:
                if slow == "encoder":
                    time.sleep(0.1)
                return super().encode_images(pixels)

        for i in range(10 * BATCH):
            paint(shop.photos / f"{i:03}.png", "red", i)
        encoder = Counting()
        shop.index(encoder=encoder)
        assert encoder.images_encoded == 10 * BATCH
        assert encoder.most <= WINDOW + BATCH
        assert encoder.alive == 0

    def test_with_little_memory_fewer_photos_are_held_and_encoded_together(
        self, shop: Shop, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        lock = threading.Lock()
        photo_bytes = 3 * ColourEncoder.image_size**2

        class Counting(ColourEncoder):
            alive = most = largest = 0

            def preprocess(self, image: Image.Image) -> npt.NDArray[np.uint8]:
                pixels = super().preprocess(image).copy()
                with lock:
                    self.alive += 1
                    self.most = max(self.most, self.alive)
                weakref.finalize(pixels, self.died)
                return pixels

            def died(self) -> None:
                with lock:
                    self.alive -= 1

            def encode_images(self, pixels: npt.NDArray[np.uint8]) -> FloatArray:
                self.largest = max(self.largest, len(pixels))
                time.sleep(0.02)
                return super().encode_images(pixels)

        for i in range(2 * BATCH):
            paint(shop.photos / f"{i:03}.png", "red", i)
        free = 4 * 5 * photo_bytes * memory.ACTIVATIONS
        monkeypatch.setattr(pipeline, "free_memory", lambda: free)
        monkeypatch.setattr(memory, "SHARE_OF_WAITING", 7.5 * photo_bytes / free)
        encoder = Counting()
        assert shop.index(encoder=encoder)["embedded"] == 2 * BATCH
        assert encoder.largest == 5
        assert encoder.most <= 7 + 5


def test_progress_reaches_its_total_and_never_falls(folder: Shop) -> None:
    paint(folder.photos / "yellow.png", "yellow")
    seen: list[Progress] = []
    folder.index(on_progress=seen.append)
    done = [progress.done for progress in seen if progress.stage == "photos"]
    assert done == sorted(done)
    assert (done[-1], seen[0].total) == (4, 4)


def test_equal_bytes_are_encoded_once(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    first = paint(shop.photos / "a.png", "red")
    for name in ("b.png", "c.png", "d.png"):
        shutil.copy(first, shop.photos / name)
    assert shop.index() == {**NOTHING, "new": 4, "embedded": 1, "embedded_texts": 4}
    assert shop.encoder.images_encoded == 1
    assert sorted(shop.search("red")) == ["a.png", "b.png", "c.png", "d.png"]
    (shop.photos / "bad.png").write_bytes(first.read_bytes()[:60])
    shutil.copy(shop.photos / "bad.png", shop.photos / "bad too.png")
    assert shop.index() == {**NOTHING, "unchanged": 4, "failed": 2}


def test_a_source_named_in_two_ways_is_one_source(folder: Shop) -> None:
    assert folder.index(folder.photos / ".." / "photos") == {**NOTHING, "unchanged": 3}


def test_search_is_the_same_before_and_after_compaction(folder: Shop) -> None:
    paint(folder.photos / "yellow.png", "yellow")
    folder.index()
    (folder.photos / "red.png").unlink()
    folder.index()
    before: Sequence[str] = folder.search("red")
    with pipeline.open_writer(folder.collection, ColourEncoder().spec) as writer:
        assert compact(folder.collection, writer.engine, lambda _done, _total: None, force=True)
    assert folder.search("red") == before
