"""The seams for vector search, and the value that says which ids may be returned."""

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from retrieval.arrays import FloatArray, IdArray

NO_ID = -1


@dataclass(frozen=True)
class Neighbours:
    """The answer of an index to a batch of queries.

    scores: float32 [queries, k], cosine similarity, best first, -inf where there are fewer than k.
    ids: int64 [queries, k]; NO_ID where there are fewer than k. Equal scores stand in ascending order of id; of those
    equal to the k-th score an index may return any.
    """

    scores: FloatArray
    ids: IdArray


class IdMask:
    """Which ids may be returned: `allowed[i]` for id i; ids past its end are not allowed."""

    def __init__(self, allowed: npt.NDArray[np.bool_]) -> None:
        self.allowed = allowed

    def __and__(self, other: "IdMask") -> "IdMask":
        """Ids that both allow."""
        size = min(len(self.allowed), len(other.allowed))
        return IdMask(self.allowed[:size] & other.allowed[:size])

    @cached_property
    def count(self) -> int:
        """How many ids are allowed; 0.03 ms for a million ids, once."""
        return int(np.count_nonzero(self.allowed))

    @cached_property
    def packed(self) -> npt.NDArray[np.uint8]:
        """One bit per id, least significant bit first."""
        return np.packbits(self.allowed, bitorder="little")

    def permits(self, ids: IdArray) -> npt.NDArray[np.bool_]:
        """Element-wise: may this id be returned?"""
        known = (ids >= 0) & (ids < len(self.allowed))
        return known & self.allowed[np.where(known, ids, 0)] if len(self.allowed) else known


class VectorIndex(Protocol):
    """Finds the stored unit vectors of highest inner product. Immutable once built; searched by many threads."""

    @property
    def exact(self) -> bool:
        """Whether every search returns the true best k with the scores of the stored (float16) vectors."""
        ...

    @property
    def ids(self) -> IdArray:
        """All its ids, int64 [n], in any order."""
        ...

    def __len__(self) -> int: ...

    def search(self, queries: FloatArray, k: int, allowed: IdMask | None = None) -> Neighbours:
        """Best k of the permitted ids for each query [n, dimension]; k >= 1."""
        ...


@dataclass(frozen=True)
class Candidates(Neighbours):
    """lists: how many inverted lists were visited, of all queries the most."""

    lists: int


@runtime_checkable
class ApproximateIndex(VectorIndex, Protocol):
    """Keeps rows as codes in lists: its scores are estimates, and of its lists it visits those near the query.

    Whoever asks it scores the candidates again with the stored vectors.
    """

    @property
    def code_error(self) -> float:
        """No unit query's estimate is further from the true cosine than this; infinity where it is not known."""
        ...

    def candidates(self, queries: FloatArray, k: int, allowed: IdMask | None = None) -> Candidates:
        """More than k of the permitted ids, among which the true best k are to be found; min(k, permitted) at least."""
        ...

    def scan(self, queries: FloatArray, k: int, allowed: IdMask | None = None) -> Candidates:
        """The k permitted ids of the highest estimates in all lists."""
        ...


def best(scores: FloatArray, ids: IdArray, k: int) -> Neighbours:
    """Keep the best k of candidates [n, m] by (score descending, id ascending); pads to k. NO_ID candidates go last."""
    scores = np.where(ids == NO_ID, -np.inf, scores).astype(np.float32)
    order = np.lexsort((ids, -scores), axis=-1)[:, :k]
    kept = Neighbours(np.take_along_axis(scores, order, 1), np.take_along_axis(ids, order, 1))
    missing = k - kept.ids.shape[1]
    if missing <= 0:
        return kept
    return Neighbours(
        np.pad(kept.scores, ((0, 0), (0, missing)), constant_values=-np.inf),
        np.pad(kept.ids, ((0, 0), (0, missing)), constant_values=NO_ID),
    )
