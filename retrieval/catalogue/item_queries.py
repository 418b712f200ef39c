"""What a table of all items reads: keys and owners as arrays, and the values of fields in blocks.

Where all rows are read, the database joins those of a block to one text, so that no row becomes a Python object: that
takes a third of the time or less. It may join them in any order, so the keys are joined beside them.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from sqlalchemy import ColumnElement, Connection, Select, Text, cast, func, select, type_coerce

from retrieval.arrays import IdArray
from retrieval.catalogue.attribute_reader import AttributeReader, parsed
from retrieval.catalogue.queries import OWNERS, Modality, chunks
from retrieval.catalogue.schema import items, photos, texts
from retrieval.catalogue.tag_queries import Tags, tag_fields, tags_between, tags_of

BLOCK = 5_000  # rows joined at one time; SQLite's limit for a text, 1 GB, leaves 200 kB for the attributes of each
ITEM_ID, TITLE = "item_id", "title"
_SEPARATOR = "\x1f"  # a title that holds one is found out by the number of parts

Block = tuple[IdArray, dict[str, Sequence[Any]]]


def item_keys(connection: Connection, after_revision: int = -1) -> IdArray:
    """Keys of the items written after a revision, or of all, ascending."""
    statement = select(items.c.id)
    if after_revision >= 0:
        statement = statement.where(items.c.revision > after_revision)
    return np.sort(_numbers(connection, statement)[0])


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


def item_values(connection: Connection, names: Sequence[str], keys: IdArray | None = None) -> Iterator[Block]:
    """Blocks of (item keys, values by field) of all items or of those with these keys, in any order.

    A name is `item_id`, `title`, or an attribute; where an item has no such attribute the value is None. Values are
    Python ones, or a pyarrow array of float64, bool, large_string or lists of it.
    """
    own = [name for name in (ITEM_ID, TITLE) if name in names]
    attributes = [name for name in names if name not in own]
    columns: list[ColumnElement[Any]] = [items.c[name] for name in own]
    if attributes:
        columns.append(type_coerce(items.c.attributes, Text))
    labelled = sorted({*attributes} & {*tag_fields(connection)}) if attributes else []
    if keys is None:
        reader = AttributeReader(attributes)
        for found, joined in _joined(connection, select(items.c.id, *columns), items.c.id, len(own)):
            values = dict(zip(own, joined[: len(own)], strict=True)) | (reader.read(joined[-1]) if attributes else {})
            if labelled:
                tags = tags_between(connection, int(found.min()), int(found.max()), labelled)
                values |= _with_labels(found, values, labelled, tags)
            yield found, values
        return
    for rows in _chosen(connection, select(items.c.id, *columns), items.c.id, keys):
        ids, *given = zip(*rows, strict=True)
        found = np.array(ids, dtype=np.int64)
        values = dict(zip(own, given, strict=False)) | (parsed(given[-1], attributes) if attributes else {})
        if labelled:
            values |= _with_labels(found, values, labelled, tags_of(connection, ids))
        yield found, values


def _with_labels(
    keys: IdArray, values: Mapping[str, Any], labelled: Sequence[str], tags: Tags
) -> dict[str, Sequence[Any]]:
    """The values of these fields, with the labels that were given to items in place of their attributes."""
    if not tags:
        return {}
    given = [tags.get(key, {}) for key in keys.tolist()]
    return {
        name: [labels.get(name, value) for labels, value in zip(given, _listed(values[name]), strict=True)]
        for name in labelled
    }


def _listed(values: Any) -> Sequence[Any]:
    return values if isinstance(values, list) else list(values.to_pylist())


def text_values(connection: Connection, field: str, keys: IdArray | None = None) -> Iterator[tuple[IdArray, Any]]:
    """Blocks of (item keys, contents) of one text field, of the items that have it, in any order."""
    statement = select(texts.c.item, texts.c.content).where(texts.c.field == field)
    if keys is None:
        for found, joined in _joined(connection, statement, texts.c.item, 1):
            yield found, joined[0]
        return
    for rows in _chosen(connection, statement, texts.c.item, keys):
        owners, contents = zip(*rows, strict=True)
        yield np.array(owners, dtype=np.int64), contents


def attribute_lines(connection: Connection) -> Iterator[str]:
    """The attributes of all items, in blocks, one JSON object a line."""
    statement = select(items.c.id, type_coerce(items.c.attributes, Text))
    for _, joined in _joined(connection, statement, items.c.id, 0):
        yield joined[0]


def text_fields(connection: Connection) -> list[str]:
    """Names of the text fields, `title` among them."""
    return list(connection.execute(select(texts.c.field).distinct()).scalars())


def _joined(
    connection: Connection, statement: Select[Any], key: ColumnElement[Any], plain: int
) -> Iterator[tuple[IdArray, list[Any]]]:
    """Blocks of (keys, columns); the statement selects the key first, then columns of text.

    The first `plain` columns come as pyarrow arrays of large_string, others as one text with a line for each row.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    last = -1
    while True:
        rows = statement.where(key > last).order_by(key).limit(BLOCK).subquery()
        number, *others = rows.c
        joined = [
            func.aggregate_strings(column, _SEPARATOR if place < plain else "\n") for place, column in enumerate(others)
        ]
        found = connection.execute(
            select(func.count(), func.aggregate_strings(cast(number, Text), ","), *joined).select_from(rows)
        ).one()
        if not found[0]:
            return
        keys = _parsed_numbers(found[1])
        columns: list[Any] = list(found[2:])
        for place in range(plain):
            parts = pc.split_pattern(pa.array([columns[place]], pa.large_string()), _SEPARATOR).flatten()
            if len(parts) != len(keys):  # a value holds the separator: one by one then
                values = {row[0]: row[1] for row in connection.execute(select(number, others[place]))}
                parts = pa.array([values[item] for item in keys.tolist()], pa.large_string())
            columns[place] = parts
        yield keys, columns
        last = int(keys.max())


def _chosen(
    connection: Connection, statement: Select[Any], key: ColumnElement[Any], keys: IdArray
) -> Iterator[Sequence[Any]]:
    for chunk in chunks(keys.tolist()):
        rows = connection.execute(statement.where(key.in_(chunk))).all()
        if rows:
            yield rows


def _pairs(connection: Connection, statement: Select[Any]) -> tuple[IdArray, IdArray]:
    ids, owners = _numbers(connection, statement)
    return ids, owners


def _numbers(connection: Connection, statement: Select[Any]) -> list[IdArray]:
    """The columns of a statement that selects whole numbers."""
    rows = statement.subquery()
    joined = [func.aggregate_strings(cast(column, Text), ",") for column in rows.c]
    return [_parsed_numbers(text) for text in connection.execute(select(*joined)).one()]


def _parsed_numbers(text: str | None) -> IdArray:
    return np.fromstring(text, dtype=np.int64, sep=",") if text else np.empty(0, dtype=np.int64)
