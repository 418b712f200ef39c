"""From what a catalogue's cell says to the photo files it means, and no others."""

import json
import os
import re
import stat
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any

from indexer.sources.names import is_unicode
from indexer.sources.values import as_text
from retrieval.errors import SourceError
from retrieval.images import SUFFIXES

URL_REASON = "image URLs are not fetched; download the pictures and give --images-dir"
OUTSIDE_REASON = "lies outside the catalogue's folder; give the folder it lies in with --images-dir"
NOT_A_FILE_REASON = "not a file (a folder, a pipe or a device)"
NOT_A_PATH_REASON = "not the path of a photo"

_URL = re.compile(r"(?:[A-Za-z][A-Za-z0-9+.-]+:)?//|data:")
_SEPARATOR = re.compile(r"[|;\r\n]+")


class RefusedPhoto(SourceError):
    """A photo that a catalogue names but must not or cannot be read; the message is the reason."""


class PhotoFinder:
    """Finds the photos that a catalogue file names.

    A relative path is looked up in `images_dir`, then in the catalogue's folder, then in `images` beside the
    catalogue. Catalogues come from elsewhere, so only files inside the catalogue's folder or `images_dir` count,
    with `..` and links resolved: `../../etc/passwd` is refused.
    """

    def __init__(self, folder: Path, images_dir: Path | None) -> None:
        given = [os.path.abspath(images_dir)] if images_dir else []  # noqa: PTH100 (absolute() keeps `..`)
        beside = os.path.abspath(folder)  # noqa: PTH100
        self._bases = [*given, beside, os.path.join(beside, "images")]  # noqa: PTH118 (a Path per row is slow)
        self._lexical = [*given, beside]
        self._real = [os.path.realpath(base) for base in self._lexical]
        # Rows share few folders, so the links on the way are resolved once each and not once a row.
        self._folder_is_inside = lru_cache(maxsize=4096)(self._really_inside)

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

    def find(self, written: str) -> Path:
        """The absolute path of the photo; one that does not exist gets the first place where it was looked for.

        Raises RefusedPhoto.
        """
        if _URL.match(written):
            raise RefusedPhoto(URL_REASON)
        if "\0" in written or not is_unicode(written):
            raise RefusedPhoto(NOT_A_PATH_REASON)
        path = written.replace("\\", "/")
        for base in self._bases:
            place = _join(base, path)
            if self._is_allowed(place) and self._is_file(place):
                return Path(place)
        for base in self._lexical:  # and not in `images`, which is a guess
            place = _join(base, path)
            if self._is_allowed(place):
                return Path(place)
        raise RefusedPhoto(OUTSIDE_REASON)

    def _is_allowed(self, place: str) -> bool:
        return _inside(place, self._lexical) and self._folder_is_inside(os.path.dirname(place))  # noqa: PTH120

    def _really_inside(self, folder: str) -> bool:
        return _inside(os.path.realpath(folder), self._real)

    def _is_file(self, place: str) -> bool:
        try:
            mode = os.lstat(place).st_mode
            if stat.S_ISLNK(mode):
                if not _inside(os.path.realpath(place), self._real):
                    raise RefusedPhoto(OUTSIDE_REASON)
                mode = os.stat(place).st_mode  # noqa: PTH116
        except (OSError, ValueError):
            return False
        if not stat.S_ISREG(mode):
            raise RefusedPhoto(NOT_A_FILE_REASON)
        return True

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


def _join(base: str, path: str) -> str:
    return os.path.normpath(os.path.join(base, path))  # noqa: PTH118 (a Path per row is slow)


def _inside(place: str, folders: list[str]) -> bool:
    return any(place.startswith(folder.rstrip(os.sep) + os.sep) or place == folder for folder in folders)


def _looks_like_photo(name: str) -> bool:
    return PurePosixPath(name).suffix.lower() in SUFFIXES
