"""One modality of a collection at one revision: base generation + newer rows - deleted rows. Immutable."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from sqlalchemy import Connection

from retrieval.arrays import FloatArray, IdArray
from retrieval.catalogue import queries
from retrieval.catalogue.queries import Generation, Modality
from retrieval.index.base import IdMask, VectorIndex
from retrieval.index.exact import ExactIndex
from retrieval.index.generations import load_verified
from retrieval.index.plan import Found, Rows, search
from retrieval.index.rescoring import VectorFetch


@dataclass(frozen=True)
class VectorView:
    """generation: the base on disk, None when there is none to believe; delta: rows newer than it, searched exactly.

    live: which ids are alive, those of base and delta that were not deleted since; deleted: those that were.
    newest_known: id of the newest generation recorded when this was loaded, believable or not; 0 for none.
    """

    modality: Modality
    dimension: int
    generation: Generation | None
    base: VectorIndex | None
    delta: ExactIndex
    deleted: IdArray
    live: IdMask
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
            live=_live(np.empty(0, np.bool_), ids if base is None else np.concatenate([base.ids, ids]), deleted, last),
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
            live=_live(self.live.allowed, ids, gone, last),
            last_owner_id=last,
        )

    def __len__(self) -> int:
        """Live rows."""
        return self.live.count

    def search(self, vectors: FloatArray, k: int, fetch: VectorFetch, allowed: IdMask | None = None) -> Found:
        """Best k live rows for each unit query [n, dimension]: min(k, m) hits, m the live rows that `allowed` permits.

        fetch: gives stored vectors for scoring again; a row that it no longer knows is left out, the one thing that can
        make hits fewer. allowed: which owners may be returned, all for None. Which way is taken, and whether it is
        exact, is decided and said by `retrieval/index/plan.py`.
        """
        return search(Rows(self.base, self.delta, self.live, whole=not len(self.deleted)), vectors, k, fetch, allowed)


def _newest_believable(folder: Path, kept: list[Generation]) -> tuple[Generation, VectorIndex] | tuple[None, None]:
    for generation in kept:
        base = load_verified(folder, generation)
        if base is not None:
            return generation, base
    return None, None


def _live(before: npt.NDArray[np.bool_], added: IdArray, gone: IdArray, last_owner_id: int) -> IdMask:
    live = np.zeros(last_owner_id + 1, dtype=np.bool_)
    live[: len(before)] = before
    live[added] = True
    live[gone[gone <= last_owner_id]] = False
    return IdMask(live)
