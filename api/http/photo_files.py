"""Photos read from disk, and only as they were indexed."""

import hashlib
from pathlib import Path

from retrieval.catalogue.photo_queries import PhotoRow
from retrieval.errors import ImageError
from retrieval.images import MAX_PIXELS, Picture, decode, read_file


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
