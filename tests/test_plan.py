"""The planner as a pure function, and the law behind it: history must not show in what is stored."""

import shutil
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from indexer.pipeline import index_sources
from indexer.plan import Action, ItemPlan, Outcome, Planner
from indexer.sources import SourceItem, open_source
from indexer.state import MAX_ATTEMPTS, FileStamp, Known, KnownFile, KnownItem, KnownPhoto, ObservedItem, ObservedPhoto
from indexer.writer import open_writer
from tests.fakes import COLOURS, ColourEncoder
from tests.test_pipeline import paint, rows_of, state_of

STAMP = FileStamp(100, 1, 1)
LATER = FileStamp(100, 2, 2)
FOLDER, TABLE = 1, 2  # source ids


class Store:
    """What is stored, put together item by item. Photos get the ids 1, 2, …, ledger entries 101, 102, …"""

    def __init__(self) -> None:
        self.items: dict[str, KnownItem] = {}
        self.files: dict[tuple[str, str], KnownFile] = {}
        self.contents: dict[str, list[KnownPhoto]] = {}

    def add(
        self, item: SourceItem, hashes: Mapping[str, str], *, source_id: int = TABLE, kind: str = "table"
    ) -> KnownItem:
        """An item whose photos (path -> content hash) were stored by a run that went well."""
        key = len(self.items) + 1
        photos = {}
        for position, (path, content) in enumerate(hashes.items()):
            number = sum(map(len, self.contents.values())) + 1
            photo = KnownPhoto(number, key, item.item_id, path, content, 8, 8, position, b"v", kind, 100 + number)
            photos[path] = photo
            self.contents.setdefault(content, []).append(photo)
            self.note(item.item_id, path, source_id=source_id, ledger_id=100 + number)
        texts = {("title", item.title): 1000 + key} if item.title else {}
        row_hash = ObservedItem(item, ()).row_hash
        self.items[item.item_id] = KnownItem(key, item.item_id, source_id, row_hash, photos, texts)
        return self.items[item.item_id]

    def note(
        self,
        item_id: str,
        path: str,
        *,
        source_id: int = TABLE,
        ledger_id: int = 999,
        state: str = "done",
        reason: str = "",
        attempts: int = 0,
        stamp: FileStamp | None = STAMP,
    ) -> None:
        self.files[item_id, path] = KnownFile(ledger_id, source_id, item_id, path, state, reason, attempts, stamp)

    def seen_by(self, source_id: int) -> Known:
        """As one source finds it: the ledger entries are its own."""
        mine = {key: entry for key, entry in self.files.items() if entry.source_id == source_id}
        return Known(self.items, mine, self.contents)


def entry(item_id: str = "1", title: str = "thing", **fields: Any) -> SourceItem:
    return SourceItem(item_id, title, (), where=f"row of {item_id}", **fields)


def same(path: str) -> ObservedPhoto:
    """A file with the stamp it had: nobody reads it."""
    return ObservedPhoto(path, STAMP)


def read(path: str, content: str) -> ObservedPhoto:
    """A file with a new stamp and these bytes."""
    return ObservedPhoto(path, LATER, content)


def plan(
    store: Store,
    observed: Iterable[tuple[SourceItem, list[ObservedPhoto]]],
    *,
    kind: str = "table",
    on_disk: Iterable[str] = (),
    earlier: Mapping[int, str] | None = None,
) -> list[ItemPlan]:
    source_id = FOLDER if kind == "folder" else TABLE
    planner = Planner(source_id, kind, set(on_disk).__contains__, earlier or {})
    return planner.plan([ObservedItem(item, tuple(photos)) for item, photos in observed], store.seen_by(source_id))


def did(one: ItemPlan) -> list[tuple[Action, Outcome]]:
    return [(photo.action, photo.outcome) for photo in one.photos]


@pytest.fixture
def store() -> Store:
    """One table item with one photo."""
    made = Store()
    made.add(entry(), {"/p/a.jpg": "A"})
    return made


class TestOnePhotoOfARow:
    def test_new(self) -> None:
        (one,) = plan(Store(), [(entry(), [read("/p/a.jpg", "A")])])
        assert did(one) == [(Action.ENCODE, Outcome.NEW)]
        assert (one.item_key, one.add_texts, one.settled) == (None, (("title", "thing"),), False)

    def test_unchanged(self, store: Store) -> None:
        (one,) = plan(store, [(entry(), [same("/p/a.jpg")])])
        assert did(one) == [(Action.KEEP, Outcome.UNCHANGED)]
        assert one.settled

    def test_touched_but_with_the_same_bytes(self, store: Store) -> None:
        (one,) = plan(store, [(entry(), [read("/p/a.jpg", "A")])])
        assert did(one) == [(Action.KEEP, Outcome.UNCHANGED)]
        assert not one.settled, "the new stamp must be noted, or the file is read in every run"

    def test_changed_bytes(self, store: Store) -> None:
        (one,) = plan(store, [(entry(), [read("/p/a.jpg", "B")])])
        assert did(one) == [(Action.ENCODE, Outcome.CHANGED)]
        assert (one.photos[0].replaces, one.photos[0].photo_id, one.add_texts) == (1, None, ())

    def test_changed_text_only(self, store: Store) -> None:
        (one,) = plan(store, [(entry(title="better thing"), [same("/p/a.jpg")])])
        assert did(one) == [(Action.KEEP, Outcome.CHANGED)]
        assert (one.row_changed, one.add_texts, one.drop_texts) == (True, (("title", "better thing"),), (1001,))

    def test_changed_attributes_only(self, store: Store) -> None:
        (one,) = plan(store, [(entry(attributes={"price": 5}), [same("/p/a.jpg")])])
        assert did(one) == [(Action.KEEP, Outcome.CHANGED)]
        assert (one.row_changed, one.add_texts, one.drop_texts) == (True, (), ())

    def test_renamed(self, store: Store) -> None:
        (one,) = plan(store, [(entry(), [read("/p/b.jpg", "A")])])
        assert did(one) == [(Action.MOVE, Outcome.RENAMED)]
        assert (one.photos[0].photo_id, one.photos[0].ledger_id) == (1, 101)

    def test_named_twice_in_the_row_is_no_rename(self, store: Store) -> None:
        (one,) = plan(store, [(entry(), [same("/p/a.jpg"), read("/p/b.jpg", "A")])])
        assert did(one) == [(Action.KEEP, Outcome.UNCHANGED), (Action.COPY, Outcome.NEW)]

    def test_of_another_row_is_copied_and_never_taken_away(self, store: Store) -> None:
        (one,) = plan(store, [(entry("2"), [read("/p/b.jpg", "A")])])
        assert did(one) == [(Action.COPY, Outcome.NEW)]
        assert (one.item_key, one.photos[0].photo_id) == (None, None)

    def test_order_changed(self, store: Store) -> None:
        store.add(entry("2"), {"/p/b.jpg": "B", "/p/c.jpg": "C"})
        (one,) = plan(store, [(entry("2"), [same("/p/c.jpg"), same("/p/b.jpg")])])
        assert did(one) == [(Action.KEEP, Outcome.UNCHANGED)] * 2
        assert [photo.position for photo in one.photos] == [0, 1]
        assert not one.settled

    def test_none_at_all(self, store: Store) -> None:
        (one,) = plan(store, [(entry("2"), [])])
        assert did(one) == [(Action.KEEP, Outcome.SKIPPED)]
        assert "no photo" in one.photos[0].reason


class TestAMissingOrFailingFile:
    def test_gone_from_a_folder_that_holds_others_is_dropped(self, store: Store) -> None:
        (one,) = plan(store, [(entry(), [ObservedPhoto("/p/a.jpg", problem="file not found", gone=True)])])
        assert did(one) == [(Action.DROP, Outcome.FAILED)]
        assert one.photos[0].replaces == 1

    def test_gone_with_its_folder_is_kept(self, store: Store) -> None:
        (one,) = plan(store, [(entry(), [ObservedPhoto("/p/a.jpg", problem="file not found")])])
        assert did(one) == [(Action.FAIL, Outcome.FAILED)]

    def test_never_there_fails_once_and_is_then_settled(self) -> None:
        store, missing = Store(), ObservedPhoto("/p/a.jpg", problem="file not found", gone=True)
        store.add(entry(), {})
        (first,) = plan(store, [(entry(), [missing])])
        assert (did(first), first.settled) == ([(Action.FAIL, Outcome.FAILED)], False)
        store.note("1", "/p/a.jpg", state="failed", reason="file not found", attempts=1, stamp=None)
        (second,) = plan(store, [(entry(), [missing])])
        assert (did(second), second.settled) == ([(Action.FAIL, Outcome.FAILED)], True)

    @pytest.mark.parametrize("attempts", range(1, MAX_ATTEMPTS))
    def test_is_tried_again(self, attempts: int) -> None:
        store = Store()
        store.note("1", "/p/a.jpg", state="failed", reason="truncated", attempts=attempts)
        (one,) = plan(store, [(entry(), [replace(same("/p/a.jpg"), content_hash="A")])])
        assert did(one) == [(Action.ENCODE, Outcome.NEW)]

    def test_is_left_alone_after_enough_attempts(self, store: Store) -> None:
        store.note("1", "/p/a.jpg", state="failed", reason="truncated", attempts=MAX_ATTEMPTS)
        (one,) = plan(store, [(entry(), [same("/p/a.jpg")])])
        assert did(one) == [(Action.FAIL, Outcome.FAILED)]
        assert (one.photos[0].reason, one.settled) == ("truncated", True)

    def test_is_tried_again_at_once_when_it_changed(self, store: Store) -> None:
        store.note("1", "/p/a.jpg", state="failed", reason="truncated", attempts=MAX_ATTEMPTS)
        (one,) = plan(store, [(entry(), [read("/p/a.jpg", "B")])])
        assert did(one) == [(Action.ENCODE, Outcome.CHANGED)]

    def test_in_a_folder_is_settled_although_no_item_is_stored(self) -> None:
        store = Store()
        store.note("a", "/p/a", source_id=FOLDER, state="failed", reason="truncated", attempts=MAX_ATTEMPTS)
        (one,) = plan(store, [(entry("a"), [same("/p/a")])], kind="folder")
        assert one.settled


class TestAFolder:
    """The path is the id: a photo under a new name comes as a new item."""

    @pytest.fixture
    def folder(self) -> Store:
        made = Store()
        made.add(entry("a", "a"), {"/p/a": "A"}, source_id=FOLDER, kind="folder")
        return made

    def test_renamed(self, folder: Store) -> None:
        (one,) = plan(folder, [(entry("b", "b"), [read("/p/b", "A")])], kind="folder", on_disk=["/p/b"])
        assert did(one) == [(Action.MOVE, Outcome.RENAMED)]
        assert (one.item_key, one.new_id, one.photos[0].ledger_id) == (1, True, 101)

    def test_copied_while_the_old_one_is_there(self, folder: Store) -> None:
        (one,) = plan(folder, [(entry("b", "b"), [read("/p/b", "A")])], kind="folder", on_disk=["/p/a", "/p/b"])
        assert did(one) == [(Action.COPY, Outcome.NEW)]
        assert one.item_key is None

    def test_two_new_paths_with_the_bytes_of_one_that_is_gone(self, folder: Store) -> None:
        found = [(entry(name, name), [read(f"/p/{name}", "A")]) for name in ("b", "c")]
        first, second = plan(folder, found, kind="folder", on_disk=["/p/b", "/p/c"])
        assert did(first) == [(Action.MOVE, Outcome.RENAMED)]
        assert did(second) == [(Action.COPY, Outcome.NEW)]
        assert second.item_key is None

    def test_swapped_names(self, folder: Store) -> None:
        folder.add(entry("b", "b"), {"/p/b": "B"}, source_id=FOLDER, kind="folder")
        found = [(entry("a", "a"), [read("/p/a", "B")]), (entry("b", "b"), [read("/p/b", "A")])]
        first, second = plan(folder, found, kind="folder", on_disk=["/p/a", "/p/b"])
        assert did(first) == did(second) == [(Action.COPY, Outcome.CHANGED)]
        assert (first.photos[0].replaces, second.photos[0].replaces) == (1, 2)

    def test_a_photo_of_a_catalogue_is_copied_because_its_row_may_still_name_it(self, store: Store) -> None:
        (one,) = plan(store, [(entry("b", "b"), [read("/q/b", "A")])], kind="folder", on_disk=["/q/b"])
        assert did(one) == [(Action.COPY, Outcome.NEW)]

    def test_refuses_the_id_of_another_source_whose_file_is_there(self, store: Store) -> None:
        (one,) = plan(store, [(entry(), [read("/q/1", "B")])], kind="folder", on_disk=["/p/a.jpg", "/q/1"])
        assert "belongs to /p/a.jpg" in one.rejected
        assert one.photos == ()

    def test_takes_the_id_of_another_source_whose_file_is_gone(self, store: Store) -> None:
        (one,) = plan(store, [(entry(), [read("/q/1", "A")])], kind="folder", on_disk=["/q/1"])
        assert did(one) == [(Action.MOVE, Outcome.RENAMED)]
        assert (one.taken_over, one.item_key) == (True, 1)


class TestTwoSources:
    @pytest.fixture
    def theirs(self) -> Store:
        made = Store()
        made.add(entry(), {"/p/a.jpg": "A"}, source_id=7)
        return made

    def test_a_table_takes_over_an_item_of_another_table(self, theirs: Store) -> None:
        (one,) = plan(theirs, [(entry(), [read("/p/a.jpg", "A")])], on_disk=["/p/a.jpg"])
        assert did(one) == [(Action.KEEP, Outcome.UNCHANGED)]
        assert (one.taken_over, one.row_changed, one.drop_photos) == (True, True, ())
        assert one.photos[0].ledger_id is None, "the ledger of the other source is not ours to write"

    def test_with_it_go_the_photos_that_the_new_row_does_not_name(self, theirs: Store) -> None:
        (one,) = plan(theirs, [(entry(), [read("/q/b.jpg", "B")])], on_disk=["/p/a.jpg", "/q/b.jpg"])
        assert did(one) == [(Action.ENCODE, Outcome.NEW)]
        assert one.drop_photos == (1,)

    def test_but_not_while_the_new_row_names_missing_files(self, theirs: Store) -> None:
        (one,) = plan(theirs, [(entry(), [ObservedPhoto("/q/a.jpg", problem="file not found")])])
        assert (one.taken_over, one.drop_photos) == (True, ())

    def test_an_id_that_came_from_an_earlier_source_of_this_run_is_rejected(self, theirs: Store) -> None:
        (one,) = plan(theirs, [(entry(), [same("/p/a.jpg")])], earlier={7: "first.csv"})
        assert "already came from first.csv" in one.rejected


# The law: whatever happened to the files between runs, the collection equals one that was made from them just now.
# Chunks are planned before the one before them is stored, so the law is checked on real files and a real database.

NAMES = [f"{letter}.png" for letter in "abcd"]
EDITS = st.one_of(
    st.tuples(st.just("paint"), st.sampled_from(NAMES), st.sampled_from(sorted(COLOURS)[:4])),
    st.tuples(st.just("move"), st.sampled_from(NAMES), st.sampled_from(NAMES)),
    st.tuples(st.just("copy"), st.sampled_from(NAMES), st.sampled_from(NAMES)),
    st.tuples(st.just("swap"), st.sampled_from(NAMES), st.sampled_from(NAMES)),
    st.tuples(st.just("delete"), st.sampled_from(NAMES), st.just("")),
    st.tuples(st.just("break"), st.sampled_from(NAMES), st.just("")),
)
HISTORIES = st.lists(st.lists(EDITS, min_size=1, max_size=3), min_size=2, max_size=4)


def edit(folder: Path, what: str, name: str, other: str) -> None:
    path, target = folder / name, folder / other
    if what == "paint":
        paint(path, other)
    elif what == "break":
        path.write_bytes(b"no picture")
    elif path.exists() and what == "delete":
        path.unlink()
    elif path.exists() and path != target and what == "move":
        path.replace(target)
    elif path.exists() and path != target and what == "copy":
        shutil.copy(path, target)
    elif path.exists() and target.exists() and path != target and what == "swap":
        path.rename(folder / "aside")
        target.rename(path)
        (folder / "aside").rename(target)


@pytest.fixture(scope="module")
def empty_collection(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copied for every example: making the tables takes longer than the run."""
    folder = tmp_path_factory.mktemp("empty")
    with open_writer(folder, ColourEncoder().spec):
        return folder


def write_table(folder: Path) -> Path:
    """A catalogue of whatever is there, two photos an item, so that edits move photos within and between rows."""
    names = [name for name in NAMES if (folder / name).exists()]
    pairs = [names[i : i + 2] for i in range(0, len(names), 2)]
    lines = [f"{i},item {i},{'|'.join(pair)}" for i, pair in enumerate(pairs)] + ["x,anchor,anchor.png"]
    (folder / "products.csv").write_text("\n".join(["id,title,image", *lines]) + "\n")
    return folder / "products.csv"


@pytest.mark.parametrize("kind", ["folder", "table"])
@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
@given(history=HISTORIES)
def test_history_does_not_show(kind: str, history: list[list[tuple[str, str, str]]], empty_collection: Path) -> None:
    with TemporaryDirectory() as base:
        photos, collection = Path(base, "photos"), Path(base, "collection")
        paint(photos / "anchor.png", (1, 2, 3))
        shutil.copytree(empty_collection, collection)
        for run, edits in enumerate(history):
            for one in edits:
                edit(photos, *one)
            source = open_source(photos if kind == "folder" else write_table(photos))
            kept = {row[0] for row in rows_of(collection, "SELECT content_hash FROM photos")}
            stale = kept_by_a_failure(photos)
            encoder = ColourEncoder()
            summary = index_sources(collection, [source], encoder)
            fresh = Path(base, f"fresh {run}")
            shutil.copytree(empty_collection, fresh)
            index_sources(fresh, [source], ColourEncoder())
            assert without(stale, state_of(collection)) == without(stale, state_of(fresh))
            new = [photo[1] for item in state_of(collection) for photo in item[3] if photo[1] not in kept]
            assert encoder.images_encoded == summary.embedded <= len(new)
            again = ColourEncoder()
            index_sources(collection, [source], again)
            assert again.images_encoded == 0


def kept_by_a_failure(photos: Path) -> set[str]:
    """Broken files: what was stored of them before stays, so there history shows on purpose."""
    return {str(path) for path in photos.glob("*.png") if path.read_bytes() == b"no picture"}


def without(paths: set[str], state: list[Any]) -> list[Any]:
    kept = [
        (item_id, title, attributes, [photo for photo in photos if photo[0] not in paths], texts)
        for item_id, title, attributes, photos, texts in state
    ]
    return [item for item in kept if item[3]]
