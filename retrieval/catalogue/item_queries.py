"""What a table of all items reads: keys and owners as arrays, and the values of fields in blocks."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from sqlalchemy import ColumnElement, Connection, Select, Text, select, type_coerce

from retrieval.catalogue.queries import OWNERS, Modality, chunks
from retrieval.catalogue.schema import items, photos, texts
from retrieval.catalogue.tag_queries import tags_between
from retrieval.index.base import IdArray

BLOCK = 10_000  # rows that are Python objects at one time: some 20 MB
ITEM_ID, TITLE = "item_id", "title"


def item_keys(connection: Connection, after_revision: int = -1) -> IdArray:
    """Keys of the items written after a revision, or of all, ascending."""
    statement = select(items.c.id).order_by(items.c.id)
    if after_revision >= 0:
        statement = statement.where(items.c.revision > after_revision)
    return np.fromiter(connection.execute(statement).scalars(), dtype=np.int64)


def owned(connection: Connection, modality: Modality) -> tuple[IdArray, IdArray]:
    """Ids of all photos or texts, and the keys of their items, in any order."""
    table = OWNERS[modality]
    return _pairs(connection, select(table.c.id, table.c.item))


def photos_written(connection: Connection, after_revision: int) -> tuple[IdArray, IdArray]:
    """Ids of the photos that came, or moved to another item, after a revision, and the keys of their items."""
    return _pairs(connection, select(photos.c.id, photos.c.item).where(photos.c.revision > after_revision))


def texts_after(connection: Connection, text_id: int) -> tuple[IdArray, IdArray]:
    """Ids of the newer texts, and the keys of their items: a text never changes, and never moves."""
    return _pairs(connection, select(texts.c.id, texts.c.item).where(texts.c.id > text_id))


def item_values(
    connection: Connection, names: Sequence[str], keys: IdArray | None = None
) -> Iterator[tuple[IdArray, dict[str, Sequence[Any]]]]:
    """Blocks of (item keys, values by field) of all items or of those with these keys, in ascending order of key.

    A name is `item_id`, `title`, or an attribute; where an item has no such attribute the value is None.
    """
    own = [name for name in (ITEM_ID, TITLE) if name in names]
    attributes = [name for name in names if name not in own]
    columns: list[ColumnElement[Any]] = [items.c.id, *(items.c[name] for name in own)]
    if attributes:
        columns.append(type_coerce(items.c.attributes, Text))
    for rows in _blocks(connection, select(*columns).order_by(items.c.id), items.c.id, keys):
        found = list(zip(*rows, strict=True))
        values: dict[str, Sequence[Any]] = dict(zip(own, found[1:], strict=False))
        if attributes:
            parsed = json.loads(f"[{','.join(found[-1])}]")  # one call for a block takes a third of the time
            tags = tags_between(connection, found[0][0], found[0][-1], attributes)
            if tags:  # labels that were given are attributes too
                parsed = [{**row, **tags.get(key, {})} for key, row in zip(found[0], parsed, strict=True)]
            values |= {name: [row.get(name) for row in parsed] for name in attributes}
        yield np.array(found[0], dtype=np.int64), values


def text_values(
    connection: Connection, field: str, keys: IdArray | None = None
) -> Iterator[tuple[IdArray, Sequence[str]]]:
    """Blocks of (item keys, contents) of one text field, in ascending order of key, of the items that have it."""
    statement = select(texts.c.item, texts.c.content).where(texts.c.field == field).order_by(texts.c.item)
    for rows in _blocks(connection, statement, texts.c.item, keys):
        found, contents = zip(*rows, strict=True)
        yield np.array(found, dtype=np.int64), contents


def attribute_objects(connection: Connection) -> Iterator[list[dict[str, Any]]]:
    """The attributes of all items, in blocks."""
    for rows in _blocks(connection, select(type_coerce(items.c.attributes, Text)), items.c.id, None):
        yield json.loads(f"[{','.join(row[0] for row in rows)}]")


def text_fields(connection: Connection) -> list[str]:
    """Names of the text fields, `title` among them."""
    return list(connection.execute(select(texts.c.field).distinct()).scalars())


def _blocks(
    connection: Connection, statement: Select[Any], key: ColumnElement[Any], keys: IdArray | None
) -> Iterator[Sequence[Any]]:
    if keys is None:
        yield from connection.execute(statement).partitions(BLOCK)
        return
    for chunk in chunks(keys.tolist()):
        rows = connection.execute(statement.where(key.in_(chunk))).all()
        if rows:
            yield rows


def _pairs(connection: Connection, statement: Select[Any]) -> tuple[IdArray, IdArray]:
    flat = np.fromiter((number for row in connection.execute(statement) for number in row), dtype=np.int64)
    return flat[::2], flat[1::2]
