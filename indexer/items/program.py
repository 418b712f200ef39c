"""The source that items put by programs belong to, and what follows a write when the collection has changed enough."""

from pathlib import Path

from sqlalchemy import insert, select

from indexer.calibration import calibration_due, recalibrate
from indexer.compaction import compact, compaction_due
from indexer.sources.base import PROGRAM_KIND
from indexer.writer import CollectionWriter, SourceRow, open_writer
from retrieval.catalogue.schema import sources
from retrieval.encoders.base import DualEncoder
from retrieval.index.ladder import EXACT_ROWS

# Its location, for `catalens status` and `catalens forget`: no path, which would be absolute.
PROGRAM = "program:items"


def program_source(writer: CollectionWriter) -> SourceRow:
    """The row of the source, made when a program puts its first item."""
    with writer.engine.begin() as connection:
        found = connection.execute(select(sources.c.id).where(sources.c.location == PROGRAM)).scalar()
        if found is None:
            row = {"kind": PROGRAM_KIND, "location": PROGRAM}
            found = connection.execute(insert(sources).returning(sources.c.id), row).scalar_one()
    return SourceRow(found, PROGRAM_KIND, PROGRAM)


def upkeep(folder: Path, encoder: DualEncoder, *, exact_rows: int = EXACT_ROWS) -> None:
    """Bring index files and calibrations up to date where it pays, as the end of an index run does.

    Raises CollectionLocked, StorageError, FingerprintMismatch.
    """
    with open_writer(folder, encoder.spec) as writer:
        keep_up(writer, encoder, exact_rows)


def keep_up(writer: CollectionWriter, encoder: DualEncoder, exact_rows: int) -> None:
    """The same with the collection open already."""
    compact(writer.folder, writer.engine, lambda *_: None, exact_rows=exact_rows)
    recalibrate(writer.folder, writer.engine, encoder)


def upkeep_due(writer: CollectionWriter) -> bool:
    """Would `keep_up` make anything? Costs a few small queries."""
    with writer.engine.connect() as connection:
        return compaction_due(connection) or calibration_due(connection)
