"""A folder of photos as a source: every photo is an item, its path the id, its file name the title."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from indexer.sources.base import Rejected, SourceItem
from indexer.sources.names import one_spelling, title_from_file_name
from retrieval.errors import SourceError
from retrieval.images import SUFFIXES
from retrieval.photo_paths import is_unicode


@dataclass(frozen=True)
class _Listing:
    """What one folder holds, in order of name; `refused` has the reasons for entries that cannot be used."""

    photos: list[str]
    folders: list[str]
    refused: list[Rejected]


class FolderSource:
    """All photos below a folder, in a stable order: a folder's own photos by name, then its subfolders by name.

    `item_id` is the path relative to the folder, with `/` and the suffix. Hidden files and folders (and so the
    collection, `.catalens`) and files without a photo's suffix are passed over; links to folders are not followed,
    because they may lead in a circle. Memory is bounded by the largest single folder and the depth.
    """

    kind = "folder"

    def __init__(self, path: Path) -> None:
        """Raises SourceError if the folder cannot be listed or holds nothing to report, at any depth."""
        self.location = one_spelling(path)
        try:
            os.scandir(self.location).close()
        except OSError as error:
            raise SourceError(
                f"cannot read the folder {path}: {error.strerror}", hint="check the folder's permissions"
            ) from error
        if next(self.items(), None) is None:
            raise SourceError(
                f"no photos in {path}",
                hint=f"give a folder that holds photos, at any depth ({', '.join(sorted(SUFFIXES))})",
            )

    def count(self) -> int:
        """Photos below the folder now; one pass over the names."""
        return sum(len(listing.photos) for _, listing in self._walk())

    def remarks(self) -> list[str]:
        """Nothing: in a folder there is nothing to guess."""
        return []

    def items(self) -> Iterator[SourceItem | Rejected]:
        for relative, listing in self._walk():
            yield from listing.refused
            for name in listing.photos:
                item_id = relative + name
                yield SourceItem(
                    item_id=item_id,
                    title=title_from_file_name(name),
                    photos=(self.location / item_id,),
                    where=item_id,
                )

    def _walk(self) -> Iterator[tuple[str, _Listing]]:
        """(relative path that ends in `/`, or empty; listing) of every folder, parents first."""
        waiting = [""]  # a stack of its own: folders may be nested deeper than Python's recursion limit
        while waiting:
            relative = waiting.pop()
            listing = _list(self.location / relative, relative)
            yield relative, listing
            waiting.extend(f"{relative}{name}/" for name in reversed(listing.folders))


def _list(folder: Path, relative: str) -> _Listing:
    listing = _Listing([], [], [])
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                _sort_in(entry, relative, listing)
    except OSError as error:
        listing.refused.append(
            Rejected(relative or str(folder), f"cannot list the folder: {error.strerror}", unreadable=True)
        )
    listing.photos.sort()
    listing.folders.sort()
    listing.refused.sort(key=lambda refused: refused.where)
    return listing


def _sort_in(entry: os.DirEntry[str], relative: str, listing: _Listing) -> None:
    name = entry.name
    if name.startswith("."):
        return
    try:
        is_folder, is_file = entry.is_dir(), entry.is_file()
    except OSError:  # a link in a circle
        is_folder = is_file = False
    if is_folder and entry.is_symlink():
        return
    if not is_folder and os.path.splitext(name)[1].lower() not in SUFFIXES:  # noqa: PTH122 (a Path per file is slow)
        return
    if not is_unicode(name):
        printable = os.fsencode(relative + name).decode("utf-8", "backslashreplace")
        listing.refused.append(Rejected(printable, "the name is not valid Unicode; rename it", unreadable=True))
    elif is_folder:
        listing.folders.append(name)
    elif is_file:
        listing.photos.append(name)
    else:  # opening a pipe would wait for ever
        listing.refused.append(Rejected(relative + name, "not a file (a broken link, a pipe or a device)"))
