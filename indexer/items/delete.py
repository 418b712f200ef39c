"""Items deleted by a program, whatever they came from."""

from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import Connection, delete, select

from indexer.changes import Changes, owned_by
from indexer.compaction import compact
from indexer.items.outcome import ItemOutcome, Written
from indexer.items.program import upkeep_due
from indexer.items.uploads import uploads_around
from indexer.writer import CollectionWriter, open_existing
from retrieval.catalogue import queries
from retrieval.catalogue.queries import chunks
from retrieval.catalogue.schema import items, ledger, photos, texts
from retrieval.index.ladder import EXACT_ROWS
from retrieval.photo_paths import is_unicode


def delete_items(
    folder: Path, item_ids: Sequence[str], *, exact_rows: int = EXACT_ROWS, with_upkeep: bool = True
) -> Written:
    """Delete the items of these ids in one transaction; the next search does not find them.

    The outcomes are `deleted`, and `not_found` for an id that no item has. A file that names the item gives it back
    with its next index run. with_upkeep: then make the index anew where that pays.
    Raises CollectionNotFound, CollectionLocked, StorageError, CollectionDamaged.
    """
    with open_existing(folder) as writer:
        found = _delete(writer, sorted(filter(is_unicode, set(item_ids))))
        due = bool(found) and upkeep_due(writer)
        if due and with_upkeep:
            compact(folder, writer.engine, lambda *_: None, exact_rows=exact_rows)
        with writer.engine.connect() as connection:
            revision = queries.revision(connection)
    outcomes = (ItemOutcome(item_id, "deleted" if item_id in found else "not_found") for item_id in item_ids)
    return Written(tuple(outcomes), revision, due and not with_upkeep)


def _delete(writer: CollectionWriter, item_ids: Sequence[str]) -> set[str]:
    """Returns the ids of the items that were there."""
    with writer.engine.connect() as connection:
        keys = _keys(connection, item_ids)
        paths = _paths(connection, list(keys.values()))
    if not keys:
        return set()
    owners = list(keys.values())
    with uploads_around(writer.folder, writer.engine, {}, paths), writer.engine.begin() as connection:
        changes = Changes(connection, source_id=0, encoder_id=writer.encoder_id)
        changes.remove("image", owned_by(connection, photos, owners))
        changes.remove("text", owned_by(connection, texts, owners))
        changes.remove_items(owners)
        for chunk in chunks(list(keys)):
            connection.execute(delete(ledger).where(ledger.c.item_id.in_(chunk)))
        changes.write()
    return set(keys)


def _keys(connection: Connection, item_ids: Sequence[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for chunk in chunks(item_ids):
        rows = connection.execute(select(items.c.item_id, items.c.id).where(items.c.item_id.in_(chunk)))
        found.update((row.item_id, row.id) for row in rows)
    return found


def _paths(connection: Connection, owners: Sequence[int]) -> list[str]:
    found: list[str] = []
    for chunk in chunks(owners):
        found.extend(connection.execute(select(photos.c.path).where(photos.c.item.in_(chunk))).scalars())
    return found
