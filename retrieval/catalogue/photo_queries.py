"""The photos of one item, as the catalogue has them."""

from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, select

from retrieval.catalogue.schema import photos

_OF_ITEM = (
    select(photos.c.id, photos.c.path, photos.c.content_hash, photos.c.width, photos.c.height)
    .where(photos.c.item == bindparam("item"))
    .order_by(photos.c.position, photos.c.id)
)


@dataclass(frozen=True)
class PhotoRow:
    """One photo of an item.

    id: never used twice, and what it shows never changes. path: where its file lay when it was indexed. content_hash:
    hex SHA-256 of the file's bytes. width, height: in pixels, upright.
    """

    id: int
    path: str
    content_hash: str
    width: int
    height: int


def photos_of_item(connection: Connection, item_key: int) -> list[PhotoRow]:
    """An item's photos, the first first."""
    return [PhotoRow(*row) for row in connection.execute(_OF_ITEM, {"item": item_key})]
