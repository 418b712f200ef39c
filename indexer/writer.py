"""The one writer of a collection: every batch of finished items is one database transaction."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from sqlalchemy import Connection, Engine, delete, func, insert, select

from indexer.changes import Changes, FinishedItem, owned_by
from indexer.durable import disk_errors, publish
from indexer.lock import writer_lock
from indexer.sources.base import Rejected, Source
from retrieval.catalogue import queries
from retrieval.catalogue.engine import DATABASE, database_status, shorten_log, writing_engine
from retrieval.catalogue.queries import chunks
from retrieval.catalogue.schema import encoders, items, ledger, photos, sources, texts
from retrieval.catalogue.versions import mismatch, upgrade
from retrieval.encoders.base import EncoderSpec


class SeenEntries:
    """Which of the ledger entries that existed at the start the source named again: one bit each."""

    def __init__(self, last_id: int) -> None:
        self.last_id = last_id
        self._bits = bytearray(last_id // 8 + 1)

    def add(self, entry_id: int) -> None:
        if entry_id <= self.last_id:
            self._bits[entry_id >> 3] |= 1 << (entry_id & 7)

    def __contains__(self, entry_id: int) -> bool:
        return entry_id > self.last_id or bool(self._bits[entry_id >> 3] >> (entry_id & 7) & 1)


@dataclass(frozen=True)
class SourceRow:
    """A source as the catalogue knows it."""

    id: int
    kind: str
    location: str

    def keeps(self, finished: FinishedItem) -> bool:
        """Is the item worth storing? A catalogue's row is without a photo; in a folder the photo is the item."""
        return self.kind != "folder" or finished.has_photo


@dataclass(frozen=True)
class CollectionWriter:
    """Writes items, photos, texts, vectors and the ledger. Made by `open_writer`."""

    folder: Path
    engine: Engine
    encoder_id: int
    dimension: int

    def register(self, source: Source) -> tuple[SourceRow, SeenEntries]:
        """The row of a source, made on its first run, and an empty record of what it still names."""
        with self.engine.begin() as connection:
            location = str(source.location)
            found = connection.execute(select(sources.c.id).where(sources.c.location == location)).scalar()
            if found is None:
                row = {"kind": source.kind, "location": location}
                found = connection.execute(insert(sources).returning(sources.c.id), row).scalar_one()
            last = queries.counter(connection, "ledger")
        return SourceRow(found, source.kind, location), SeenEntries(last)

    def store(self, source: SourceRow, finished: Sequence[FinishedItem], gone: Sequence[int] = ()) -> None:
        """Write a batch in one transaction. gone: ids of ledger entries that hold no more."""
        with self.engine.begin() as connection:
            for chunk in chunks(gone):
                connection.execute(delete(ledger).where(ledger.c.id.in_(chunk)))
            changes = Changes(connection, source.id, self.encoder_id)
            for one in finished:
                if source.keeps(one):
                    changes.store(one)
                for photo in one.plan.photos:
                    changes.note(one.plan.item.item_id, photo, *one.outcome(photo))
            changes.write()

    def finish(self, source: SourceRow, seen: SeenEntries, rejected: Sequence[Rejected]) -> tuple[int, int]:
        """Remove what the source no longer names, and replace its list of rejected entries.

        Nothing is removed while a catalogue has rows that cannot be read: an open quote may hide half of them. Returns
        how many stored photos went (items without a photo counted as one), and how many entries stay for that reason.
        """
        reasons = {entry.where: entry.reason for entry in rejected}
        with self.engine.connect() as connection:
            unseen = self._unseen(connection, source, seen, _out_of_sight(source, rejected))
            unchanged = self._rejected(connection, source) == reasons
        half_read = source.kind != "folder" and any(entry.unreadable for entry in rejected)
        kept, unseen = (len(unseen), []) if half_read else (0, unseen)
        if not unseen and unchanged:
            return 0, kept
        with self.engine.begin() as connection:
            changes = Changes(connection, source.id, self.encoder_id)
            removed = self._remove(connection, changes, source, unseen)
            connection.execute(delete(ledger).where(ledger.c.source_id == source.id, ledger.c.item_id == ""))
            for where, reason in reasons.items():
                changes.reject(where, reason)
            changes.write()
        return removed, kept

    def forget(self, source: SourceRow) -> int:
        """Remove a source with all that came from it. Returns what `finish` returns first."""
        with self.engine.connect() as connection:
            nothing_seen = SeenEntries(queries.counter(connection, "ledger"))
        removed, _ = self.finish(source, nothing_seen, [])
        with self.engine.begin() as connection:
            connection.execute(delete(sources).where(sources.c.id == source.id))
        return removed

    def _unseen(
        self, connection: Connection, source: SourceRow, seen: SeenEntries, out_of_sight: tuple[str, ...]
    ) -> list[tuple[int, str, str]]:
        entries = connection.execute(
            select(ledger.c.id, ledger.c.item_id, ledger.c.path).where(
                ledger.c.source_id == source.id, ledger.c.item_id != "", ledger.c.id <= seen.last_id
            )
        )
        return [
            (entry_id, item_id, path)
            for entry_id, item_id, path in entries
            if entry_id not in seen and not item_id.startswith(out_of_sight)
        ]

    def _rejected(self, connection: Connection, source: SourceRow) -> dict[str, str]:
        rows = connection.execute(
            select(ledger.c.path, ledger.c.reason).where(ledger.c.source_id == source.id, ledger.c.item_id == "")
        )
        return {row.path: row.reason for row in rows}

    def _remove(
        self, connection: Connection, changes: Changes, source: SourceRow, unseen: Sequence[tuple[int, str, str]]
    ) -> int:
        gone = {(item_id, path) for _, item_id, path in unseen}
        dead_photos: list[int] = []
        bare_items: list[int] = []
        for chunk in chunks(unseen):
            names = sorted({item_id for _, item_id, _ in chunk})
            connection.execute(delete(ledger).where(ledger.c.id.in_([entry_id for entry_id, _, _ in chunk])))
            mine = (items.c.source_id == source.id) & items.c.item_id.in_(names)
            rows = connection.execute(
                select(photos.c.id, items.c.item_id, photos.c.path).join_from(photos, items).where(mine)
            )
            dead_photos.extend(photo_id for photo_id, item_id, path in rows if (item_id, path) in gone)
            still_named = select(ledger.c.item_id).where(ledger.c.source_id == source.id, ledger.c.item_id.in_(names))
            bare_items.extend(
                connection.execute(select(items.c.id).where(mine, items.c.item_id.not_in(still_named))).scalars()
            )
        bare_items = sorted(set(bare_items))
        dead_photos = sorted({*dead_photos, *owned_by(connection, photos, bare_items)})
        photoless = len(bare_items) - self._count_with_photos(connection, bare_items)
        changes.remove("image", dead_photos)
        changes.remove("text", owned_by(connection, texts, bare_items))
        changes.remove_items(bare_items)
        return len(dead_photos) + photoless

    def _count_with_photos(self, connection: Connection, item_keys: Sequence[int]) -> int:
        return sum(
            connection.execute(
                select(func.count(photos.c.item.distinct())).where(photos.c.item.in_(chunk))
            ).scalar_one()
            for chunk in chunks(item_keys)
        )


def _out_of_sight(source: SourceRow, rejected: Sequence[Rejected]) -> tuple[str, ...]:
    """How the ids begin whose folder could not be listed: a network disk that stumbles must not cost its photos."""
    if source.kind != "folder":
        return ()
    refused = [entry.where for entry in rejected]
    return ("",) if source.location in refused else tuple(where for where in refused if where.endswith("/"))


@contextmanager
def open_writer(folder: Path, spec: EncoderSpec) -> Iterator[CollectionWriter]:
    """Open a collection for writing with an encoder, making it if it does not exist, with its lock held.

    Raises CollectionLocked, StorageError, CollectionDamaged, and FingerprintMismatch when the collection's vectors
    were made by another encoder.
    """
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with writer_lock(folder):
        if not (folder / DATABASE).exists():
            _create(folder, spec)
        with _writer(folder) as writer:
            yield replace(writer, encoder_id=_encoder_id(writer.engine, folder, spec), dimension=spec.dimension)


@contextmanager
def open_existing(folder: Path) -> Iterator[CollectionWriter]:
    """Open a collection for writing what needs no encoder, with its lock held.

    Raises CollectionNotFound, CollectionLocked, StorageError, CollectionDamaged.
    """
    database_status(folder)
    with writer_lock(folder), _writer(folder) as writer:
        yield writer


@contextmanager
def _writer(folder: Path) -> Iterator[CollectionWriter]:
    engine = writing_engine(folder / DATABASE)
    try:
        upgrade(engine, folder)
        with engine.connect() as connection:
            made_with = queries.encoder_row(connection)
        yield CollectionWriter(folder, engine, *((made_with.id, made_with.dimension) if made_with else (0, 0)))
        shorten_log(engine, folder / DATABASE)
    finally:
        engine.dispose()


def _create(folder: Path, spec: EncoderSpec) -> None:
    """Make the database aside, so that a reader finds a whole collection or none."""
    temporary = folder / f"{DATABASE}.new"
    with disk_errors(folder):
        # Also the log of a database that somebody deleted: SQLite would play it back into the new one.
        for leftover in (*folder.glob(f"{temporary.name}*"), *folder.glob(f"{DATABASE}-*")):
            leftover.unlink()
    engine = writing_engine(temporary, journal="DELETE")
    try:
        upgrade(engine, folder)
        _encoder_id(engine, folder, spec)
    finally:
        engine.dispose()
    publish(temporary, folder / DATABASE)


def _encoder_id(engine: Engine, folder: Path, spec: EncoderSpec) -> int:
    with engine.begin() as connection:
        made_with = queries.encoder_row(connection)
        if made_with is None:
            row = {
                "fingerprint": spec.fingerprint,
                "name": spec.name,
                "dimension": spec.dimension,
                "spec": spec.to_json(),
            }
            return int(connection.execute(insert(encoders).returning(encoders.c.id), row).scalar_one())
    if made_with.fingerprint != spec.fingerprint:
        raise mismatch(folder, made_with, spec)
    return made_with.id
