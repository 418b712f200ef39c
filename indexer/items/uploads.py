"""Photos that came as bytes, kept in the collection's folder by the SHA-256 of their bytes.

A file is there, flushed to the disk, before the transaction that names it, and goes after the one that drops it. What
a crash between the two leaves behind is found by the next write to the same one of 256 folders, and by `sweep_uploads`.
Everything here runs with the writer's lock held.
"""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from sqlalchemy import Connection, Engine, select

from indexer.durable import disk_errors, make_folder, publish
from indexer.sources.names import one_spelling
from retrieval.catalogue.queries import chunks
from retrieval.catalogue.schema import photos

UPLOADS = "uploads"


def upload_path(folder: Path, content_hash: str) -> Path:
    """Where the bytes with this hex SHA-256 lie: no part of the name is the client's."""
    return one_spelling(folder) / UPLOADS / content_hash[:2] / content_hash


def keep_uploads(folder: Path, uploads: Mapping[str, bytes]) -> None:
    """Write the bytes, by their hash, that are not there yet. Raises StorageError."""
    for content_hash, data in uploads.items():
        place = upload_path(folder, content_hash)
        with disk_errors(place):
            if place.is_file() and place.stat().st_size == len(data):
                continue
            make_folder(place.parent.parent)
            make_folder(place.parent)
            temporary = place.with_name(f"{place.name}.tmp-{os.getpid()}")
            temporary.write_bytes(data)
        publish(temporary, place)


def sweep_uploads(folder: Path, engine: Engine, places: Iterable[str] | None = None) -> int:
    """Delete the kept files that no photo shows any more; of the folders of these paths, or of all of them.

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


def _sweep(connection: Connection, shard: Path) -> int:
    names = sorted(path.name for path in shard.iterdir())
    shown: set[str] = set()
    for chunk in chunks(names):
        rows = connection.execute(select(photos.c.path).where(photos.c.content_hash.in_(chunk)).distinct())
        shown.update(rows.scalars())
    unseen = [shard / name for name in names if str(shard / name) not in shown]
    for path in unseen:
        path.unlink()
    return len(unseen)
