"""The photos of items, found by id and read from disk, and only as they were indexed."""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from api.http.errors import NotFound
from retrieval.catalogue.photo_queries import PhotoRow
from retrieval.errors import ImageError, QueryError
from retrieval.images import MAX_PIXELS, Picture, decode, read_file

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


def picture_of(photo: PhotoRow, target: int) -> Picture:
    """An indexed photo, decoded to at least `target` pixels a side where it has as many.

    Raises ImageError for a file that is gone, cannot be read, or is not the one that was indexed: what is shown is
    what was searched, even if somebody laid another file in its place.
    """
    data = read_file(Path(photo.path))
    if hashlib.sha256(data).hexdigest() != photo.content_hash:
        raise ImageError("it was changed since it was indexed")
    # These very bytes were decoded before, so whoever indexed them has allowed their size.
    return decode(data, target=target, max_pixels=max(MAX_PIXELS, photo.width * photo.height))


def gone(item_id: str, error: ImageError) -> NotFound:
    """What to answer for a photo that the catalogue has and the disk has not."""
    return NotFound(
        f"a photo of the item '{item_id[:200]}' cannot be shown: {error}",
        hint="run catalens index, which notices what changed on disk",
        field="photo",
    )
