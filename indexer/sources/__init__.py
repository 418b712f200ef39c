"""Where items come from: a folder of photos, or a catalogue file."""

import os
from collections.abc import Callable
from pathlib import Path

from indexer.sources.base import Rejected, Source, SourceItem
from indexer.sources.delimited import DelimitedReader
from indexer.sources.folder import FolderSource
from indexer.sources.json_lines import JsonLinesReader
from indexer.sources.names import one_spelling
from indexer.sources.parquet import ParquetReader
from indexer.sources.rows import RowReader, unreadable
from indexer.sources.table import TableSource
from retrieval.errors import SourceError
from retrieval.images import SUFFIXES
from retrieval.photo_paths import is_unicode

__all__ = ["Rejected", "Source", "SourceItem", "open_source"]

_READERS: dict[str, Callable[[Path], RowReader]] = {
    ".csv": DelimitedReader,
    ".tsv": DelimitedReader,
    ".txt": DelimitedReader,
    ".jsonl": JsonLinesReader,
    ".ndjson": JsonLinesReader,
    ".parquet": ParquetReader,
}
_SUPPORTED = "a folder of photos, or a catalogue as CSV, TSV, JSON lines or Parquet"


def open_source(
    path: Path,
    *,
    images_dir: Path | None = None,
    id_column: str | None = None,
    image_column: str | None = None,
    title_column: str | None = None,
) -> Source:
    """The source for what the path is: a folder, or a catalogue file of the kind its suffix says.

    path: a folder, `.csv`, `.tsv`, `.txt`, `.jsonl`, `.ndjson` or `.parquet`.
    images_dir: where a catalogue's relative photo paths start, if not at the catalogue.
    id_column, image_column, title_column: headers to use in place of the guess.

    Raises SourceError if the path is missing, empty, unreadable or of another kind, is not UTF-8, or lacks a column.
    """
    for given in filter(None, (path, images_dir)):
        _require_utf8(one_spelling(given))
    try:
        is_folder, exists, is_file = path.is_dir(), path.exists(), path.is_file()
    except OSError as error:  # a name that is too long, a folder on the way that may not be entered
        raise unreadable(path, error) from error
    if is_folder:
        if images_dir or id_column or image_column or title_column:
            raise SourceError(
                f"{path} is a folder: --images-dir and the --…-column flags are for catalogue files",
                hint="leave them out, or give the catalogue file",
            )
        return FolderSource(path)
    if not exists:
        raise SourceError(f"there is nothing at {path}", hint=f"give {_SUPPORTED}")
    suffix = path.suffix.lower()
    if suffix in SUFFIXES:
        raise SourceError(f"{path} is a single photo", hint=f"index its folder: {path.parent}")
    if suffix not in _READERS or not is_file:
        raise SourceError(f"{path} is not a kind of catalogue that can be read", hint=f"give {_SUPPORTED}")
    if images_dir and not images_dir.is_dir():
        raise SourceError(f"--images-dir {images_dir} is not a folder", hint="give the folder that holds the photos")
    return TableSource(
        path,
        _READERS[suffix](path),
        images_dir=images_dir,
        id_column=id_column,
        image_column=image_column,
        title_column=title_column,
    )


def _require_utf8(place: Path) -> None:
    """All photos below it would have paths that the database cannot hold."""
    if not is_unicode(str(place)):
        printable = os.fsencode(place).decode("utf-8", "backslashreplace")
        raise SourceError(
            f"the path {printable} has bytes that are not UTF-8", hint="rename the folder or file with that name"
        )
