"""A collection on disk, followed: always the newest committed revision, never half of one."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from threading import Lock, local
from types import TracebackType
from typing import Self, TypeVar

from sqlalchemy import Connection, Engine

from retrieval.catalogue import queries
from retrieval.catalogue.engine import database_status, is_immutable, reading_engine
from retrieval.catalogue.queries import EncoderRow, Modality
from retrieval.catalogue.versions import require_head, unfinished
from retrieval.confidence.calibration import Calibration
from retrieval.confidence.stored import Calibrations, Direction
from retrieval.errors import CollectionChanged, FingerprintMismatch
from retrieval.index.view import VectorView
from retrieval.items import ItemTable
from retrieval.rules.load import rules_in_force
from retrieval.rules.ruleset import NO_RULES, RuleSet

TRIES = 5  # snapshots, where other threads have read a newer revision each time

T = TypeVar("T")


@dataclass(frozen=True)
class CollectionView:
    """Both vector spaces of a collection at one revision. Immutable: a search finishes on the view it began with.

    database: device and inode of the database file that gave the ids. rules: what holds at this revision.
    calibrations: what turns cosines into confidences, by modality and kind of query; missing before an index run.
    """

    database: tuple[int, int]
    revision: int
    image: VectorView
    text: VectorView
    rules: RuleSet = NO_RULES
    calibrations: Mapping[Direction, Calibration] = field(default_factory=dict)

    def of(self, modality: Modality) -> VectorView:
        """The photos' vectors or the texts' vectors: a mixed index would rank its own modality first."""
        return self.image if modality == "image" else self.text


class Revisions:
    """A folder with `catalog.db` and index files, followed from revision to revision.

    Many processes may read while one writes. A deleted collection that was made again is followed too.
    """

    def __init__(self, folder: Path) -> None:
        """Open for reading. Raises CollectionNotFound, or CollectionDamaged when it cannot be read."""
        self.folder = folder
        self._refreshing = Lock()
        self._view: CollectionView | None = None
        self._reading_items = Lock()
        self._items: ItemTable | None = None
        self._calibrations = Calibrations()
        self._local = local()
        self._status = database_status(folder)
        self._engine, self.encoder = _opened(folder)

    def close(self) -> None:
        """Give the database connections back."""
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def view(self) -> CollectionView:
        """The newest committed revision. Costs one small query when nothing changed; swaps atomically when it did.

        Raises CollectionNotFound when the collection was deleted, FingerprintMismatch when it was then made again with
        another model, RulesError when its rules cannot be read.
        """
        with self._refreshing:
            if self._held() is None:
                self._reopen_if_replaced()
            with self._reading() as connection:
                return self._newest(connection)

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """All that this thread reads of the collection within is of one revision, whatever a writer commits meanwhile.

        A search reads the view, vectors, items and rows one after the other: of several revisions they would not fit
        together. Raises as `view` does; `view` raises CollectionChanged within, where another thread has read a newer
        revision in the moment before.
        """
        if self._held() is not None:
            yield
            return
        with self._refreshing:
            self._reopen_if_replaced()
        with self._reading() as connection:
            self._local.connection = connection
            try:
                yield
            finally:
                del self._local.connection

    def at_one_revision(self, read: Callable[[], T]) -> T:
        """What `read` returns, called in a `snapshot`, and again in a new one where another thread was ahead.

        Within a snapshot it is called once: a new one would be of the same revision. Raises CollectionChanged when
        another thread was ahead each of TRIES times, and what `read` raises.
        """
        tries = TRIES if self._held() is None else 1
        for _ in range(tries - 1):
            with suppress(CollectionChanged), self.snapshot():
                return read()
        with self.snapshot():
            return read()

    def _held(self) -> Connection | None:
        """The connection of this thread's snapshot."""
        held: Connection | None = getattr(self._local, "connection", None)
        return held

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        """A connection in a transaction: that of the snapshot, or a new one."""
        held = self._held()
        if held is not None:
            yield held
            return
        with self._engine.connect() as connection, connection.begin():
            yield connection

    def view_with_items(self, columns: Iterable[str] = ()) -> tuple[CollectionView, ItemTable]:
        """The newest committed revision with all its items, read in one transaction.

        columns: fields that will be looked at; reading them here, in one pass, spares the ItemTable from reading them
        one by one, and from raising CollectionChanged. Searches that need no items do not wait for this. Raises as
        `view` does.
        """
        with self._reading_items, ExitStack() as stack:
            with self._refreshing:
                if self._held() is None:
                    self._reopen_if_replaced()
                connection = stack.enter_context(self._reading())
                view = self._newest(connection)
            reader = partial(self._reading_at, view.database, view.revision)
            table = self._items
            if table is None or table.database != view.database:
                table = ItemTable.load(connection, revision=view.revision, database=view.database, reader=reader)
            elif table.revision < view.revision:
                table = table.refreshed(connection, view.revision, reader)
            table.read(columns, connection)
            self._items = table
            return view, table

    @contextmanager
    def _reading_at(self, database: tuple[int, int], revision: int) -> Iterator[Connection]:
        """A connection in a transaction at this revision of this database. Raises CollectionChanged when it is over."""
        with ExitStack() as stack:
            with self._refreshing:
                if self._held() is None:
                    self._reopen_if_replaced()
                connection = stack.enter_context(self._reading())
                newest = queries.revision(connection)
                changed = newest != revision or _identity(self._status) != database
            if changed:
                raise CollectionChanged(
                    f"{self.folder} was changed while it was searched (revision {newest}, not {revision})",
                    hint="search again",
                )
            yield connection

    def _newest(self, connection: Connection) -> CollectionView:
        revision = queries.revision(connection)
        if connection.engine is not self._engine or (self._view is not None and self._view.revision > revision):
            raise CollectionChanged(f"{self.folder} was changed while it was searched", hint="search again")
        if self._view is None or self._view.revision < revision:
            self._view = self._loaded(connection, revision)
        return self._view

    def _loaded(self, connection: Connection, revision: int) -> CollectionView:
        views = {}
        for modality in queries.MODALITIES:
            if self._view is None:
                views[modality] = VectorView.load(connection, self.folder, modality, self.encoder.dimension)
            else:
                views[modality] = self._view.of(modality).refreshed(connection, self.folder, self._view.revision)
        rules = rules_in_force(connection, NO_RULES if self._view is None else self._view.rules)
        calibrations = self._calibrations.current(connection, self.encoder.dimension)
        return CollectionView(_identity(self._status), revision, views["image"], views["text"], rules, calibrations)

    def _reopen_if_replaced(self) -> None:
        """Follow a collection that was deleted and made again, or changed after being opened on a read-only disk."""
        # The engine keeps a connection open, so the system cannot give the old file's inode to a new one.
        status = database_status(self.folder)
        replaced = _identity(status) != _identity(self._status)
        thawed = is_immutable(self._engine) and _content(status) != _content(self._status)
        if not replaced and not thawed:
            return
        engine, encoder = _opened(self.folder)
        if encoder.fingerprint != self.encoder.fingerprint:
            engine.dispose()
            raise FingerprintMismatch(
                f"{self.folder} was made again with {encoder.name} (fingerprint {encoder.fingerprint}) "
                f"while it was open with {self.encoder.name} (fingerprint {self.encoder.fingerprint})",
                hint="open it anew, with the model that it names now",
            )
        old, self._engine = self._engine, engine
        self.encoder, self._status, self._view = encoder, status, None
        self._forget()
        old.dispose()

    def _forget(self) -> None:
        """Drop what is known by its revision only: another database has the same numbers."""
        self._calibrations = Calibrations()


def _opened(folder: Path) -> tuple[Engine, EncoderRow]:
    engine = reading_engine(folder)
    try:
        with engine.connect() as connection:
            require_head(connection, folder)
            encoder = queries.encoder_row(connection)
        if encoder is None:
            raise unfinished(folder)
    except BaseException:
        engine.dispose()
        raise
    return engine, encoder


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _content(status: os.stat_result) -> tuple[int, int]:
    return status.st_size, status.st_mtime_ns
