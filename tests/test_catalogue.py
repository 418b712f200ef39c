"""The database: its schema and version, who may do what with it, and what a sick disk means to a person."""

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import insert, inspect, select, text, update
from sqlalchemy.exc import IntegrityError

from indexer.writer import open_writer
from retrieval.catalogue import engine as engine_module
from retrieval.catalogue import queries, versions
from retrieval.catalogue.engine import DATABASE, reading_engine, writing_engine
from retrieval.catalogue.schema import counters, items, metadata, photos, sources
from retrieval.catalogue.versions import HEAD, require_head, upgrade, version_of
from retrieval.collection import Collection
from retrieval.errors import (
    CollectionDamaged,
    CollectionError,
    CollectionLocked,
    CollectionNotFound,
    FingerprintMismatch,
    StorageError,
)
from retrieval.search import Searcher
from tests.listed import NoiseEncoder, compacted, fill, stored, worded

ENCODER = NoiseEncoder()
SOURCE = {"id": 1, "kind": "table", "location": "x"}
ITEM = {"id": 1, "item_id": "a", "source_id": 1, "title": "", "attributes": {}, "row_hash": ""}
PHOTO = {"id": 1, "item": 1, "position": 0, "path": "p", "content_hash": "", "width": 1, "height": 1}


def finds(folder: Path, title: str) -> bool:
    """Is the item with this title the first answer to it?"""
    with Searcher.open(folder, ENCODER) as searcher:
        hits = searcher.search(title, by="text").hits
    return bool(hits) and hits[0].title == title


def set_version(folder: Path, version: str | None) -> None:
    with sqlite3.connect(folder / DATABASE) as connection:
        connection.execute("DELETE FROM alembic_version")
        if version is not None:
            connection.execute("INSERT INTO alembic_version VALUES (?)", (version,))
    connection.close()


def is_of_fts5(name: str) -> bool:
    """Is it the table of all words, or one of those that FTS5 keeps behind it? They are not in `schema.py`."""
    return name == "lexical" or name.startswith("lexical_")


class TestSchema:
    def test_the_migrations_give_exactly_the_tables_of_schema_py(self, tmp_path: Path) -> None:
        engine = writing_engine(tmp_path / DATABASE)
        upgrade(engine, tmp_path)
        with engine.connect() as connection:
            ours = {"include_name": lambda name, kind, _: kind != "table" or not is_of_fts5(name)}
            assert compare_metadata(MigrationContext.configure(connection, opts=ours), metadata) == []
        engine.dispose()

    def test_head_is_the_newest_migration(self) -> None:
        config = Config()
        config.set_main_option("script_location", str(Path(versions.__file__).parent / "migrations"))
        assert ScriptDirectory.from_config(config).get_current_head() == HEAD

    def test_upgrading_twice_changes_nothing(self, tmp_path: Path) -> None:
        engine = writing_engine(tmp_path / DATABASE)
        upgrade(engine, tmp_path)
        upgrade(engine, tmp_path)
        with engine.connect() as connection:
            assert version_of(connection) == HEAD
            require_head(connection, tmp_path)
        engine.dispose()

    def test_a_migration_that_fails_leaves_nothing(self, tmp_path: Path) -> None:
        engine = writing_engine(tmp_path / DATABASE)
        with engine.begin() as connection:
            connection.execute(text("CREATE TABLE generations (id INTEGER)"))
        with pytest.raises(Exception, match="generations"):
            upgrade(engine, tmp_path)
        with engine.connect() as connection:
            assert inspect(connection).get_table_names() == ["generations"]
        engine.dispose()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    fill(folder, worded("one", "two"))
    return folder


class TestOpening:
    @pytest.fixture
    def folder(self, whole: Path, tmp_path: Path) -> Path:
        return shutil.copytree(whole, tmp_path / "copy")

    def test_a_missing_folder(self, tmp_path: Path) -> None:
        with pytest.raises(CollectionNotFound, match="nothing here") as caught:
            Collection.open(tmp_path / "nothing here")
        assert "catalens index" in caught.value.hint
        assert not (tmp_path / "nothing here").exists()

    @pytest.mark.parametrize(
        ("version", "message", "hint"),
        [
            ("0000", "older Catalens", "catalens index"),
            ("9999", "newer Catalens", "pip install --upgrade"),
            (None, "no finished collection", "catalens index"),
        ],
    )
    def test_another_version(self, folder: Path, version: str | None, message: str, hint: str) -> None:
        set_version(folder, version)
        with pytest.raises(CollectionDamaged, match=message) as caught:
            Collection.open(folder)
        assert hint in caught.value.hint

    def test_a_writer_does_not_touch_a_newer_version(self, folder: Path) -> None:
        set_version(folder, "9999")
        with pytest.raises(CollectionDamaged, match="newer"), open_writer(folder, ENCODER.spec):
            pass

    @pytest.mark.parametrize(
        ("content", "message", "hint"),
        [
            (b"", "no finished collection", "catalens index"),
            (b"this is no database" * 500, "cannot be read", "backup"),
            (b"SQLite format 3\0" + b"\xff" * 8000, "cannot be read", "backup"),
        ],
        ids=["empty", "garbage", "garbage behind a good header"],
    )
    def test_a_file_that_is_no_collection(self, tmp_path: Path, content: bytes, message: str, hint: str) -> None:
        (tmp_path / DATABASE).write_bytes(content)
        with pytest.raises(CollectionDamaged, match=message) as caught:
            Collection.open(tmp_path)
        assert hint in caught.value.hint

    def test_a_writer_says_so_too_and_leaves_the_file_alone(self, tmp_path: Path) -> None:
        garbage = b"this is no database" * 500
        (tmp_path / DATABASE).write_bytes(garbage)
        with pytest.raises(CollectionDamaged, match="cannot be read"):
            fill(tmp_path, worded("one"))
        assert (tmp_path / DATABASE).read_bytes() == garbage

    def test_damaged_pages_are_collection_damaged(self, folder: Path) -> None:
        data = bytearray((folder / DATABASE).read_bytes())
        data[4096:] = b"\xa5" * (len(data) - 4096)
        (folder / DATABASE).write_bytes(data)
        with pytest.raises(CollectionDamaged, match="cannot be read"), Collection.open(folder) as collection:
            collection.view()

    def test_another_encoder_is_named_with_the_collections_own(self, folder: Path) -> None:
        other = NoiseEncoder(8)
        with pytest.raises(FingerprintMismatch) as caught, open_writer(folder, other.spec):
            pass
        assert other.spec.fingerprint in str(caught.value)
        assert ENCODER.spec.fingerprint in str(caught.value)
        assert "another model in this release" in str(caught.value), "its name is the same"
        assert caught.value.hint == "index again into another --collection"

    def test_many_threads_reopen_a_collection_made_again_once(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        opened: list[sqlite3.Connection] = []
        connect = sqlite3.connect

        def noted(*args: Any, **options: Any) -> sqlite3.Connection:
            opened.append(connect(*args, **options))
            return opened[-1]

        shutil.copytree(folder, other := folder.with_name("other"))
        monkeypatch.setattr(sqlite3, "connect", noted)
        with Collection.open(folder) as collection:
            collection.view()
            shutil.rmtree(folder)
            other.rename(folder)
            before = list(opened)
            with ThreadPoolExecutor(4) as threads:
                views = list(threads.map(lambda _: collection.view(), range(8)))
            assert len({id(view) for view in views}) == 1
            assert len(opened) == len(before) + 1
            for connection in before:
                with pytest.raises(sqlite3.ProgrammingError, match="closed"):
                    connection.execute("SELECT 1")

    def test_a_failed_opening_leaves_no_connection(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        opened: list[sqlite3.Connection] = []
        connect = sqlite3.connect

        def noted(*args: Any, **options: Any) -> sqlite3.Connection:
            opened.append(connect(*args, **options))
            return opened[-1]

        monkeypatch.setattr(sqlite3, "connect", noted)
        with pytest.raises(FingerprintMismatch):
            Searcher.open(folder, NoiseEncoder(8))
        set_version(folder, "9999")
        with pytest.raises(CollectionDamaged):
            Collection.open(folder)
        assert len(opened) >= 2
        for connection in opened:
            with pytest.raises(sqlite3.ProgrammingError, match="closed"):
                connection.execute("SELECT 1")

    @pytest.mark.parametrize("name", ["a b", "why?mode=rwc", "#1", "100% %41 %zz", "商品 图片", 'it\'s "x"', "a&b=c"])
    def test_any_folder_name(self, tmp_path: Path, name: str) -> None:
        folder = tmp_path / name / "collection"
        fill(folder, worded("one", "two"))
        assert finds(folder, "two")
        assert (folder / DATABASE).is_file()
        assert [path.name for path in tmp_path.iterdir()] == [name]

    def test_a_folder_that_begins_with_two_slashes(self, folder: Path) -> None:
        twice = Path(f"/{folder}")
        assert str(twice).startswith("//")
        fill(twice, worded("one", "two"))
        assert finds(twice, "two")

    def test_a_name_that_is_not_utf_8(self, tmp_path: Path) -> None:
        folder = tmp_path / "c\udcff"
        with pytest.raises(CollectionError, match="not UTF-8"):
            fill(folder, worded("one"))
        (folder / DATABASE).touch()
        with pytest.raises(CollectionError, match="not UTF-8") as caught:
            Collection.open(folder)
        assert caught.value.hint

    def test_a_relative_folder(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(folder.parent)
        assert finds(Path(folder.name), "two")


class TestRights:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        fill(tmp_path, worded("one"))
        return tmp_path

    def test_the_writer_has_wal_full_flushes_and_foreign_keys(self, folder: Path) -> None:
        engine = writing_engine(folder / DATABASE)
        with engine.connect() as connection:
            settings = {
                name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
                for name in ("journal_mode", "synchronous", "foreign_keys")
            }
        engine.dispose()
        assert settings == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}

    def test_an_item_of_no_source_is_refused(self, folder: Path) -> None:
        engine = writing_engine(folder / DATABASE)
        with pytest.raises(IntegrityError, match="FOREIGN KEY"), engine.begin() as connection:
            connection.execute(insert(items), {**ITEM, "id": 77, "item_id": "new", "source_id": 4711})
        engine.dispose()

    def test_photos_and_vectors_go_with_their_item(self, tmp_path: Path) -> None:
        engine = writing_engine(tmp_path / DATABASE)
        upgrade(engine, tmp_path)
        with engine.begin() as connection:
            connection.execute(insert(sources), SOURCE)
            connection.execute(insert(items), ITEM)
            connection.execute(insert(photos), PHOTO)
            connection.execute(items.delete())
            assert connection.execute(select(photos)).all() == []
        engine.dispose()

    def test_a_failed_transaction_leaves_nothing(self, folder: Path) -> None:
        engine = writing_engine(folder / DATABASE)
        with pytest.raises(RuntimeError, match="stop"), engine.begin() as connection:
            connection.execute(update(items).values(title="changed"))
            raise RuntimeError("stop")
        with engine.connect() as connection:
            assert connection.execute(select(items.c.title)).scalars().all() == ["one"]
        engine.dispose()

    def test_a_reader_cannot_write(self, folder: Path) -> None:
        engine = reading_engine(folder)
        with pytest.raises(StorageError, match="readonly"), engine.begin() as connection:
            connection.execute(update(items).values(title="changed"))
        engine.dispose()
        assert finds(folder, "one")

    def test_a_reader_sees_one_snapshot_during_a_transaction(self, folder: Path) -> None:
        reading, writing = reading_engine(folder), writing_engine(folder / DATABASE)
        with reading.connect() as reader, reader.begin():
            before = queries.revision(reader)
            with writing.begin() as writer:
                writer.execute(update(counters).where(counters.c.name == "revision").values(value=before + 1))
            assert queries.revision(reader) == before
        with reading.connect() as reader:
            assert queries.revision(reader) == before + 1
        reading.dispose()
        writing.dispose()

    def test_a_database_that_another_program_holds(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(engine_module, "BUSY_SECONDS", 0.05)
        other = sqlite3.connect(folder / DATABASE, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(CollectionLocked, match="another program"):
            fill(folder, worded("one", "two"))
        other.close()
        fill(folder, worded("one", "two"))
        assert finds(folder, "two")


class TestQueries:
    def test_more_ids_than_one_statement_takes(self, tmp_path: Path) -> None:
        titles = [f"item {number}" for number in range(queries.MAX_PARAMETERS + 20)]
        fill(tmp_path, worded(*titles))
        ids, vectors = stored(tmp_path, "text")
        with Collection.open(tmp_path) as collection:
            asked = [*reversed(ids.tolist()), 10**6]
            found, half = collection.vectors("text", asked)
            assert found.tolist() == ids.tolist()
            assert (half == vectors).all()
            assert sorted(row.title for row in collection.rows("text", asked).values()) == sorted(titles)
            assert collection.rows("text", []) == {}
            assert collection.vectors("text", [])[1].shape == (0, ENCODER.spec.dimension)


Mount = Callable[..., None]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[tuple[Path, Mount]]:
    """A small disk of its own, and a function that mounts it with options. Needs root on Linux."""
    place = tmp_path / "disk"
    place.mkdir()

    def mount(*arguments: str) -> None:
        subprocess.run(["mount", *arguments, str(place)], check=True, capture_output=True)

    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("only root on Linux can mount a disk")
    try:
        mount("-t", "tmpfs", "-o", "size=3m", "tmpfs")
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"mounting is not allowed here: {error}")
    try:
        yield place, mount
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True, capture_output=True)


class TestReadOnlyDisk:
    def test_reading_works_and_writing_says_why_not(self, disk: tuple[Path, Mount]) -> None:
        place, mount = disk
        folder = place / "collection"
        fill(folder, worded("one", "two"))
        mount("-o", "remount,ro")
        assert finds(folder, "two")
        with Collection.open(folder) as collection:
            assert collection.status()["items"] == 2
            assert len(collection.view().text) == 2
        with pytest.raises(StorageError, match="Read-only file system") as caught:
            fill(folder, worded("one", "two", "three"))
        assert "writable" in caught.value.hint
        with pytest.raises(StorageError, match="Read-only"):
            fill(place / "other", worded("one"))
        mount("-o", "remount,rw")
        fill(folder, worded("one", "two", "three"))
        assert finds(folder, "three")

    def test_commits_that_wait_in_the_log_are_not_passed_over(self, disk: tuple[Path, Mount]) -> None:
        place, mount = disk
        folder = place / "collection"
        fill(folder, worded("one"))
        holder = reading_engine(folder)
        with holder.connect() as connection, connection.begin():
            queries.revision(connection)  # a reader in the middle keeps the last commits out of the database file
            fill(folder, worded("one", "two"))
        copied = place / "copied"
        copied.mkdir()
        for name in (DATABASE, f"{DATABASE}-wal"):
            shutil.copy(folder / name, copied)
        holder.dispose()
        assert (copied / f"{DATABASE}-wal").stat().st_size > 0
        mount("-o", "remount,ro")
        with pytest.raises(StorageError, match="refused access"):
            Collection.open(copied)


class TestFullDisk:
    def test_what_was_stored_can_be_searched_and_the_run_goes_on(self, disk: tuple[Path, Mount]) -> None:
        place, _ = disk
        folder = place / "collection"
        fill(folder, worded("one", "two"))
        ballast = place / "ballast"
        free = shutil.disk_usage(place).free
        ballast.write_bytes(b"x" * (free - 300_000))
        many = worded("one", "two", *(f"item {number} {'long ' * 40}" for number in range(2_000)))
        with pytest.raises(StorageError, match=r"full|No space|could not write") as caught:
            fill(folder, many)
        assert "space" in caught.value.hint
        last = place / "last bytes"
        last.write_bytes(b"x" * shutil.disk_usage(place).free)
        assert finds(folder, "two")
        last.unlink()
        with Collection.open(folder) as collection:
            stored_so_far = collection.status()["items"]
            assert 2 <= stored_so_far < len(many)
        ballast.unlink()
        fewer = many[: stored_so_far + 200]
        fill(folder, fewer)
        assert finds(folder, fewer[-1].title)
        with Collection.open(folder) as collection:
            assert collection.status()["items"] == len(fewer)

    @pytest.mark.parametrize("free", [60_000, 150_000, 240_000, 300_000, 400_000])
    def test_a_disk_that_is_nearly_full_from_the_start(self, disk: tuple[Path, Mount], free: int) -> None:
        place, _ = disk
        folder = place / "collection"
        many = worded(*(f"item {number}" for number in range(1_500)))
        (place / "ballast").write_bytes(b"x" * (shutil.disk_usage(place).free - free))
        with pytest.raises(StorageError, match=r"full|No space|could not write"):
            fill(folder, many)
        try:
            with Collection.open(folder) as collection:
                assert collection.status()["items"] < len(many)
        except CollectionNotFound:
            pass
        (place / "ballast").unlink()
        fill(folder, many[:300])
        assert finds(folder, "item 299")

    def test_no_space_for_an_index_file(self, disk: tuple[Path, Mount]) -> None:
        place, _ = disk
        folder = place / "collection"
        fill(folder, worded(*(f"item {number}" for number in range(300))))
        with open_writer(folder, ENCODER.spec):  # its log and its lock have their space
            (place / "ballast").write_bytes(b"x" * (shutil.disk_usage(place).free - 8_192))
        with pytest.raises(StorageError):
            compacted(folder)
        assert [path.name for path in (folder / "index").glob("text*")] == ["text-000001.faiss"]
        assert finds(folder, "item 7")
        (place / "ballast").unlink()
        compacted(folder)
        assert finds(folder, "item 7")

    def test_sqlite_says_full(self, tmp_path: Path) -> None:
        """Without root: SQLite's own limit on pages gives the same error as a full disk."""
        fill(tmp_path, worded("one"))
        engine = writing_engine(tmp_path / DATABASE)
        with pytest.raises(StorageError, match="the disk is full") as caught, engine.begin() as connection:
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
            connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")
            connection.execute(update(items).values(title="x" * 100_000))
        assert "free some space" in caught.value.hint
        engine.dispose()
        assert finds(tmp_path, "one")
