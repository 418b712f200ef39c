"""One item with all that is stored of it, as somebody gave it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, select

from retrieval.catalogue.photo_queries import PhotoRow, photos_of_item
from retrieval.catalogue.queries import revision
from retrieval.catalogue.schema import items, sources, texts
from retrieval.catalogue.tag_queries import tags_of

_ITEM = (
    select(items.c.id, items.c.title, items.c.attributes, sources.c.kind)
    .join_from(items, sources)
    .where(items.c.item_id == bindparam("item_id"))
)
_TEXTS = select(texts.c.field, texts.c.content).where(texts.c.item == bindparam("item")).order_by(texts.c.id)


@dataclass(frozen=True)
class WholeItem:
    """texts: by field, without the title. attributes: the item's own. tags: labels that `catalens tag` gave, by field.

    source: the kind of source that wrote it last: `folder`, `table` or `program`. revision: of the collection.
    """

    item_id: str
    title: str
    texts: Mapping[str, str]
    attributes: Mapping[str, Any]
    tags: Mapping[str, list[str]]
    photos: list[PhotoRow]
    source: str
    revision: int


def whole_item(connection: Connection, item_id: str) -> WholeItem | None:
    """The item of that id; None if there is none."""
    row = connection.execute(_ITEM, {"item_id": item_id}).first()
    if row is None:
        return None
    fields = connection.execute(_TEXTS, {"item": row.id})
    return WholeItem(
        item_id,
        row.title,
        {field: content for field, content in fields if field != "title"},
        row.attributes,
        tags_of(connection, [row.id]).get(row.id, {}),
        photos_of_item(connection, row.id),
        row.kind,
        revision(connection),
    )
