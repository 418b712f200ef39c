"""Photos that came as bytes, kept in the collection's folder by the SHA-256 of their bytes.

A file is there, flushed to the disk, before the transaction that names it, and goes after the one that drops it. A mark
stands in the folder meanwhile: where one was left behind, by a crash or a full disk, the next write looks at all files.
Everything here runs with the writer's lock held.
"""

import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, Engine, select

from indexer.durable import disk_errors, make_file, make_folder, publish
from indexer.sources.names import one_spelling
from retrieval.catalogue.queries import chunks
from retrieval.catalogue.schema import photos
from retrieval.photo_paths import UPLOADS, found_here, upload_place

MARK = "changing"


def upload_path(folder: Path, content_hash: str) -> Path:
    """Where the bytes with this hex SHA-256 lie: no part of the name is the client's."""
    return upload_place(one_spelling(folder), content_hash)


@contextmanager
def uploads_around(
    folder: Path, engine: Engine, uploads: Mapping[str, bytes], dropped: Collection[str]
) -> Iterator[None]:
    """Around a transaction: the bytes, by their hash, are kept before it; after it, what nobody shows is deleted.

    dropped: paths of photos that the transaction takes away from an item, of uploads and of other photos.
    Raises StorageError.
    """
    home = one_spelling(folder)
    root = home / UPLOADS
    dropped = [found_here(str(home), path) for path in dropped]
    if not uploads and not any(Path(path).is_relative_to(root) for path in dropped):
        yield
        return
    mark = root / MARK
    make_folder(root)
    with disk_errors(mark):
        left_behind = mark.exists()
    make_file(mark)
    for content_hash, data in uploads.items():
        _keep(upload_path(folder, content_hash), data)
    yield
    sweep_uploads(folder, engine, None if left_behind else dropped)
    with disk_errors(mark):
        mark.unlink()


def sweep_uploads(folder: Path, engine: Engine, places: Collection[str] | None = None) -> int:
    """Delete the kept files that no photo shows any more: beside these paths, or all of them.

    Returns how many went. Raises StorageError.
    """
    root = one_spelling(folder) / UPLOADS
    with disk_errors(root):
        if not root.is_dir():
            return 0
        shards = {Path(place).parent for place in places} if places is not None else set(root.iterdir())
        mine = sorted(shard for shard in shards if shard.parent == root and shard.is_dir())
        with engine.connect() as connection:
            return sum(_sweep(connection, shard) for shard in mine)


def _keep(place: Path, data: bytes) -> None:
    with disk_errors(place):
        if place.is_file() and place.stat().st_size == len(data):
            return
        make_folder(place.parent)
        temporary = place.with_name(f"{place.name}.tmp-{os.getpid()}")
        temporary.write_bytes(data)
    publish(temporary, place)


def _sweep(connection: Connection, shard: Path) -> int:
    names = sorted(path.name for path in shard.iterdir())
    shown: set[str] = set()
    for chunk in chunks(names):
        rows = connection.execute(select(photos.c.path).where(photos.c.content_hash.in_(chunk)).distinct())
        # Compared by where they lie now: a collection that was moved still names the old place.
        shown.update(found_here(str(shard.parent.parent), path) for path in rows.scalars())
    unseen = [shard / name for name in names if str(shard / name) not in shown]
    for path in unseen:
        path.unlink()
    return len(unseen)
