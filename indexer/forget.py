"""Takes a source out of a collection, with all that came from it."""

from pathlib import Path

from sqlalchemy import select

from indexer.compaction import compact
from indexer.items.program import PROGRAM
from indexer.items.uploads import sweep_uploads
from indexer.sources.names import one_spelling
from indexer.writer import SourceRow, open_existing
from retrieval.catalogue.schema import sources
from retrieval.errors import SourceError


def forget(folder: Path, location: Path) -> int:
    """Remove the source at `location`, which need not exist any more, from the collection in `folder`.

    The location of what programs put is `program:items`.

    Returns how many stored photos went, items without a photo counted as one. Raises SourceError, naming the sources
    there are, when the collection has none of that name; CollectionNotFound, CollectionLocked, StorageError.
    """
    with open_existing(folder) as writer:
        with writer.engine.connect() as connection:
            known = {
                row.location: SourceRow(row.id, row.kind, row.location) for row in connection.execute(select(sources))
            }
        # What programs put has a source that is no path.
        source = known.get(PROGRAM if str(location) == PROGRAM else str(one_spelling(location)))
        if source is None:
            raise SourceError(f"{folder} has no source {location}", hint=f"it has: {', '.join(known) or 'none at all'}")
        removed = writer.forget(source)
        sweep_uploads(folder, writer.engine)
        compact(folder, writer.engine, lambda *_: None)
    return removed
