"""The calibrations of a collection, as its database holds them."""

import hashlib
import logging
from collections.abc import Mapping
from threading import Lock

import numpy as np
from sqlalchemy import Connection, func, select

from retrieval.arrays import FloatArray
from retrieval.catalogue.queries import MODALITIES, STORED_DTYPE, Modality
from retrieval.catalogue.schema import calibrations, null_queries
from retrieval.confidence.calibration import Calibration
from retrieval.confidence.nulls import KINDS, NullQueries, QueryKind

log = logging.getLogger(__name__)

Direction = tuple[Modality, QueryKind]
HOW_TO_GET_ONE = "run catalens index on one of the collection's sources again: nothing is encoded twice"


class Calibrations:
    """The calibrations of one collection, read again when a newer revision has newer ones. Thread-safe."""

    def __init__(self) -> None:
        self._reading = Lock()
        self._made_at = -1
        self._held: Mapping[Direction, Calibration] = {}

    def current(self, connection: Connection, dimension: int) -> Mapping[Direction, Calibration]:
        """By (modality, kind of query); a direction without one is missing. Costs one small query when none is newer.

        What is damaged, or was made by another release, counts as none and is a warning in the log.
        """
        newest = connection.execute(select(func.max(calibrations.c.revision))).scalar()
        made_at = -1 if newest is None else int(newest)
        with self._reading:
            if made_at != self._made_at:
                self._held, self._made_at = read_calibrations(connection, dimension), made_at
            return self._held


def read_calibrations(connection: Connection, dimension: int) -> dict[Direction, Calibration]:
    """All calibrations that can be believed, by (modality, kind of query)."""
    nulls = _null_queries(connection, dimension)
    if nulls is None:
        return {}
    vectors: dict[QueryKind, FloatArray] = {kind: nulls.of(kind) for kind in KINDS}
    found: dict[Direction, Calibration] = {}
    columns = (calibrations.c.modality, calibrations.c.kind, calibrations.c.parameters)
    try:
        for modality, kind, parameters in connection.execute(select(*columns)):
            if modality in MODALITIES and kind in KINDS:
                found[modality, kind] = Calibration.from_json(parameters, vectors[kind])
    except (ValueError, KeyError, TypeError) as error:
        log.warning("the calibrations cannot be used (%s); %s", error, HOW_TO_GET_ONE)
        return {}
    return found


def _null_queries(connection: Connection, dimension: int) -> NullQueries | None:
    held = {}
    columns = (null_queries.c.kind, null_queries.c.sha256, null_queries.c.vectors)
    for kind, sha256, blob in connection.execute(select(*columns)):
        width = dimension * STORED_DTYPE.itemsize
        if hashlib.sha256(blob).hexdigest() != sha256 or not blob or len(blob) % width:
            log.warning("the null queries (%s) are damaged; %s", kind, HOW_TO_GET_ONE)
            return None
        held[kind] = np.frombuffer(blob, STORED_DTYPE).reshape(-1, dimension).astype(np.float32)
    return NullQueries(held["words"], held["image"]) if {"words", "image"} <= held.keys() else None
