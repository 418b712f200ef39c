"""Labels that were stored for items, read as if they were attributes: a list of text for each field."""

from collections.abc import Collection as Names
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, select

from retrieval.catalogue.schema import item_tags

Tags = dict[int, dict[str, list[str]]]

_CHUNK = 500  # keys in one IN (...): SQLite takes 32,766, older builds 999
_MOST_CONFIDENT_FIRST = select(item_tags.c.item, item_tags.c.field, item_tags.c.label).order_by(
    item_tags.c.item, item_tags.c.field, item_tags.c.confidence.desc(), item_tags.c.label
)
_TAGS = _MOST_CONFIDENT_FIRST.where(item_tags.c.item.in_(bindparam("ids", expanding=True)))


def tags_of(connection: Connection, item_keys: Sequence[int]) -> Tags:
    """Labels of these items, by field, most confident first; items without any are missing."""
    found: Tags = {}
    for start in range(0, len(item_keys), _CHUNK):
        _gather(found, connection.execute(_TAGS, {"ids": item_keys[start : start + _CHUNK]}))
    return found


def tags_between(connection: Connection, first: int, last: int, fields: Names[str]) -> Tags:
    """Labels in these fields of the items with keys from `first` to `last`."""
    found: Tags = {}
    mine = item_tags.c.item.between(first, last) & item_tags.c.field.in_(list(fields))
    _gather(found, connection.execute(_MOST_CONFIDENT_FIRST.where(mine)))
    return found


def tag_fields(connection: Connection) -> list[str]:
    """Names of the fields that hold labels, in order."""
    return list(connection.execute(select(item_tags.c.field).distinct().order_by(item_tags.c.field)).scalars())


def _gather(found: Tags, rows: Iterable[Any]) -> None:
    for key, field, label in rows:
        found.setdefault(key, {}).setdefault(field, []).append(label)
