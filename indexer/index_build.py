"""Builds one index from the stored vectors, read in blocks: the whole matrix is never in memory as float32."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from sqlalchemy import Connection, func, select

from retrieval.arrays import FloatArray, IdArray
from retrieval.catalogue import queries
from retrieval.catalogue.queries import Modality
from retrieval.index.exact import ExactIndex, merged
from retrieval.index.ladder import TUNE_K, rung_for

if TYPE_CHECKING:
    from retrieval.index.faiss_index import FaissIndex

BLOCK_ROWS = 8_192  # 17 MB as float32 at 512 dimensions; larger blocks are not faster

OnRows = Callable[[int, int], None]


@dataclass(frozen=True)
class BuiltIndex:
    """kind: of the rung; last_owner_id: the largest id covered, 0 for none.

    nprobe, recall: as tuned; 0 and 1.0 for an exact index.
    code_error, reach: of an inverted index, see `InvertedIndex`; None for an exact one.
    """

    index: "FaissIndex"
    kind: str
    last_owner_id: int
    nprobe: int
    recall: float
    code_error: float | None = None
    reach: float | None = None


@dataclass(frozen=True)
class StoredRows:
    """All vectors of a modality in the snapshot of one connection."""

    connection: Connection
    modality: Modality
    dimension: int

    def __len__(self) -> int:
        return queries.rows_after(self.connection, self.modality, 0)

    def blocks(self) -> Iterator[tuple[IdArray, npt.NDArray[np.float16]]]:
        """(ids [n], vectors float16 [n, dimension]) with ascending ids, n up to BLOCK_ROWS."""
        last = 0
        while True:
            ids, vectors = queries.vectors_after(self.connection, self.modality, last, self.dimension, BLOCK_ROWS)
            if not len(ids):
                return
            last = int(ids[-1])
            yield ids, vectors

    def evenly(self, count: int) -> FloatArray:
        """`count` vectors (or all, if fewer) at even distances in the order of id: float32 [count, dimension]."""
        rows = len(self)
        chosen = np.linspace(0, rows, min(rows, count), endpoint=False).astype(np.int64)
        sample = np.empty((len(chosen), self.dimension), np.float32)
        start = 0
        for ids, vectors in self.blocks():
            first, last = np.searchsorted(chosen, (start, start + len(ids)))
            sample[first:last] = vectors[chosen[first:last] - start]
            start += len(ids)
        return sample

    def at_random(self, count: int) -> FloatArray:
        """`count` vectors (or all, if fewer): float32 [count, dimension]."""
        table = queries.EMBEDDINGS[self.modality]
        drawn = select(table.c.owner_id, table.c.vector).order_by(func.random()).limit(count)
        rows = [(row[0], row[1]) for row in self.connection.execute(drawn)]
        return queries.as_arrays(rows, self.dimension)[1].astype(np.float32)

    def true_best(self, asked: FloatArray, k: int) -> IdArray:
        """Ids of the exact best k for each unit query: int64 [n, k]."""
        return merged([ExactIndex(*block).search(asked, k) for block in self.blocks()], k).ids


def build_index(rows: StoredRows, exact_rows: int, on_rows: OnRows) -> BuiltIndex:
    """Build the index that the ladder names for these rows, and tune it if it is approximate.

    on_rows(done, total) is told how many rows the index holds.
    """
    from retrieval.index import faiss_index  # 0.2 s to import, and most runs have nothing to build

    total = len(rows)
    rung = rung_for(total, exact_rows)
    index = faiss_index.empty(rung, rows.dimension, rows.evenly(rung.lists * faiss_index.TRAIN_PER_LIST))
    last = 0
    for ids, vectors in rows.blocks():
        index.add(ids, vectors)
        last = int(ids[-1])
        on_rows(len(index), total)
    if not isinstance(index, faiss_index.InvertedIndex):
        return BuiltIndex(index, rung.kind, last, nprobe=0, recall=1.0)
    asked = _likely_queries(rows)
    recall = faiss_index.tune(index, asked, rows.true_best(asked, TUNE_K))
    return BuiltIndex(index, rung.kind, last, index.nprobe, recall, index.code_error, index.reach)


def _likely_queries(rows: StoredRows) -> FloatArray:
    """Stored text vectors, the nearest thing to what people will ask; the rows' own vectors where there are too few."""
    from retrieval.index.faiss_index import TUNE_QUERIES

    texts = StoredRows(rows.connection, "text", rows.dimension)
    return (texts if len(texts) >= TUNE_QUERIES else rows).at_random(TUNE_QUERIES)
