"""From what a catalogue's cell says to the photo files it means, and no others."""

import json
import re
from pathlib import PurePosixPath
from typing import Any

from indexer.sources.values import PHOTO_SEPARATORS, as_text
from retrieval.images import SUFFIXES
from retrieval.photo_paths import (
    NOT_A_FILE_REASON,
    NOT_A_PATH_REASON,
    OUTSIDE_REASON,
    URL_REASON,
    PhotoPaths,
    RefusedPhoto,
)

__all__ = [
    "NOT_A_FILE_REASON",
    "NOT_A_PATH_REASON",
    "OUTSIDE_REASON",
    "URL_REASON",
    "PhotoFinder",
    "RefusedPhoto",
]

_SEPARATOR = re.compile(f"[{PHOTO_SEPARATORS}]+")


class PhotoFinder(PhotoPaths):
    """PhotoPaths that also knows how a cell names photos."""

    def names(self, cell: Any) -> list[str]:
        """The photos that a cell names, as written: one, several with `|`, `;` or line ends between, or a list.

        A JSON list in a text cell is a list too. Commas separate only if every part looks like a photo.
        """
        if isinstance(cell, list):
            return [name for part in cell if (name := as_text(part))]
        text = as_text(cell)
        if text.startswith("["):
            try:
                return self.names(list(json.loads(text)))
            except (ValueError, RecursionError):
                pass
        if text.startswith("data:"):
            return [text]
        if _SEPARATOR.search(text) and not self._is_one_file(text):
            return [name for part in _SEPARATOR.split(text) for name in self._between_commas(part)]
        return self._between_commas(text)

    def _is_one_file(self, text: str) -> bool:
        try:
            return self.find(text).is_file()
        except (RefusedPhoto, OSError, ValueError):
            return False

    def _between_commas(self, text: str) -> list[str]:
        parts = [part.strip() for part in text.split(",")]
        if len(parts) > 1 and all(map(_looks_like_photo, parts)) and not self._is_one_file(text):
            return parts
        return [text.strip()] if text.strip() else []


def _looks_like_photo(name: str) -> bool:
    return PurePosixPath(name).suffix.lower() in SUFFIXES
