"""Writing to a disk so that it is really there, and saying plainly when the disk refuses."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from retrieval.errors import StorageError


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn an OSError about `path` into a StorageError with the next step."""
    try:
        yield
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise StorageError(
            f"cannot write to {path}: {reason}",
            hint="check that the disk has space and is writable, or name another place with --collection",
        ) from error


def publish(temporary: Path, final: Path) -> None:
    """Move a finished file to its name so that after a power cut it is there whole or not at all."""
    with disk_errors(final):
        _flush(temporary)
        temporary.replace(final)
        _flush(final.parent)


def make_folder(path: Path) -> None:
    """Make a folder, if it is not there, so that it is still there after a power cut; its parent exists."""
    with disk_errors(path):
        if not path.is_dir():
            path.mkdir(exist_ok=True)
            _flush(path.parent)


def make_file(path: Path) -> None:
    """Make an empty file, if it is not there, so that it is still there after a power cut."""
    with disk_errors(path):
        path.touch()
        _flush(path.parent)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
