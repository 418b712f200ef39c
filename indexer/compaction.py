"""Makes a new index generation when the rows that no generation covers have grown."""

import os
from contextlib import suppress
from pathlib import Path

from sqlalchemy import Connection, Engine, delete, func, insert, select

from indexer.changes import write_counters
from indexer.durable import disk_errors, publish
from indexer.index_build import OnRows, StoredRows, build_index
from retrieval.catalogue import queries
from retrieval.catalogue.queries import MODALITIES, Generation, Modality
from retrieval.catalogue.schema import encoders, generations, tombstones
from retrieval.index.generations import INDEX_FOLDER, load_verified, sha256_of
from retrieval.index.ladder import EXACT_ROWS

# Searching 1,000 rows exactly takes under a millisecond at 512 dimensions; a tenth of the base keeps the amortised
# cost of rebuilding at ten writes a row.
MIN_DELTA = 1_000
DELTA_SHARE = 0.1
KEPT = 2


def compact(
    folder: Path, engine: Engine, on_rows: OnRows, *, exact_rows: int = EXACT_ROWS, force: bool = False
) -> list[str]:
    """Bring the index files up to date where it pays, or always with `force`. Returns the new files' names.

    on_rows(done, total) is told how far the building is. A crash at any moment leaves the old generations in force.
    """
    with disk_errors(folder):
        (folder / INDEX_FOLDER).mkdir(exist_ok=True)
    _sweep(folder, engine)  # first, because what a run on a full disk left behind is what the disk is full of
    made = []
    for modality in MODALITIES:
        with engine.connect() as connection:
            kept = queries.kept_generations(connection, modality)
            due = force or _is_due(connection, folder, modality, kept)
        if due:
            made.append(_build(folder, engine, modality, exact_rows, on_rows))
    _sweep(folder, engine)
    return made


def compaction_due(connection: Connection) -> bool:
    """Would `compact` build anything? Without a look at the files, whose hashes take a tenth of a second at 100 MB."""
    return any(_has_grown(connection, one, queries.kept_generations(connection, one)) for one in MODALITIES)


def _is_due(connection: Connection, folder: Path, modality: Modality, kept: list[Generation]) -> bool:
    grown = _has_grown(connection, modality, kept)
    return grown or (bool(kept) and load_verified(folder, kept[0]) is None)


def _has_grown(connection: Connection, modality: Modality, kept: list[Generation]) -> bool:
    if not kept:
        return queries.rows_after(connection, modality, 0) > 0
    newest = kept[0]
    newer = queries.rows_after(connection, modality, newest.max_owner_id)
    deleted = len(queries.tombstones_after(connection, modality, newest.revision))
    return newer + deleted > max(MIN_DELTA, DELTA_SHARE * newest.rows)


def _build(folder: Path, engine: Engine, modality: Modality, exact_rows: int, on_rows: OnRows) -> str:
    with engine.connect() as connection:
        encoder_id, dimension = connection.execute(select(encoders.c.id, encoders.c.dimension)).one()
        revision = queries.revision(connection)
        built = build_index(StoredRows(connection, modality, dimension), exact_rows, on_rows)

    with engine.begin() as connection:
        number = int(connection.execute(select(func.max(generations.c.id))).scalar() or 0) + 1
        name = f"{modality}-{number:06d}.faiss"
        temporary = folder / INDEX_FOLDER / f"{name}.tmp-{os.getpid()}"
        try:
            built.index.save(temporary)
            digest = sha256_of(temporary)
            publish(temporary, folder / INDEX_FOLDER / name)
        except BaseException:
            with suppress(OSError):
                temporary.unlink()
            raise
        row = {
            "id": number,
            "modality": modality,
            "encoder_id": encoder_id,
            "file": name,
            "sha256": digest,
            "kind": built.kind,
            "rows": len(built.index),
            "max_owner_id": built.last_owner_id,
            "revision": revision,
            "nprobe": built.nprobe,
            "recall": built.recall,
            "code_error": built.code_error,
            "reach": built.reach,
        }
        connection.execute(insert(generations), row)
        forgotten = _forget_old(connection, modality)
        # Readers look again.
        write_counters(connection, {"revision": queries.revision(connection) + 1, "forgotten": forgotten})
    return name


def _forget_old(connection: Connection, modality: Modality) -> int:
    """Drop all but the newest generations, and the tombstones that none of them needs.

    Returns the last revision of which tombstones may be missing now. Those of items, which no generation needs, go
    with the others: a reader that looked since then has seen them, any other loads its items anew.
    """
    kept = queries.kept_generations(connection, modality)[:KEPT]
    mine = generations.c.modality == modality
    connection.execute(delete(generations).where(mine, generations.c.id < kept[-1].id))
    oldest = min(generation.revision for generation in kept)
    of_these = tombstones.c.modality.in_([modality, "item"])
    connection.execute(delete(tombstones).where(of_these, tombstones.c.revision <= oldest))
    return max(oldest, queries.counter(connection, "forgotten"))


def _sweep(folder: Path, engine: Engine) -> None:
    """Delete index files that no row names: leftovers of crashes and of generations that were dropped."""
    with engine.connect() as connection:
        named = set(connection.execute(select(generations.c.file)).scalars())
    with disk_errors(folder):
        for path in (folder / INDEX_FOLDER).iterdir():
            if path.name not in named and ".faiss" in path.name:
                path.unlink()
