"""Reads what is stored about a chunk of a source's items, in a handful of queries."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, bindparam, func, select

from indexer.state import FileStamp, KnownFile, KnownItem, KnownPhoto
from retrieval.catalogue.queries import chunks
from retrieval.catalogue.schema import items, ledger, photo_embeddings, photo_tokens, photos, sources, texts

MAX_COPIES = 8


def known_files(
    connection: Connection, source_id: int, names: Sequence[str], *, forget_attempts: bool = False
) -> dict[tuple[str, str], KnownFile]:
    """Ledger entries of one source for these item ids, by (item id, path). forget_attempts: as if none was made."""
    columns = [
        ledger.c[name]
        for name in (
            "id",
            "source_id",
            "item_id",
            "path",
            "state",
            "reason",
            "attempts",
            "size",
            "mtime_ns",
            "ctime_ns",
        )
    ]
    statement = select(*columns).where(ledger.c.source_id == source_id)
    found = {}
    for row in _each(connection, statement, ledger.c.item_id, names):
        stamp = None if row.size is None else FileStamp(row.size, row.mtime_ns, row.ctime_ns)
        attempts = 0 if forget_attempts else row.attempts
        found[row.item_id, row.path] = KnownFile(
            row.id, row.source_id, row.item_id, row.path, row.state, row.reason, attempts, stamp
        )
    return found


def known_items(connection: Connection, names: Sequence[str]) -> dict[str, KnownItem]:
    """Stored items with these ids, with their photos and texts."""
    columns = (items.c.id, items.c.item_id, items.c.source_id, items.c.row_hash, sources.c.kind)
    rows = _each(connection, select(*columns).join_from(items, sources), items.c.item_id, names)
    keys = [row.id for row in rows]
    item_photos: dict[int, dict[str, KnownPhoto]] = defaultdict(dict)
    statement = select(*_photo_columns()).join_from(photos, items)
    for row in _each(connection, statement, photos.c.item, keys):
        item_photos[row.item][row.path] = KnownPhoto(*row)
    item_texts: dict[int, dict[tuple[str, str], int]] = defaultdict(dict)
    for row in _each(connection, select(texts), texts.c.item, keys):
        item_texts[row.item][row.field, row.content] = row.id
    return {
        row.item_id: KnownItem(
            row.id,
            row.item_id,
            row.source_id,
            row.row_hash,
            photos=item_photos[row.id],
            texts=item_texts[row.id],
            source_kind=row.kind,
        )
        for row in rows
    }


def known_contents(connection: Connection, hashes: Sequence[str]) -> dict[str, list[KnownPhoto]]:
    """Stored photos with these content hashes, with vectors, tokens and the ledger entries that brought them.

    At most MAX_COPIES of each: one is enough to copy its vector, and a catalogue may show one placeholder everywhere.
    """
    place = func.row_number().over(partition_by=photos.c.content_hash, order_by=photos.c.id).label("place")
    copies = select(photos.c.id, place).where(photos.c.content_hash.in_(bindparam("hashes", expanding=True))).subquery()
    statement = (
        select(*_photo_columns(), photo_embeddings.c.vector, sources.c.kind, ledger.c.id, photo_tokens.c.data)
        .join_from(photos, copies, copies.c.id == photos.c.id)
        .join(items)
        .join(photo_embeddings, photo_embeddings.c.owner_id == photos.c.id)
        .outerjoin(photo_tokens, photo_tokens.c.owner_id == photos.c.id)
        .join(sources, sources.c.id == items.c.source_id)
        .outerjoin(
            ledger,
            and_(
                ledger.c.source_id == items.c.source_id,
                ledger.c.item_id == items.c.item_id,
                ledger.c.path == photos.c.path,
            ),
        )
        .where(copies.c.place <= MAX_COPIES)
    )
    found: dict[str, list[KnownPhoto]] = defaultdict(list)
    for chunk in chunks(hashes):
        for row in connection.execute(statement, {"hashes": list(chunk)}):
            found[row.content_hash].append(KnownPhoto(*row))
    return found


def known_hashes(connection: Connection, hashes: Sequence[str]) -> set[str]:
    """Those of these content hashes that a stored photo has."""
    statement = select(photos.c.content_hash).distinct()
    return {row.content_hash for row in _each(connection, statement, photos.c.content_hash, hashes)}


def _photo_columns() -> list[ColumnElement[Any]]:
    """In the order of KnownPhoto's fields."""
    return [
        photos.c.id,
        photos.c.item,
        items.c.item_id,
        photos.c.path,
        photos.c.content_hash,
        photos.c.width,
        photos.c.height,
        photos.c.position,
    ]


def _each(
    connection: Connection, statement: Select[Any], column: ColumnElement[Any], values: Sequence[Any]
) -> list[Any]:
    """All rows of the statement whose column has one of these values."""
    rows: list[Any] = []
    for chunk in chunks(values):
        rows.extend(connection.execute(statement.where(column.in_(chunk))))
    return rows
