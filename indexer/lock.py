"""One writer per collection; the second one is told who holds it."""

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from indexer.durable import disk_errors
from retrieval.errors import CollectionLocked

LOCK = "writer.lock"
HOLDER = "writer.json"
# A server that writes items holds the lock for some hundredths of a second, again and again: no reason to give up.
PATIENCE = 1.0
POLL = 0.02


@contextmanager
def writer_lock(folder: Path) -> Iterator[None]:
    """Hold the collection's writer lock. The system frees it when the process dies, however it dies.

    Raises CollectionLocked, naming the holder, when another process goes on writing for a second; StorageError on a
    read-only disk.
    """
    lock = FileLock(folder / LOCK)
    with disk_errors(folder):
        try:
            lock.acquire(timeout=PATIENCE, poll_interval=POLL)
        except Timeout:  # caught first, because it is an OSError too
            raise CollectionLocked(
                f"{folder} is being written by {_holder(folder)}", hint="wait until it has finished, or stop it first"
            ) from None
    try:
        with disk_errors(folder):
            me = {
                "pid": os.getpid(),
                "host": socket.gethostname(),
                "since": datetime.now(UTC).isoformat("T", "seconds"),
            }
            (folder / HOLDER).write_text(json.dumps(me))
        yield
    finally:
        with suppress(OSError):  # on a disk that has become read-only the note stays; the lock must go all the same
            (folder / HOLDER).unlink()
        lock.release()


def _holder(folder: Path) -> str:
    try:
        holder = json.loads((folder / HOLDER).read_text())
        return f"process {holder['pid']} on {holder['host']} since {holder['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
