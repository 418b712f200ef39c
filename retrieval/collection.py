"""A collection on disk, opened for reading: always the newest committed revision, never half of one."""

from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt
from sqlalchemy import Engine

from retrieval.catalogue import queries
from retrieval.catalogue.engine import DATABASE, is_immutable, reading_engine
from retrieval.catalogue.queries import EncoderRow, Modality, OwnerRow
from retrieval.catalogue.versions import require_head
from retrieval.errors import CollectionDamaged
from retrieval.index.base import IdArray
from retrieval.index.view import VectorView


@dataclass(frozen=True)
class CollectionView:
    """Both vector spaces of a collection at one revision. Immutable: a search finishes on the view it began with."""

    revision: int
    image: VectorView
    text: VectorView

    def of(self, modality: Modality) -> VectorView:
        """The photos' vectors or the texts' vectors: a mixed index would rank its own modality first."""
        return self.image if modality == "image" else self.text


class Collection:
    """A folder with `catalog.db` and index files. Many processes may read while one writes."""

    def __init__(self, folder: Path, engine: Engine, encoder: EncoderRow) -> None:
        self.folder = folder
        self.encoder = encoder
        self._engine = engine
        self._view: CollectionView | None = None
        self._refreshing = Lock()
        self._stamp = self._file_stamp() if is_immutable(engine) else None

    @classmethod
    def open(cls, folder: Path) -> "Collection":
        """Open for reading. Raises CollectionNotFound, or CollectionDamaged when it cannot be read."""
        engine = reading_engine(folder)
        try:
            with engine.connect() as connection:
                require_head(connection, folder)
                encoder = queries.encoder_row(connection)
            if encoder is None:
                raise CollectionDamaged(
                    f"{folder} holds no finished collection", hint="run the same catalens index command again"
                )
        except BaseException:
            engine.dispose()
            raise
        return cls(folder, engine, encoder)

    def close(self) -> None:
        """Give the database connections back."""
        self._engine.dispose()

    def __enter__(self) -> "Collection":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def view(self) -> CollectionView:
        """The newest committed revision. Costs one small query when nothing changed; swaps atomically when it did."""
        self._reopen_if_thawed()
        with self._engine.connect() as connection, connection.begin():
            current = self._view
            revision = queries.revision(connection)
            if current is not None and current.revision >= revision:
                return current
            with self._refreshing:
                current = self._view
                if current is not None and current.revision >= revision:
                    return current
                views = {}
                for modality in queries.MODALITIES:
                    if current is None:
                        views[modality] = VectorView.load(connection, self.folder, modality, self.encoder.dimension)
                    else:
                        views[modality] = current.of(modality).refreshed(connection, self.folder, current.revision)
                self._view = CollectionView(revision, views["image"], views["text"])
                return self._view

    def _file_stamp(self) -> tuple[int, int]:
        status = (self.folder / DATABASE).stat()
        return status.st_size, status.st_mtime_ns

    def _reopen_if_thawed(self) -> None:
        """A database that was opened on a full or read-only disk is opened again once it has changed after all."""
        if self._stamp is None or self._stamp == self._file_stamp():
            return
        with self._refreshing:
            self._engine = reading_engine(self.folder)
            self._stamp = self._file_stamp() if is_immutable(self._engine) else None

    def rows(self, modality: Modality, owner_ids: list[int]) -> dict[int, OwnerRow]:
        """What to show for photos or texts by id; those deleted meanwhile are missing."""
        with self._engine.connect() as connection:
            return queries.owner_rows(connection, modality, owner_ids)

    def vectors(self, modality: Modality, owner_ids: list[int]) -> tuple[IdArray, npt.NDArray[np.float16]]:
        """Stored unit vectors: ids [n] ascending and float16 [n, dimension]."""
        with self._engine.connect() as connection:
            return queries.vectors_of(connection, modality, owner_ids, self.encoder.dimension)

    def status(self) -> dict[str, Any]:
        """Counts, model, revision and index as JSON values; the keys are those of `catalens status --json`."""
        with self._engine.connect() as connection, connection.begin():
            numbers = queries.counts(connection)
            index = {}
            for modality in queries.MODALITIES:
                kept = queries.kept_generations(connection, modality)
                index[modality] = {
                    "kind": kept[0].kind if kept else "none",
                    "rows": kept[0].rows if kept else 0,
                    "newer_rows": queries.rows_after(connection, modality, kept[0].max_owner_id if kept else 0),
                    "deleted_rows": len(
                        queries.tombstones_after(connection, modality, kept[0].revision if kept else 0)
                    ),
                    "file": kept[0].file if kept else None,
                    "revision": kept[0].revision if kept else 0,
                }
            return {
                "collection": str(self.folder),
                **numbers,
                "model": self.encoder.name,
                "fingerprint": self.encoder.fingerprint,
                "dimension": self.encoder.dimension,
                "revision": queries.revision(connection),
                "sources": queries.source_locations(connection),
                "index": index,
            }

    def problems(self, limit: int = 20) -> list[tuple[str, str]]:
        """What failed or was skipped, as (file or row, reason)."""
        with self._engine.connect() as connection:
            return queries.problems(connection, limit)
