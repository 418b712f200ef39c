"""The photos of items, found by id."""

from typing import TYPE_CHECKING

from api.http.errors import NotFound
from retrieval.catalogue.photo_queries import PhotoRow
from retrieval.errors import ImageError, QueryError

if TYPE_CHECKING:
    from api.http.server import Served


def item_key(served: "Served", item_id: str) -> int:
    """The key of an item. Raises NotFound, with ids that look like it."""
    try:
        return served.searcher.collection.item_key(item_id)
    except QueryError as error:
        raise NotFound(f"there is no item '{item_id[:200]}'", hint=error.hint, field="item_id") from error


def photo_of(served: "Served", item_id: str, photo_id: int | None) -> PhotoRow:
    """One of an item's photos, by its id, or the first. Raises NotFound."""
    photos = served.searcher.collection.item_photos(item_key(served, item_id))
    if not photos:
        raise NotFound(f"the item '{item_id[:200]}' has no photo", hint="show its title", field="item_id")
    found = next((photo for photo in photos if photo_id in (None, photo.id)), None)
    if found is None:
        raise NotFound(
            f"the item '{item_id[:200]}' has no photo {photo_id}",
            hint="leave photo out for the first, or ask for the item: it lists its photos",
            field="photo",
        )
    return found


def gone(item_id: str, error: ImageError) -> NotFound:
    """What to answer for a photo that the catalogue has and the disk has not."""
    return NotFound(
        f"a photo of the item '{item_id[:200]}' cannot be shown: {error}",
        hint="run catalens index, which notices what changed on disk",
        field="photo",
    )
