"""Exact ranking straight from embeddings: every query against every document, a few queries at a time."""

import hashlib
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from retrieval.arrays import FloatArray, IdArray
from retrieval.errors import EvaluationError
from retrieval.evaluation.relevance import Relevance
from retrieval.evaluation.types import Ranking, Task
from retrieval.index.base import NO_ID

DEPTH = 100
BLOCK_BYTES = 16 * 2**20
"""Scores held at once. More make the product no faster: at 25,000 documents a block still has 167 queries."""
FEW_RELEVANT = 64
"""Up to so many relevant documents a pass over the row for each is cheaper than sorting the row (25,000 documents)."""

OnRows = Callable[[int, int], None]


def rank_exact(
    queries: FloatArray,
    documents: FloatArray,
    task: Task,
    depth: int = DEPTH,
    *,
    on_progress: OnRows | None = None,
    block_bytes: int = BLOCK_BYTES,
) -> Ranking:
    """Rank all documents for every query of a task by inner product.

    queries: float32 [n, d], rows in the order of task.query_ids. documents: float32 [m, d], rows in the order of
    task.document_ids; unit rows make the scores cosines. depth: how many of the best are named for each query; the
    ranks of the relevant documents are exact at any depth.

    Ties stand in document order: the rank of a document is 1 + the number of documents with a higher score + the number
    of equal ones before it. Documents with the same vector always tie.
    Memory beside arguments and answer: `block_bytes` for scores (or one row of 4 m bytes, if that is more) and under
    20 m bytes for the row at work; when documents have equal vectors, also the different ones and the scores again.
    on_progress: called with (queries ranked, n) after every block.

    Raises EvaluationError when the arrays do not fit the task, a vector is not finite, or the task's judgements name
    unknown ids.
    """
    _check(queries, documents, task, depth)
    relevance = Relevance.of_task(task)
    unique, expand = _without_copies(documents)
    width = min(depth, len(documents))
    top = np.full((len(queries), width), NO_ID, dtype=np.int64)
    scores = np.full((len(queries), width), -np.inf, dtype=np.float32)
    ranks: list[IdArray] = []
    rows = min(len(queries), max(1, block_bytes // (4 * len(documents))))
    buffer = np.empty((rows, len(unique)), dtype=np.float32)
    for start in range(0, len(queries), rows):
        asked = queries[start : start + rows]
        block = np.matmul(asked, unique.T, out=buffer[: len(asked)])
        if expand is not None:
            block = block[:, expand]
        for query, row in enumerate(block, start):
            top[query] = _best(row, width)
            scores[query] = row[top[query]]
            ranks.append(_ranks(row, relevance.documents[relevance.of(query)]))
        if on_progress:
            on_progress(min(start + rows, len(queries)), len(queries))
    return Ranking(top, scores, ranks)


def _check(queries: FloatArray, documents: FloatArray, task: Task, depth: int) -> None:
    for kind, vectors, ids in (("queries", queries, task.query_ids), ("documents", documents, task.document_ids)):
        if not ids:
            raise EvaluationError(f"there are no {kind} to rank", hint="an empty set or split has no figures")
        if vectors.ndim != 2 or len(vectors) != len(ids):
            raise EvaluationError(
                f"vectors of shape {vectors.shape} do not fit {len(ids):,} {kind}", hint="give one vector an id"
            )
        broken = int((~np.isfinite(vectors).all(axis=1)).sum())
        if broken:
            raise EvaluationError(
                f"{broken:,} of {len(ids):,} vectors of {kind} hold NaN or infinity",
                hint="the model is broken or overflows; half precision is the usual reason",
            )
    if queries.shape[1] != documents.shape[1]:
        raise EvaluationError(
            f"queries have {queries.shape[1]} dimensions, documents {documents.shape[1]}",
            hint="encode both with the same model",
        )
    if depth < 1:
        raise EvaluationError(f"depth is {depth}", hint="name at least one document a query")


def _without_copies(documents: FloatArray) -> tuple[FloatArray, IdArray | None]:
    """The different vectors, and for each document which one it has; None when all differ.

    Equal vectors are scored once, because a matrix product may round them differently by where they stand: with one to
    three queries OpenBLAS gave up to 8 % of the copies of a vector another last bit.
    """
    numbers: dict[bytes, int] = {}
    expand = np.array(
        [numbers.setdefault(hashlib.blake2b(row.tobytes(), digest_size=16).digest(), len(numbers)) for row in documents]
    )
    if len(numbers) == len(documents):
        return documents, None
    _, firsts = np.unique(expand, return_index=True)
    return documents[firsts], expand


def _best(row: FloatArray, k: int) -> IdArray:
    """Positions of the k highest scores of one row, best first, equal ones by position; int64 [k].

    The k-th highest of the maxima of disjoint groups is never above the k-th highest of all. What reaches it is a
    little more than k and holds every best one, ties included: three times faster than argpartition.
    """
    size = len(row) // (8 * k)  # 8 k groups let about 1.1 k scores through
    if size < 2:
        return np.argsort(-row, kind="stable")[:k]
    groups = row[: len(row) // size * size].reshape(size, -1).max(axis=0)
    threshold = np.partition(groups, len(groups) - k)[len(groups) - k]
    reaching = np.flatnonzero(row >= threshold)
    best: IdArray = reaching[np.argsort(-row[reaching], kind="stable")[:k]]
    return best


def _ranks(row: FloatArray, relevant: IdArray) -> npt.NDArray[np.int64]:
    """Ranks of the relevant documents among all of a row, ascending; int64 [relevant]."""
    if len(relevant) > FEW_RELEVANT:
        rank = np.empty(len(row), dtype=np.int64)
        rank[np.argsort(-row, kind="stable")] = np.arange(1, len(row) + 1)
        return np.sort(rank[relevant])
    ranks = [
        1 + np.count_nonzero(row > row[position]) + np.count_nonzero(row[:position] == row[position])
        for position in relevant
    ]
    return np.array(sorted(ranks), dtype=np.int64)
