"""Which file a photo's written name means, and no file outside the folders it may lie in."""

import os
import re
import stat
from functools import lru_cache
from pathlib import Path

URL_REASON = "image URLs are not fetched; download the pictures and give --images-dir"
OUTSIDE_REASON = "lies outside the catalogue's folder; give the folder it lies in with --images-dir"
NOT_A_FILE_REASON = "not a file (a folder, a pipe or a device)"
NOT_A_PATH_REASON = "not the path of a photo"

_URL = re.compile(r"(?:[A-Za-z][A-Za-z0-9+.-]+:)?//|data:")

UPLOADS = "uploads"
_UPLOAD = re.compile(rf".*/{UPLOADS}/([0-9a-f]{{2}})/(\1[0-9a-f]{{62}})", re.DOTALL)


class RefusedPhoto(Exception):
    """A photo that a file names but that must not or cannot be read; the message is the reason."""


class PhotoPaths:
    """Finds the photos that a catalogue or a benchmark's caption file names.

    A relative path is looked up in `images_dir`, then in the folder of the file, then in `images` beside the file.
    Such files come from elsewhere, so only photos inside that folder or `images_dir` count, with `..` and links
    resolved: `../../etc/passwd` is refused.
    """

    def __init__(self, folder: Path, images_dir: Path | None) -> None:
        given = [os.path.abspath(images_dir)] if images_dir else []  # noqa: PTH100 (absolute() keeps `..`)
        beside = os.path.abspath(folder)  # noqa: PTH100
        self._bases = [*given, beside, os.path.join(beside, "images")]  # noqa: PTH118 (a Path per row is slow)
        self._lexical = [*given, beside]
        self._real = [os.path.realpath(base) for base in self._lexical]
        # Rows share few folders, so the links on the way are resolved once each and not once a row.
        self._folder_is_inside = lru_cache(maxsize=4096)(self._really_inside)

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


def upload_place(folder: Path, content_hash: str) -> Path:
    """Where a collection keeps the bytes of this hex SHA-256 that a program gave it. folder: absolute."""
    return folder / UPLOADS / content_hash[:2] / content_hash


def found_here(folder: str, path: str) -> str:
    """The path of a photo as stored; of one that the collection keeps itself, where it lies in `folder` now.

    A collection that was moved or copied takes the photos along that programs gave it.
    """
    kept = _UPLOAD.fullmatch(path)
    return path if kept is None else f"{folder}/{UPLOADS}/{kept[1]}/{kept[2]}"


def is_unicode(name: str) -> bool:
    """False for a name whose bytes are not UTF-8: Python holds them as lone surrogates, which no database takes."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _join(base: str, path: str) -> str:
    return os.path.normpath(os.path.join(base, path))  # noqa: PTH118 (a Path per row is slow)


def _inside(place: str, folders: list[str]) -> bool:
    return any(place.startswith(folder.rstrip(os.sep) + os.sep) or place == folder for folder in folders)
