"""Makes a collection's calibrations at the end of an index run, when there are none or its rows have changed."""

import hashlib
from pathlib import Path

import numpy as np
import numpy.typing as npt
from sqlalchemy import Connection, Engine, delete, insert, select

from indexer.changes import write_counters
from retrieval.arrays import FloatArray, IdArray
from retrieval.catalogue import queries
from retrieval.catalogue.queries import MODALITIES, STORED_DTYPE, Modality
from retrieval.catalogue.schema import calibrations, encoders, null_queries
from retrieval.confidence.calibration import calibrate
from retrieval.confidence.nulls import KINDS, NullQueries, null_queries_of
from retrieval.confidence.stored import read_calibrations
from retrieval.encoders.base import DualEncoder
from retrieval.index.view import VectorView

CHANGED_SHARE = 0.1  # of the rows: below, the best scores of 256 queries move by less than their quantiles are known
BLOCK = 64  # queries searched at once: more hold more scores than they save time


def recalibrate(folder: Path, engine: Engine, encoder: DualEncoder) -> list[Modality]:
    """Bring the calibrations up to date where it pays. Returns the modalities that got new ones.

    Each null query is searched once, so it costs what 568 searches cost; the queries are encoded once per encoder
    and kept in the cache folder. All is written in one transaction, with a new revision, so that readers look again.
    """
    with engine.connect() as connection:
        due = [modality for modality in MODALITIES if _is_due(connection, modality)]
        if not due:
            return []
        encoder_id = connection.execute(select(encoders.c.id)).scalar_one()
        views = {modality: VectorView.load(connection, folder, modality, encoder.spec.dimension) for modality in due}
        revision = queries.revision(connection) + 1
        nulls = null_queries_of(encoder)
        rows = [
            {
                "modality": modality,
                "kind": kind,
                "encoder_id": encoder_id,
                "revision": revision,
                "rows": len(view),
                "max_owner_id": view.last_owner_id,
                "parameters": calibrate(nulls.of(kind), _best(connection, view, nulls.of(kind))).to_json(),
            }
            for modality, view in views.items()
            if len(view)
            for kind in KINDS
        ]
    with engine.begin() as connection:
        connection.execute(delete(calibrations).where(calibrations.c.modality.in_(due)))
        if rows:
            _store_nulls(connection, nulls, encoder_id)
            connection.execute(insert(calibrations), rows)
        write_counters(connection, {"revision": revision})
    return due


def calibration_due(connection: Connection) -> bool:
    """Have the rows changed so that `recalibrate` would make anything? Calibrations are not read: that takes 4 ms."""
    return any(_has_changed(connection, modality) for modality in MODALITIES)


def _is_due(connection: Connection, modality: Modality) -> bool:
    if _has_changed(connection, modality):
        return True
    if not queries.rows_after(connection, modality, 0):
        return False
    encoder = queries.encoder_row(connection)
    held = read_calibrations(connection, encoder.dimension) if encoder else {}
    return not {(modality, kind) for kind in KINDS} <= held.keys()  # damaged, or of another release


def _has_changed(connection: Connection, modality: Modality) -> bool:
    now = queries.rows_after(connection, modality, 0)
    made = connection.execute(
        select(calibrations.c.rows, calibrations.c.max_owner_id).where(calibrations.c.modality == modality)
    ).all()
    if not made:
        return now > 0
    added = queries.rows_after(connection, modality, made[0].max_owner_id)
    gone = made[0].rows + added - now
    return bool(added + gone > CHANGED_SHARE * made[0].rows)


def _best(connection: Connection, view: VectorView, nulls: FloatArray) -> FloatArray:
    """The best score of each query: float32 [n], found by the collection's own index."""

    def fetch(ids: list[int]) -> tuple[IdArray, npt.NDArray[np.float16]]:
        return queries.vectors_of(connection, view.modality, ids, view.dimension)

    found = [view.search(nulls[start : start + BLOCK], 1, fetch).scores[:, 0] for start in range(0, len(nulls), BLOCK)]
    scores = np.concatenate(found)
    return np.where(np.isfinite(scores), scores, 0).astype(np.float32)


def _store_nulls(connection: Connection, nulls: NullQueries, encoder_id: int) -> None:
    connection.execute(delete(null_queries))
    rows = []
    for kind, vectors in (("words", nulls.words), ("image", nulls.image)):
        blob = vectors.astype(STORED_DTYPE).tobytes()
        digest = hashlib.sha256(blob).hexdigest()
        rows.append({"kind": kind, "encoder_id": encoder_id, "sha256": digest, "vectors": blob})
    connection.execute(insert(null_queries), rows)
