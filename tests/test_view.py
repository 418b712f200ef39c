"""Base + delta - deleted is always what the database says, whatever happened to the files and in between."""

import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event, Thread
from typing import cast

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from sqlalchemy import func, select

from indexer import compaction
from indexer.sources.base import SourceItem
from indexer.writer import open_writer
from retrieval.arrays import IdArray
from retrieval.catalogue import queries
from retrieval.catalogue.queries import MODALITIES, Modality
from retrieval.catalogue.schema import generations, tombstones
from retrieval.collection import Collection
from retrieval.errors import CollectionChanged, StorageError
from retrieval.index import exact
from retrieval.index.base import IdMask, Neighbours
from retrieval.index.generations import INDEX_FOLDER, sha256_of
from retrieval.revisions import TRIES, CollectionView
from tests.listed import NoiseEncoder, compacted, fill, slow_search, stored, worded

ENCODER = NoiseEncoder()
ASKED = ENCODER.encode_texts(["one question", "another", "item 3"])


def right(folder: Path, view: CollectionView, modality: Modality = "text", k: int = 12) -> None:
    """The view's answers and its length are those of the database."""
    ids, vectors = stored(folder, modality)
    found = view.of(modality).search(ASKED, k, never_fetched)
    truth = slow_search(ids, vectors, ASKED, k)
    np.testing.assert_array_equal(found.ids, truth.ids)
    np.testing.assert_allclose(found.scores, truth.scores, atol=1e-6)
    assert len(view.of(modality)) == len(ids)


def never_fetched(wanted: list[int]) -> tuple[IdArray, npt.NDArray[np.float16]]:
    raise AssertionError("an exact base needs no stored vectors")


def answer(view: CollectionView) -> list[list[int]]:
    return cast("list[list[int]]", view.text.search(ASKED, 12, never_fetched).ids.tolist())


def fresh(folder: Path, modality: Modality = "text") -> None:
    """A reader that opens now answers right."""
    with Collection.open(folder) as collection:
        right(folder, collection.view(), modality)


def titles(start: int, end: int) -> list[SourceItem]:
    return worded(*(f"item {number}" for number in range(start, end)))


def index_files(folder: Path, modality: Modality = "text") -> list[Path]:
    """Oldest first."""
    return sorted((folder / INDEX_FOLDER).glob(f"{modality}-*"))


def generation_of(view: CollectionView) -> str | None:
    return view.text.generation.file if view.text.generation else None


class TestRandomHistories:
    @pytest.mark.parametrize("seed", range(3))
    def test_texts(self, tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(compaction, "MIN_DELTA", 15)  # so that some of the runs compact by themselves
        monkeypatch.setattr(exact, "BLOCK_ROWS", 7)
        rng = random.Random(seed)
        alive = {f"item {number}" for number in range(40)}
        fill(tmp_path, worded(*sorted(alive)))
        with Collection.open(tmp_path) as early:
            for step in range(7):
                right(tmp_path, early.view())
                if rng.random() < 0.3:
                    compacted(tmp_path)
                    continue
                alive -= set(rng.sample(sorted(alive), min(len(alive), rng.choice([0, 1, 5, 20]))))
                alive |= {f"item {step} {number}" for number in range(rng.choice([0, 1, 6, 30]))}
                alive |= {f"item {number}" for number in rng.sample(range(40), 3)}  # some of them come back
                fill(tmp_path, worded(*sorted(alive)))
                fresh(tmp_path)
            right(tmp_path, early.view())

    def test_photos_and_the_two_spaces_stay_apart(self, tmp_path: Path) -> None:
        photos = tmp_path / "photos"
        photos.mkdir()
        items = []
        for number in range(30):
            path = photos / f"{number}.png"
            Image.new("RGB", (8, 8), (number * 8, 255 - number * 3, number)).save(path)
            items.append(SourceItem(f"item {number}", f"item {number}", (path,)))
        collection = tmp_path / "collection"
        fill(collection, items[:20])
        with Collection.open(collection) as reader:
            reader.view()
            for held in (items, items[5:], items[5:25], [], items[:3]):
                fill(collection, held)
                for modality in MODALITIES:
                    right(collection, reader.view(), modality)
                    fresh(collection, modality)
            compacted(collection)
            for modality in MODALITIES:
                right(collection, reader.view(), modality)
                assert len(reader.view().of(modality).delta) == 0

    def test_everything_deleted_then_compacted(self, tmp_path: Path) -> None:
        fill(tmp_path, titles(0, 10))
        with Collection.open(tmp_path) as reader:
            reader.view()
            fill(tmp_path, [])
            assert len(reader.view().text) == 0
            compacted(tmp_path)
            right(tmp_path, reader.view())
            fill(tmp_path, titles(20, 23))
            right(tmp_path, reader.view())
            fresh(tmp_path)


class TestReaders:
    def test_an_unchanged_collection_keeps_its_view(self, tmp_path: Path) -> None:
        fill(tmp_path, titles(0, 20))
        with Collection.open(tmp_path) as reader:
            assert reader.view() is reader.view()

    def test_a_new_revision_is_noticed_and_costs_no_second_load(self, tmp_path: Path) -> None:
        fill(tmp_path, titles(0, 20))
        with Collection.open(tmp_path) as reader:
            before = reader.view()
            fill(tmp_path, titles(5, 25))
            after = reader.view()
            assert after.revision > before.revision
            assert after.text.base is before.text.base
            right(tmp_path, after)

    def test_a_search_in_flight_keeps_its_old_view(self, tmp_path: Path) -> None:
        fill(tmp_path, titles(0, 20))
        fill(tmp_path, titles(0, 22))  # two rows that no generation covers
        with Collection.open(tmp_path) as reader:
            old = reader.view()
            expected = answer(old)
            begun, go_on = Event(), Event()
            found: list[Neighbours] = []

            class Paused(exact.ExactIndex):
                def search(self, queries: np.ndarray, k: int, allowed: IdMask | None = None) -> Neighbours:
                    begun.set()
                    assert go_on.wait(10)
                    return super().search(queries, k, allowed)

            object.__setattr__(old.text, "delta", Paused(old.text.delta.ids, old.text.delta.vectors))
            searching = Thread(target=lambda: found.append(old.text.search(ASKED, 12, never_fetched)))
            searching.start()
            assert begun.wait(10)
            fill(tmp_path, titles(10, 60))
            compacted(tmp_path)
            compacted(tmp_path)
            assert reader.view() is not old
            go_on.set()
            searching.join()
            assert found[0].ids.tolist() == expected
            right(tmp_path, reader.view())

    def test_a_reader_from_before_three_compactions(self, tmp_path: Path) -> None:
        fill(tmp_path, titles(0, 20))
        with Collection.open(tmp_path) as reader, Collection.open(tmp_path) as unused:
            reader.view()
            for start in (5, 10, 15):
                fill(tmp_path, titles(start, start + 20))
                compacted(tmp_path)
            fill(tmp_path, titles(18, 36))
            right(tmp_path, reader.view())
            right(tmp_path, unused.view())

    def test_many_threads_ask_while_a_writer_writes(self, tmp_path: Path) -> None:
        fill(tmp_path, titles(0, 30))
        done = Event()
        wrong: list[BaseException] = []

        with Collection.open(tmp_path) as reader:

            def ask() -> None:
                last = 0
                try:
                    while not done.is_set():
                        view = reader.view()
                        assert view.revision >= last, "a thread never goes back in time"
                        last = view.revision
                        assert (view.text.search(ASKED, 5, never_fetched).ids > 0).all()
                except BaseException as error:
                    wrong.append(error)

            threads = [Thread(target=ask) for _ in range(4)]
            for thread in threads:
                thread.start()
            for start in (10, 20, 30):
                fill(tmp_path, titles(start, start + 30))
                compacted(tmp_path)
            done.set()
            for thread in threads:
                thread.join()
            assert not wrong
            right(tmp_path, reader.view())


Damage = Callable[[Path], None]


def flip(place: float) -> Damage:
    def damage(path: Path) -> None:
        data = bytearray(path.read_bytes())
        data[int(place * (len(data) - 1))] ^= 0x10
        path.write_bytes(data)

    return damage


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def garbage(path: Path) -> None:
    path.write_bytes(random.Random(0).randbytes(path.stat().st_size))


def other_file(path: Path) -> None:
    """A whole, valid index, but not the recorded one."""
    path.write_bytes(index_files(path.parent.parent)[0].read_bytes())


def folder_in_its_place(path: Path) -> None:
    path.unlink()
    path.mkdir()


DAMAGES: dict[str, Damage] = {
    "bit at 0 %": flip(0.0),
    "bit at 10 %": flip(0.1),
    "bit at 50 %": flip(0.5),
    "bit at 90 %": flip(0.9),
    "last bit": flip(1.0),
    "truncated": cut,
    "empty": emptied,
    "garbage": garbage,
    "deleted": Path.unlink,
    "another index": other_file,
    "a folder": folder_in_its_place,
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two generations, and adds and deletes after each of them."""
    folder = tmp_path_factory.mktemp("whole")
    fill(folder, titles(0, 30))
    fill(folder, titles(4, 40))
    compacted(folder)
    fill(folder, titles(8, 45))
    return folder


class TestDamagedFiles:
    @pytest.fixture
    def folder(self, whole: Path, tmp_path: Path) -> Path:
        return shutil.copytree(whole, tmp_path / "copy")

    @pytest.mark.parametrize("damage", DAMAGES)
    def test_the_older_generation_takes_over(self, folder: Path, damage: str) -> None:
        older, newest = index_files(folder)
        DAMAGES[damage](newest)
        with Collection.open(folder) as reader:
            assert generation_of(reader.view()) == older.name
            right(folder, reader.view())
            fill(folder, titles(12, 50))
            right(folder, reader.view())

    @pytest.mark.parametrize("damage", ["bit at 50 %", "deleted", "garbage"])
    def test_without_any_good_file_the_catalogue_answers(self, folder: Path, damage: str) -> None:
        for path in reversed(index_files(folder)):
            DAMAGES[damage](path)
        with Collection.open(folder) as reader:
            assert generation_of(reader.view()) is None
            right(folder, reader.view())
            fill(folder, titles(12, 50))
            assert generation_of(reader.view()) is not None
            right(folder, reader.view())

    def test_the_next_run_repairs(self, folder: Path) -> None:
        cut(index_files(folder)[-1])
        with Collection.open(folder) as reader:
            reader.view()
            fill(folder, titles(8, 45))
            newest = index_files(folder)[-1]
            assert generation_of(reader.view()) == newest.name
            right(folder, reader.view())
            newest.unlink()  # what is left beside it is the damaged one
            fresh(folder)

    def test_an_index_that_this_faiss_cannot_read_is_not_believed(self, folder: Path) -> None:
        older, newest = index_files(folder)
        newest.write_bytes(b"IxNX" + newest.read_bytes()[4:])
        with open_writer(folder, ENCODER.spec) as writer, writer.engine.begin() as connection:
            connection.execute(
                generations.update().where(generations.c.file == newest.name).values(sha256=sha256_of(newest))
            )
        with Collection.open(folder) as reader:
            assert generation_of(reader.view()) == older.name
            right(folder, reader.view())


class TestHousekeeping:
    def test_only_the_files_of_the_last_two_generations_are_kept(self, tmp_path: Path) -> None:
        fill(tmp_path, titles(0, 5))
        made = [name for _ in range(4) for name in compacted(tmp_path)]
        assert sorted(path.name for path in (tmp_path / INDEX_FOLDER).iterdir()) == sorted(made[-4:])
        with Collection.open(tmp_path) as reader, reader._engine.connect() as connection:
            for modality in MODALITIES:
                assert len(queries.kept_generations(connection, modality)) == 2

    def test_an_unchanged_collection_makes_no_new_generation(self, tmp_path: Path) -> None:
        fill(tmp_path, titles(0, 5))
        before = index_files(tmp_path)
        fill(tmp_path, titles(0, 5))
        assert index_files(tmp_path) == before

    @pytest.mark.parametrize(("changed", "due"), [(15, False), (16, True)])
    def test_a_generation_is_due_when_more_than_min_delta_rows_changed(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: int, due: bool
    ) -> None:
        monkeypatch.setattr(compaction, "MIN_DELTA", 15)
        fill(tmp_path, titles(0, 30))
        fill(tmp_path, titles(changed // 2, 30 + (changed + 1) // 2))
        assert (len(index_files(tmp_path)) == 2) is due

    def test_tombstones_stay_as_long_as_a_kept_generation_needs_them(self, tmp_path: Path) -> None:
        def buried() -> int:
            with Collection.open(tmp_path) as reader, reader._engine.connect() as connection:
                texts = select(func.count()).where(tombstones.c.modality == "text")
                return connection.execute(texts).scalar_one()

        fill(tmp_path, titles(0, 20))
        fill(tmp_path, titles(3, 20))
        assert buried() == 3
        compacted(tmp_path)
        assert buried() == 3, "the older of the two generations still holds the three"
        fill(tmp_path, titles(5, 20))
        assert buried() == 5
        compacted(tmp_path)
        assert buried() == 2
        compacted(tmp_path)
        assert buried() == 0
        index_files(tmp_path)[-1].unlink()
        fresh(tmp_path)

    def test_leftovers_are_swept_and_other_files_are_not(self, tmp_path: Path) -> None:
        fill(tmp_path, titles(0, 5))
        folder = tmp_path / INDEX_FOLDER
        leftovers = [folder / "text-000009.faiss.tmp-4711", folder / "text-000004.faiss"]
        for path in [*leftovers, folder / "notes.txt"]:
            path.write_bytes(b"x")
        fill(tmp_path, titles(0, 5))
        assert not any(path.exists() for path in leftovers)
        assert (folder / "notes.txt").exists()

    def test_leftovers_go_before_new_files_need_their_space(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        fill(tmp_path, titles(0, 5))
        leftover = tmp_path / INDEX_FOLDER / "text-000009.faiss.tmp-4711"
        leftover.write_bytes(b"x")
        seen: list[bool] = []
        monkeypatch.setattr(compaction, "publish", lambda *_: seen.append(leftover.exists()))
        compacted(tmp_path)
        assert seen == [False, False]

    def test_a_disk_that_refuses_leaves_nothing_half_done(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        fill(tmp_path, titles(0, 20))
        before = sorted((tmp_path / INDEX_FOLDER).iterdir())

        def refuse(temporary: Path, final: Path) -> None:
            assert temporary.stat().st_size > 0
            raise StorageError(f"cannot write to {final}: No space left on device")

        with monkeypatch.context() as patch, pytest.raises(StorageError):
            patch.setattr(compaction, "publish", refuse)
            compacted(tmp_path)
        assert sorted((tmp_path / INDEX_FOLDER).iterdir()) == before
        fresh(tmp_path)
        compacted(tmp_path)
        fresh(tmp_path)

    def test_progress_is_told(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        fill(tmp_path, titles(0, 25))
        monkeypatch.setattr("indexer.index_build.BLOCK_ROWS", 10)
        told: list[tuple[int, int]] = []
        with open_writer(tmp_path, ENCODER.spec) as writer:
            compaction.compact(tmp_path, writer.engine, lambda done, rows: told.append((done, rows)), force=True)
        assert told == [(10, 25), (20, 25), (25, 25)]
        fresh(tmp_path)


class TestAtOneRevision:
    """`Collection.at_one_revision`."""

    @pytest.fixture
    def collection(self, tmp_path: Path) -> Iterator[Collection]:
        fill(tmp_path / "c", worded("a", "b"), NoiseEncoder())
        with Collection.open(tmp_path / "c") as opened:
            yield opened

    def behind(self, times: int) -> Callable[[], int]:
        """What reads, and is behind another thread so many times; gives how often it was called."""
        calls: list[None] = []

        def read() -> int:
            calls.append(None)
            if len(calls) <= times:
                raise CollectionChanged("another thread was ahead", hint="again")
            return len(calls)

        return read

    def test_it_begins_anew_where_another_thread_was_ahead(self, collection: Collection) -> None:
        assert collection.at_one_revision(self.behind(TRIES - 1)) == TRIES

    def test_it_gives_up_in_the_end(self, collection: Collection) -> None:
        with pytest.raises(CollectionChanged):
            collection.at_one_revision(self.behind(TRIES))

    def test_within_a_snapshot_it_is_that_snapshots_turn(self, collection: Collection) -> None:
        with collection.snapshot(), pytest.raises(CollectionChanged):
            collection.at_one_revision(self.behind(1))

    def test_what_is_read_is_of_one_revision(self, collection: Collection) -> None:
        def read() -> list[int]:
            before = collection.view().revision
            fill(collection.folder, worded("a", "b", "c"), NoiseEncoder())
            return [before, collection.view().revision]

        first, second = collection.at_one_revision(read)
        assert first == second < collection.view().revision
