"""One modality of a collection at one revision: base generation + newer rows - deleted rows. Immutable."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from sqlalchemy import Connection

from retrieval.catalogue import queries
from retrieval.catalogue.queries import Generation, Modality
from retrieval.encoders.base import FloatArray
from retrieval.index.base import NO_ID, IdArray, IdMask, Neighbours, VectorIndex, best
from retrieval.index.exact import ExactIndex, merged
from retrieval.index.generations import load_verified
from retrieval.index.ladder import OVERFETCH

VectorFetch = Callable[[list[int]], tuple[IdArray, npt.NDArray[np.float16]]]


@dataclass(frozen=True)
class VectorView:
    """generation: the base on disk, None when there is none to believe; delta: rows newer than it, searched exactly.

    newest_known: id of the newest generation recorded when this was loaded, believable or not; 0 for none.
    """

    modality: Modality
    dimension: int
    generation: Generation | None
    base: VectorIndex | None
    delta: ExactIndex
    deleted: IdArray
    mask: IdMask | None
    last_owner_id: int
    newest_known: int

    @classmethod
    def load(cls, connection: Connection, folder: Path, modality: Modality, dimension: int) -> "VectorView":
        """Read the newest believable generation and what came after it, all in the connection's transaction."""
        kept = queries.kept_generations(connection, modality)
        generation, base = _newest_believable(folder, kept)
        covered = generation.max_owner_id if generation else 0
        ids, vectors = queries.vectors_after(connection, modality, covered, dimension)
        deleted = (
            queries.tombstones_after(connection, modality, generation.revision)
            if generation
            else np.empty(0, dtype=np.int64)
        )
        last = int(ids[-1]) if len(ids) else covered
        return cls(
            modality=modality,
            dimension=dimension,
            generation=generation,
            base=base,
            delta=ExactIndex(ids, vectors),
            deleted=deleted,
            mask=_mask(deleted, last),
            last_owner_id=last,
            newest_known=kept[0].id if kept else 0,
        )

    def refreshed(self, connection: Connection, folder: Path, since_revision: int) -> "VectorView":
        """This view brought up to the connection's revision: only new rows and new tombstones are read."""
        kept = queries.kept_generations(connection, self.modality)
        if kept and kept[0].id != self.newest_known:
            return VectorView.load(connection, folder, self.modality, self.dimension)
        ids, vectors = queries.vectors_after(connection, self.modality, self.last_owner_id, self.dimension)
        gone = queries.tombstones_after(connection, self.modality, since_revision)
        if not len(ids) and not len(gone):
            return self
        deleted = np.union1d(self.deleted, gone)
        last = int(ids[-1]) if len(ids) else self.last_owner_id
        return replace(
            self,
            delta=self.delta.extended(ids, vectors) if len(ids) else self.delta,
            deleted=deleted,
            mask=_mask(deleted, last),
            last_owner_id=last,
        )

    def __len__(self) -> int:
        """Live rows."""
        covered = self.generation.max_owner_id if self.generation else 0
        gone_from_base = int((self.deleted <= covered).sum())
        gone_from_delta = len(np.intersect1d(self.deleted, self.delta.ids))
        return (len(self.base) if self.base else 0) - gone_from_base + len(self.delta) - gone_from_delta

    def search(self, vectors: FloatArray, k: int, fetch: VectorFetch) -> Neighbours:
        """Best k live rows for each unit query [n, dimension]; `fetch` gives stored vectors for scoring again."""
        parts = [self.delta.search(vectors, k, self.mask)]
        if self.base is not None and self.base.exact:
            parts.append(self.base.search(vectors, k, self.mask))
        elif self.base is not None:
            candidates = self.base.search(vectors, k * OVERFETCH, self.mask)
            parts.append(_scored_again(vectors, candidates.ids, k, fetch))
        return merged(parts, k)


def _newest_believable(folder: Path, kept: list[Generation]) -> tuple[Generation, VectorIndex] | tuple[None, None]:
    for generation in kept:
        base = load_verified(folder, generation)
        if base is not None:
            return generation, base
    return None, None


def _mask(deleted: IdArray, last_owner_id: int) -> IdMask | None:
    return IdMask.all_but(deleted, last_owner_id + 1) if len(deleted) else None


def _scored_again(vectors: FloatArray, candidates: IdArray, k: int, fetch: VectorFetch) -> Neighbours:
    wanted = np.unique(candidates[candidates != NO_ID])
    ids, stored = fetch(wanted.tolist())
    scores = np.full(candidates.shape, -np.inf, dtype=np.float32)
    if not len(ids):
        return best(scores, np.full_like(candidates, NO_ID), k)
    position = np.clip(np.searchsorted(ids, candidates), 0, len(ids) - 1)
    found = ids[position] == candidates
    rows = stored.astype(np.float32)
    for query in range(len(vectors)):
        scores[query, found[query]] = rows[position[query, found[query]]] @ vectors[query]
    return best(scores, np.where(found, candidates, NO_ID), k)
