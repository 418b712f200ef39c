"""Items that a program puts and deletes: found at once, encoded once, refused one by one, beside what files name."""

import csv
import io
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier, Event
from time import sleep
from typing import Any

import pytest
from PIL import Image
from sqlalchemy import event

import indexer.items.put as put_module
from indexer.compaction import MIN_DELTA
from indexer.forget import forget
from indexer.items import PROGRAM, PutItem, Written, delete_items, put_items, upkeep
from indexer.items.value import MAX_ID, MAX_LIST, MAX_PHOTOS, MAX_TEXT, MAX_TITLE
from indexer.lock import writer_lock
from indexer.pipeline import index_sources
from indexer.sources import open_source
from retrieval.collection import Collection
from retrieval.errors import CollectionLocked, CollectionNotFound, FingerprintMismatch, SourceError, StorageError
from retrieval.search import Searcher
from tests.command_line import runner
from tests.fakes import COLOURS, ColourEncoder, PlaceEncoder


def picture(colour: str, mark: int = 0, size: int = 24) -> bytes:
    """A plain picture's file; `mark` makes its bytes its own."""
    image = Image.new("RGB", (size, size), COLOURS[colour])
    image.putpixel((0, 0), (mark % 256, mark // 256, 0))
    written = io.BytesIO()
    image.save(written, "PNG")
    return written.getvalue()


class Shop:
    """A collection that programs write to, followed by one searcher throughout."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.collection = folder / "collection"
        self.encoder = ColourEncoder()

    def put(self, *items: PutItem, **options: Any) -> Written:
        return put_items(self.collection, self.encoder, items, **options)

    def outcomes(self, *items: PutItem) -> list[str]:
        return [one.outcome for one in self.put(*items).outcomes]

    def index(self, path: Path) -> dict[str, int | float]:
        return index_sources(self.collection, [open_source(path)], self.encoder).to_json()

    def search(self, words: str, by: Any = "image", **query: Any) -> list[str]:
        with Searcher.open(self.collection, ColourEncoder()) as searcher:
            return [hit.item_id for hit in searcher.search(words, by=by, **query).hits]

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        connection = sqlite3.connect(self.collection / "catalog.db")
        try:
            return connection.execute(statement).fetchall()
        finally:
            connection.close()

    def uploads(self) -> list[str]:
        return sorted(path.name for path in (self.collection / "uploads").rglob("*") if path.is_file())

    def table(self, *rows: tuple[str, str, str]) -> Path:
        path = self.folder / "products.csv"
        with path.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerows([("id", "title", "image"), *rows])
        return path

    def photo(self, name: str, colour: str, mark: int = 0) -> Path:
        path = self.folder / "photos" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(picture(colour, mark))
        return path


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


def test_a_put_item_is_found_by_its_photo_its_title_and_its_words(shop: Shop) -> None:
    shop.put(
        PutItem("sofa", "Red sofa", {"description": "velvet"}, {"price": 120}, (picture("red"),)),
        PutItem("lamp", "Blue lamp", photos=(picture("blue"),)),
    )
    assert shop.search("red")[0] == "sofa"
    assert shop.search("blue", by="text")[0] == "lamp"
    assert shop.search("velvet", by="lexical") == ["sofa"]
    assert shop.search("blue", filter="price < 200") == ["sofa"]


def test_a_changed_item_is_found_as_it_is_now_by_an_open_searcher(shop: Shop) -> None:
    shop.put(PutItem("a", "Red sofa", photos=(picture("red"),)), PutItem("b", "Grey", photos=(picture("white"),)))
    with Searcher.open(shop.collection, ColourEncoder()) as searcher:
        assert searcher.search("red").hits[0].item_id == "a"
        assert shop.outcomes(PutItem("a", "Green bench", photos=(picture("green"),))) == ["updated"]
        assert searcher.search("green").hits[0].item_id == "a"
        assert searcher.search("green", by="text").hits[0].title == "Green bench"
        assert not searcher.search("sofa", by="lexical").hits
        assert searcher.search("bench", by="lexical").hits[0].item_id == "a"


def test_a_deleted_item_is_found_no_more_by_an_open_searcher(shop: Shop) -> None:
    shop.put(PutItem("a", "Red sofa", photos=(picture("red"),)), PutItem("b", "Blue lamp", photos=(picture("blue"),)))
    with Searcher.open(shop.collection, ColourEncoder()) as searcher:
        assert len(searcher.search("red").hits) == 2
        before = searcher.collection.status()["revision"]
        done = delete_items(shop.collection, ["a", "nobody", "\ud800"])
        assert [one.outcome for one in done.outcomes] == ["deleted", "not_found", "not_found"]
        assert done.revision > before
        assert [hit.item_id for hit in searcher.search("red").hits] == ["b"]
        assert not searcher.search("sofa", by="lexical").hits
    assert shop.rows("SELECT count(*) FROM ledger") == [(1,)]


def test_the_same_again_is_unchanged_and_writes_nothing(shop: Shop) -> None:
    item = PutItem("a", "Red sofa", {"description": "velvet"}, {"price": 1.5, "tags": ["x"]}, (picture("red"),))
    first = shop.put(item)
    work = shop.encoder.images_encoded, shop.encoder.texts_encoded
    again = shop.put(item)
    assert [one.outcome for one in again.outcomes] == ["unchanged"]
    assert again.revision == first.revision
    assert (shop.encoder.images_encoded, shop.encoder.texts_encoded) == work == (1, 2)


def test_an_item_without_a_photo_stays_unchanged_too_and_may_get_one(shop: Shop) -> None:
    assert shop.outcomes(PutItem("a", "Red sofa")) == ["added"]
    assert shop.outcomes(PutItem("a", "Red sofa")) == ["unchanged"]
    assert shop.outcomes(PutItem("a", "Red sofa", photos=(picture("red"),))) == ["updated"]
    assert shop.rows("SELECT count(*), min(state) FROM ledger") == [(1, "done")]
    assert shop.encoder.texts_encoded == 1


def test_known_bytes_are_never_encoded_twice(shop: Shop) -> None:
    red, blue = picture("red"), picture("blue")
    file = shop.folder / "red.png"
    file.write_bytes(red)
    shop.put(PutItem("a", "A", photos=(red, blue)), PutItem("b", "B", photos=(red,)))
    assert shop.encoder.images_encoded == 2
    shop.put(PutItem("a", "A", photos=(blue, red)), PutItem("c", "C", photos=(file,)))
    assert shop.encoder.images_encoded == 2
    assert shop.rows("SELECT item_id, position FROM photos JOIN items ON items.id = item ORDER BY 1, 2") == [
        ("a", 0),
        ("a", 1),
        ("b", 0),
        ("c", 0),
    ]
    with Collection.open(shop.collection) as opened:
        row = opened.items([opened.item_key("a")])
        assert [Path(str(one.photo)).read_bytes() for one in row.values()] == [blue]


def test_a_bad_photo_fails_its_item_alone_which_keeps_what_it_had(shop: Shop) -> None:
    shop.put(PutItem("a", "Red sofa", photos=(picture("red"),)))
    done = shop.put(
        PutItem("a", "Blue sofa", photos=(picture("blue"), b"\xff\xd8\xff no more of it")),
        PutItem("b", "Green sofa", photos=(picture("green"),)),
        PutItem("c", "No such file", photos=(shop.folder / "missing.png",)),
    )
    assert [one.outcome for one in done.outcomes] == ["failed", "added", "failed"]
    assert done.outcomes[0].problems == ("photo 2: damaged JPEG: its header makes no sense",)
    assert done.outcomes[2].problems == ("photo 1: file not found",)
    assert shop.search("red")[0] == "a"
    assert shop.rows("SELECT item_id, title FROM items ORDER BY id") == [("a", "Red sofa"), ("b", "Green sofa")]
    assert len(shop.uploads()) == 2
    with Collection.open(shop.collection) as opened:
        assert opened.status()["failed"] == 0


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        (PutItem(" "), "the id is blank"),
        (PutItem("x" * (MAX_ID + 1), "t"), "the id has 513 characters"),
        (PutItem("a\0b", "t"), "control characters"),
        (PutItem("\ud800", "t"), "half of a surrogate pair"),
        (PutItem("a"), "nothing to find it by"),
        (PutItem("a", "x" * (MAX_TITLE + 1)), "title has 1,001 characters"),
        (PutItem("a", "t\0"), "title has a NUL"),
        (PutItem("a", "t", {"description": "x" * (MAX_TEXT + 1)}), "description has 20,001"),
        (PutItem("a", "t", {"title": "x"}), "'title' is given twice"),
        (PutItem("a", "t", {"x": "x"}, {"x": 1}), "'x' is given twice"),
        (PutItem("a", "t", {}, {"": 1}), "cannot be the name of a field"),
        (PutItem("a", "t", {}, {"x": {"y": 1}}), "x is neither a text"),
        (PutItem("a", "t", {}, {"x": [1]}), "x is a list of other things"),
        (PutItem("a", "t", {}, {"x": ["y"] * (MAX_LIST + 1)}), "x has 1,001 elements"),
        (PutItem("a", "t", {}, {"x": float("nan")}), "x is not a finite number"),
        (PutItem("a", "t", {}, {str(i): i for i in range(201)}), "there are 201 fields"),
        (PutItem("a", "t", photos=(b"x",) * (MAX_PHOTOS + 1)), "there are 33 photos"),
        (PutItem("a", "t", photos=(b"",)), "photo 1: the file is empty"),
        (PutItem("a", "t", photos=(Path("/"),)), "photo 1: not a file"),
        (PutItem("a", "t", problems=("photo 1: outside",)), "photo 1: outside"),
    ],
)
def test_what_cannot_be_an_item_is_refused_with_its_reason(shop: Shop, item: PutItem, reason: str) -> None:
    done = shop.put(item, PutItem("good", "Red"))
    assert [one.outcome for one in done.outcomes] == ["failed", "added"]
    assert reason in " ".join(done.outcomes[0].problems)
    assert shop.rows("SELECT item_id FROM items") == [("good",)]


def test_an_id_that_comes_twice_in_a_batch_counts_once(shop: Shop) -> None:
    done = shop.put(PutItem("a", "First"), PutItem("a", "Second"))
    assert [one.outcome for one in done.outcomes] == ["added", "failed"]
    assert shop.rows("SELECT title FROM items") == [("First",)]


def test_photos_that_no_item_shows_are_removed_and_shared_ones_stay(shop: Shop) -> None:
    red, blue = picture("red"), picture("blue")
    shop.put(PutItem("a", "A", photos=(red, blue)), PutItem("b", "B", photos=(red,)))
    assert len(shop.uploads()) == 2
    shop.put(PutItem("a", "A", photos=(blue,)))
    assert len(shop.uploads()) == 2
    delete_items(shop.collection, ["b"])
    assert len(shop.uploads()) == 1
    delete_items(shop.collection, ["a"])
    assert shop.uploads() == []


def test_what_a_crash_left_among_the_uploads_goes_with_the_next_write(shop: Shop) -> None:
    red = picture("red")
    shop.put(PutItem("a", "A", photos=(red,)), PutItem("b", "B", photos=(picture("blue"),)))
    elsewhere = shop.collection / "uploads" / "zz"
    elsewhere.mkdir()
    (elsewhere / "y").write_bytes(b"left over")
    delete_items(shop.collection, ["a"])
    assert len(shop.uploads()) == 2  # nothing says that something was left behind: only what changes is looked at
    (shop.collection / "uploads" / "changing").touch()
    delete_items(shop.collection, ["b"])
    assert shop.uploads() == []
    shop.put(PutItem("b", "B", photos=(red,)))
    (elsewhere / "y").write_bytes(b"left over")
    assert forget(shop.collection, Path(PROGRAM)) == 1
    assert shop.uploads() == []


def test_a_moved_collection_takes_its_photos_along(shop: Shop) -> None:
    shop.put(PutItem("a", "A", photos=(picture("red"),)), PutItem("b", "B", photos=(picture("blue"),)))
    shop.collection = shop.collection.rename(shop.folder / "moved")
    with Searcher.open(shop.collection, ColourEncoder()) as searcher:
        photo = Path(str(searcher.search("red").hits[0].photo))
        assert photo.read_bytes() == picture("red")
        assert photo.is_relative_to(shop.collection)
        listed = searcher.collection.item_photos(searcher.collection.item_key("a"))
        assert [Path(one.path) for one in listed] == [photo]
        assert str(searcher.search("A", by="lexical").hits[0].photo) == str(photo)
    (shop.collection / "uploads" / "changing").touch()  # then all of them are looked at
    assert shop.outcomes(PutItem("c", "C", photos=(picture("green"),))) == ["added"]
    assert len(shop.uploads()) == 3
    assert shop.outcomes(PutItem("b", "B", photos=(picture("white"),))) == ["updated"]
    assert len(shop.uploads()) == 3  # the blue one went
    delete_items(shop.collection, ["a", "b", "c"])
    assert shop.uploads() == []


def test_an_upload_whose_file_was_lost_is_written_again(shop: Shop) -> None:
    red = picture("red")
    shop.put(PutItem("a", "A", photos=(red,)))
    next(path for path in (shop.collection / "uploads").rglob("*") if path.is_file()).unlink()
    shop.put(PutItem("a", "B", photos=(red,)))
    assert len(shop.uploads()) == 1


def test_index_runs_of_files_leave_put_items_alone(shop: Shop) -> None:
    photo = shop.photo("red.png", "red")
    shop.put(PutItem("mine", "Mine", photos=(picture("blue"),)))
    for _ in range(2):
        shop.index(shop.table(("t", "T", str(photo))))
        shop.index(photo.parent)
    assert {row[0] for row in shop.rows("SELECT item_id FROM items")} == {"mine", "t", "red.png"}
    assert len(shop.uploads()) == 1


def test_a_put_takes_a_file_s_item_over_until_the_file_s_next_run_names_it(shop: Shop) -> None:
    photo = shop.photo("1.png", "red")
    table = shop.table(("a", "From the file", str(photo)), ("b", "B", str(photo)))
    shop.index(table)
    assert shop.outcomes(PutItem("a", "From a program", photos=(picture("blue"),))) == ["updated"]
    assert shop.rows("SELECT title FROM items WHERE item_id = 'a'") == [("From a program",)]
    assert shop.search("blue")[0] == "a"
    shop.index(shop.table(("b", "B", str(photo))))
    assert shop.rows("SELECT title FROM items WHERE item_id = 'a'") == [("From a program",)]
    shop.index(shop.table(("a", "From the file", str(photo)), ("b", "B", str(photo))))
    assert shop.rows("SELECT title FROM items WHERE item_id = 'a'") == [("From the file",)]
    assert shop.uploads() == []
    assert shop.rows("SELECT count(*) FROM ledger JOIN sources ON sources.id = source_id WHERE kind = 'program'") == [
        (0,)
    ]


def test_the_same_holds_for_a_folder(shop: Shop) -> None:
    folder = shop.photo("1.png", "red").parent
    shop.index(folder)
    shop.put(PutItem("1.png", "From a program", photos=(picture("blue"),)))
    assert shop.search("blue", by="text")[0] == "1.png"
    counts = shop.index(folder)
    assert counts["failed"] == counts["skipped"] == 0
    assert shop.rows("SELECT title FROM items") == [("1",)]


def test_a_deleted_item_of_a_file_comes_back_with_its_next_run(shop: Shop) -> None:
    table = shop.table(("a", "A", str(shop.photo("1.png", "red"))))
    shop.index(table)
    delete_items(shop.collection, ["a"])
    assert shop.rows("SELECT count(*) FROM ledger") == [(0,)]
    assert shop.index(table)["new"] == 1


def test_a_file_s_photo_uploaded_for_its_item_is_moved_and_not_encoded(shop: Shop) -> None:
    photo = shop.photo("1.png", "red")
    shop.index(shop.table(("a", "A", str(photo))))
    shop.encoder = ColourEncoder()
    shop.put(PutItem("a", "A", photos=(photo.read_bytes(),)))
    assert shop.encoder.images_encoded == 0
    assert len(shop.uploads()) == 1
    assert shop.rows("SELECT count(*) FROM photos") == [(1,)]


def test_status_and_forget_know_the_source(shop: Shop) -> None:
    photo = shop.photo("1.png", "red")
    shop.index(shop.table(("t", "T", str(photo))))
    shop.put(PutItem("a", "A", photos=(picture("blue"), picture("green"))), PutItem("b", "B"))
    with Collection.open(shop.collection) as opened:
        status = opened.status()
        assert status["sources"] == [str(shop.folder / "products.csv"), PROGRAM]
        assert (status["items"], status["photos"], status["failed"]) == (3, 3, 0)
    with pytest.raises(SourceError, match="has no source elsewhere"):
        forget(shop.collection, Path("elsewhere"))
    assert forget(shop.collection, Path(PROGRAM)) == 3
    assert shop.rows("SELECT item_id FROM items") == [("t",)]
    assert shop.uploads() == []
    with Collection.open(shop.collection) as opened:
        assert opened.status()["sources"] == [str(shop.folder / "products.csv")]


def test_the_command_line_shows_and_forgets_what_programs_put(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = runner(monkeypatch, capsys)
    shop.put(PutItem("a", "A", photos=(picture("blue"),)))
    place = ("--collection", shop.collection)
    assert PROGRAM in run("status", *place)[1]
    code, _, err = run("forget", PROGRAM, *place)
    assert (code, err) == (0, "catalens forget: removed=1\n")
    assert PROGRAM not in run("status", *place)[1]


def test_tokens_are_kept_where_the_collection_keeps_them(shop: Shop) -> None:
    photo = shop.photo("1.png", "red")
    encoder = PlaceEncoder()
    index_sources(shop.collection, [open_source(photo.parent)], encoder, rerank_tokens=True)
    put_items(shop.collection, encoder, [PutItem("a", "Blue", photos=(picture("blue"), photo))])
    assert shop.rows("SELECT count(*) FROM photo_tokens") == [(3,)]
    assert shop.rows("SELECT count(*) FROM text_tokens") == shop.rows("SELECT count(*) FROM texts")


def test_the_collection_is_not_locked_while_pictures_are_encoded(shop: Shop) -> None:
    shop.put(PutItem("a", "A"))

    class Watching(ColourEncoder):
        locked = True

        def encode_images(self, pixels: Any) -> Any:
            with writer_lock(shop.collection):
                self.locked = False
            return super().encode_images(pixels)

    encoder = Watching()
    put_items(shop.collection, encoder, [PutItem("b", "B", photos=(picture("red"),))])
    assert not encoder.locked


def test_what_was_deleted_between_the_look_and_the_lock_is_encoded_after_all(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    red = picture("red")
    shop.put(PutItem("a", "Red", photos=(red,)), PutItem("b", "Red", photos=(picture("blue"),)))
    look = put_module._look_ahead

    def then_deleted(*given: Any, **more: Any) -> Any:
        seen = look(*given, **more)
        delete_items(shop.collection, ["a"])
        return seen

    monkeypatch.setattr(put_module, "_look_ahead", then_deleted)
    assert shop.outcomes(PutItem("a", "Red", photos=(red,))) == ["added"]
    assert shop.search("red")[0] == "a"


def test_errors_of_the_whole_collection_are_raised(shop: Shop) -> None:
    with pytest.raises(CollectionNotFound):
        delete_items(shop.collection, ["a"])
    with pytest.raises(CollectionNotFound):
        shop.put(PutItem("a", "A"), create=False)
    assert not shop.collection.exists()
    shop.put(PutItem("a", "A"))
    with pytest.raises(FingerprintMismatch):
        put_items(shop.collection, ColourEncoder(version="2"), [PutItem("b", "B", photos=(picture("red"),))])
    with writer_lock(shop.collection), pytest.raises(CollectionLocked):
        shop.put(PutItem("b", "B"))
    with writer_lock(shop.collection), pytest.raises(CollectionLocked):
        delete_items(shop.collection, ["a"])
    assert shop.rows("SELECT item_id FROM items") == [("a",)]


def test_a_disk_that_refuses_an_upload_changes_nothing(shop: Shop) -> None:
    shop.put(PutItem("a", "A"))
    (shop.collection / "uploads").write_text("in the way")
    with pytest.raises(StorageError):
        shop.put(PutItem("a", "B", photos=(picture("red"),)))
    assert shop.rows("SELECT title FROM items") == [("A",)]


def test_the_index_is_made_anew_only_when_enough_has_changed(shop: Shop) -> None:
    shop.put(PutItem("a", "Red", photos=(picture("red"),)))

    def rows() -> int:
        with Collection.open(shop.collection) as opened:
            return int(opened.status()["index"]["image"]["rows"])

    assert rows() == 1
    done = shop.put(PutItem("b", "Blue", photos=(picture("blue"),)), with_upkeep=False)
    assert (rows(), done.upkeep_due) == (1, True)  # the calibrations are due: there are twice as many photos
    upkeep(shop.collection, shop.encoder)
    many = [PutItem(str(i), "", photos=(shop.photo(f"{i}.png", "green", i),)) for i in range(30)]
    assert not shop.put(*many[:0], with_upkeep=False).upkeep_due
    shop.put(*many)
    assert rows() == 1
    assert len(many) < MIN_DELTA


def test_a_put_makes_one_transaction_of_changes(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.put(PutItem("a", "A"))
    commits = 0

    def count(*_: object) -> None:
        nonlocal commits
        commits += 1

    real = put_module.CollectionWriter.store

    def counted(self: Any, *given: Any) -> None:
        event.listen(self.engine, "commit", count)
        real(self, *given)
        event.remove(self.engine, "commit", count)

    monkeypatch.setattr(put_module.CollectionWriter, "store", counted)
    shop.put(*(PutItem(f"n{i}", f"Red {i}", photos=(picture("red", i),)) for i in range(40)))
    assert commits == 1
    assert shop.rows("SELECT count(*) FROM items") == [(41,)]


def test_the_log_of_a_collection_that_is_always_read_does_not_grow_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite begins its log anew only where nobody reads, which is never while a server searches."""
    monkeypatch.setattr("retrieval.catalogue.engine.LOG_BYTES", 200_000)
    shop = Shop(tmp_path)
    shop.put(PutItem("first", "red"))
    log, ended = shop.collection / "catalog.db-wal", Event()

    def read(starts: Barrier) -> None:
        with Searcher.open(shop.collection, ColourEncoder()) as searcher:
            starts.wait(10)
            while not ended.is_set():
                with searcher.collection.snapshot():
                    searcher.search("red")
                    sleep(0.004)

    starts = Barrier(3)
    with ThreadPoolExecutor(2) as pool:
        readers = [pool.submit(read, starts) for _ in range(2)]
        try:
            starts.wait(10)
            sizes = []
            for n in range(12):
                shop.put(PutItem(f"item-{n}", f"red {n}"))
                sizes.append(log.stat().st_size)
        finally:
            ended.set()
        for reader in readers:
            reader.result(10)
    assert min(sizes) < 100_000 < max(sizes) < 500_000  # 12 writes make a log of more than a million bytes
