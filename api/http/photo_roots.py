"""Photos that a request names by path: only inside the folders that the server was started with."""

import os
from collections.abc import Sequence
from pathlib import Path

from retrieval.photo_paths import NOT_A_FILE_REASON, NOT_A_PATH_REASON, URL_REASON, PhotoPaths, RefusedPhoto

_OFF = "photos by path are off; send their bytes, or start the server with --image-root"
_OUTSIDE = "lies in no folder that this server takes photos from"


class PhotoRoots:
    """Finds files below some folders, with `..` and links resolved."""

    def __init__(self, roots: Sequence[Path]) -> None:
        self._places = [PhotoPaths(root, None) for root in roots]

    def find(self, written: str) -> Path:
        """The absolute path of a photo; a relative one is looked up in each folder. It need not exist.

        Raises RefusedPhoto, with a reason that tells nothing of what lies outside.
        """
        if not self._places:
            raise RefusedPhoto(_OFF)
        inside: Path | None = None
        for place in self._places:
            try:
                found = place.find(written)
            except RefusedPhoto as refused:
                if str(refused) in (NOT_A_FILE_REASON, NOT_A_PATH_REASON):
                    raise
                if str(refused) == URL_REASON:
                    raise RefusedPhoto("image URLs are not fetched; send the picture's bytes") from None
                continue
            if os.path.isfile(found):  # noqa: PTH113 (Path raises for a name that is too long)
                return found
            inside = inside or found
        if inside is None:
            raise RefusedPhoto(_OUTSIDE)
        return inside
