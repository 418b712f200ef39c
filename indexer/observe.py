"""Looks at the files a source names: which are there, and what their bytes are where that is not known yet."""

import hashlib
import os
import stat
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from pathlib import Path

from indexer.sources.base import SourceItem
from indexer.state import FileStamp, KnownFile, ObservedItem, ObservedPhoto, given_up
from retrieval.images import MAX_BYTES

NOT_FOUND = "file not found"


def observe(
    items: Sequence[SourceItem], files: Mapping[tuple[str, str], KnownFile], pool: Executor
) -> list[ObservedItem]:
    """The items with the state of their files. A file whose stamp is the stored one is not read."""
    named = [[(item.item_id, path) for path in dict.fromkeys(item.photos)] for item in items]
    flat = [(path, files.get((item_id, str(path)))) for photos in named for item_id, path in photos]
    seen = iter(_judged_gone(list(pool.map(lambda pair: observe_photo(*pair), flat))))
    return [
        ObservedItem(
            item,
            tuple(next(seen) for _ in photos)
            + tuple(ObservedPhoto(path, problem=reason) for path, reason in dict(item.problems).items()),
        )
        for item, photos in zip(items, named, strict=True)
    ]


def observe_photo(path: Path, entry: KnownFile | None = None) -> ObservedPhoto:
    """The state of one file. entry: what the ledger says of it; a file whose stamp is that one's is not read."""
    name = str(path)
    try:
        status = path.stat()
        stamp = FileStamp(status.st_size, status.st_mtime_ns, status.st_ctime_ns)
        if not stat.S_ISREG(status.st_mode):
            return ObservedPhoto(name, problem="not a file")
        if stamp.size > MAX_BYTES:
            return ObservedPhoto(name, stamp, problem=f"larger than {MAX_BYTES >> 20} MB")
        if entry is not None and entry.stamp == stamp and (entry.state == "done" or given_up(entry, stamp)):
            return ObservedPhoto(name, stamp)
        with path.open("rb") as file:
            return ObservedPhoto(name, stamp, hashlib.file_digest(file, "sha256").hexdigest())
    except FileNotFoundError:
        return ObservedPhoto(name, problem=NOT_FOUND, gone=_has_files(path.parent))
    except (OSError, ValueError) as error:
        reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
        return ObservedPhoto(name, problem=f"cannot be read: {reason}")


def _judged_gone(seen: list[ObservedPhoto]) -> list[ObservedPhoto]:
    """With a folder for each product its last photo leaves an empty folder, or none: then look at the folders beside.

    A missing photo is gone too if others of the same chunk are there two levels above it.
    """
    alive = {Path(photo.path).parent.parent for photo in seen if photo.problem is None}
    return [
        replace(photo, gone=True) if photo.problem == NOT_FOUND and Path(photo.path).parent.parent in alive else photo
        for photo in seen
    ]


def _has_files(folder: Path) -> bool:
    try:
        with os.scandir(folder) as entries:
            return next(entries, None) is not None
    except OSError:
        return False
