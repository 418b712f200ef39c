"""The one place that opens a database: connections, pragmas, and what a database error means to a person."""

import os
import shutil
import sqlite3
from contextlib import suppress
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.pool import QueuePool

from retrieval.errors import (
    CatalensError,
    CollectionDamaged,
    CollectionError,
    CollectionLocked,
    CollectionNotFound,
    StorageError,
)

DATABASE = "catalog.db"
MIN_FREE = 1 << 20  # bytes: less and a disk is as good as full
POOLED = 16  # connections that are kept: with 5, searches on 16 threads took up to 0.15 ms more to open others anew
LOG_BYTES = 8 * 2**20  # twice what SQLite lets a log grow to where nobody reads all the time
LOG_PATIENCE = 1_000  # ms
BUSY_SECONDS = 30  # a reader meets a lock only for the moment of a checkpoint; a second writer is kept out before


def reading_engine(folder: Path) -> Engine:
    """Engine that can only read `folder`/catalog.db, also from a full or read-only disk.

    Raises CollectionNotFound when there is none, CollectionDamaged when it is not a database, StorageError when this
    user may not read it.
    """
    database_status(folder)
    path = folder / DATABASE
    engine = _engine(path, "mode=ro")
    try:
        with engine.connect() as connection:
            connection.exec_driver_sql("SELECT count(*) FROM sqlite_master")
    except StorageError as error:
        # SQLite wants a shared-memory file beside a database with a log. A full or read-only disk cannot have one, but
        # then nobody writes either and the database can be read as it lies, if the log holds no newer commits.
        engine.dispose()
        log = path.with_name(f"{DATABASE}-wal")
        disk_refuses = os.statvfs(folder).f_flag & os.ST_RDONLY or os.access(folder, os.W_OK)
        if not disk_refuses or (log.is_file() and log.stat().st_size):
            raise StorageError(
                f"cannot read {path}: {error}",
                hint="give this user write access to the collection's folder; SQLite needs it also for reading",
            ) from error
        return _engine(path, "immutable=1").execution_options(immutable=True)
    return engine


def database_status(folder: Path) -> os.stat_result:
    """`stat` of `folder`/catalog.db. Raises CollectionNotFound or StorageError."""
    path = folder / DATABASE
    try:
        return path.stat()
    except FileNotFoundError:
        raise CollectionNotFound(
            f"there is no collection at {folder}",
            hint="make one with: catalens index YOUR-FOLDER, or name another with --collection",
        ) from None
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error.strerror}", hint="check the folder's permissions") from error


def is_immutable(engine: Engine) -> bool:
    """Does this reading engine take it for granted that the database does not change?"""
    return bool(engine.get_execution_options().get("immutable"))


def writing_engine(path: Path, journal: Literal["WAL", "DELETE"] = "WAL") -> Engine:
    """Engine for the one writer of a database: every commit flushed to the disk, foreign keys enforced.

    journal: WAL lets readers go on. DELETE is for a database that is made aside and renamed: all of it is in its one
    file, while with WAL a full disk can leave a part in a log that the renamed file knows nothing of.
    """
    engine = _engine(path, "mode=rwc")

    @event.listens_for(engine, "connect")
    def _pragmas(connection: sqlite3.Connection, _record: object) -> None:
        for pragma in (f"journal_mode={journal}", "synchronous=FULL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")

    return engine


def shorten_log(engine: Engine, path: Path) -> None:
    """Move a long log into the database and begin it anew. For the one writer, between transactions.

    SQLite does so by itself, but only at a moment in which nobody reads. Under a server that always searches there is
    none: a hundred writes beside 64 clients made it 13 MB, and it went on. Here readers are waited for, each of which
    takes a moment; where one takes too long, the next write tries again.
    """
    log = path.with_name(f"{DATABASE}-wal")
    with suppress(OSError, sqlite3.Error):  # what was written stays written, and the log may go on growing
        if log.stat().st_size > LOG_BYTES:
            connection = engine.raw_connection()
            try:
                cursor = connection.cursor()
                cursor.execute(f"PRAGMA busy_timeout={LOG_PATIENCE}")
                cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            finally:
                connection.invalidate()  # it has another patience than the others
                connection.close()


def _engine(path: Path, mode: str) -> Engine:
    uri = f"{_uri(path)}?{mode}"
    writing = mode == "mode=rwc"

    def connect() -> sqlite3.Connection:
        # Autocommit at the driver, so that SQLAlchemy's BEGIN below is the only one: Python's own sqlite3 module would
        # begin no transaction for a SELECT, and a snapshot read over three tables needs one.
        return sqlite3.connect(uri, uri=True, timeout=BUSY_SECONDS, check_same_thread=False, isolation_level=None)

    engine = create_engine(
        "sqlite+pysqlite://", creator=connect, poolclass=QueuePool, pool_size=POOLED, max_overflow=64
    )

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        if writing:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        else:  # past SQLAlchemy, which takes 0.05 ms for it: nothing is locked or read yet, so nothing can be refused
            connection.connection.cursor().execute("BEGIN")

    @event.listens_for(engine, "handle_error")
    def _say_what_it_means(context: ExceptionContext) -> CatalensError | None:
        return _meaning(context.original_exception, path)

    return engine


def _uri(path: Path) -> str:
    try:
        quoted = quote(str(path))
    except UnicodeEncodeError:
        raise CollectionError(
            f"the path {path} is not UTF-8", hint="give the collection a folder whose name is, with --collection"
        ) from None
    # With its empty authority, or SQLite would take the first folder of //a/b for one.
    return f"file://{quoted}" if path.is_absolute() else f"file:{quoted}"


def _meaning(error: BaseException, path: Path) -> CatalensError | None:
    if not isinstance(error, sqlite3.DatabaseError):
        return None
    said = str(error)
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    # Without space for its shared-memory file SQLite speaks of an I/O error.
    starved = code == sqlite3.SQLITE_IOERR and shutil.disk_usage(path.parent).free < MIN_FREE
    if code == sqlite3.SQLITE_FULL or starved:
        return StorageError(
            f"the disk is full: {path}",
            hint="free some space and run the same command again; what was stored before is intact",
        )
    if code in {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_PERM}:
        return StorageError(
            f"the disk refused access to {path}: {said}",
            hint="check that the folder is writable and the disk healthy, or name another with --collection",
        )
    if code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        return CollectionLocked(
            f"{path} has been locked by another program for {BUSY_SECONDS} seconds",
            hint="close the program that has the database open, such as a backup or a database browser",
        )
    if code in {sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT}:
        return CollectionDamaged(
            f"{path} cannot be read: {said}",
            hint="restore it from a backup, or delete the collection folder and index again",
        )
    return None
