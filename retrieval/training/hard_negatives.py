"""The candidates that the first stage finds and that are wrong: what a reranker has to tell from the right ones."""

from collections.abc import Sequence

import numpy as np

from retrieval.arrays import FloatArray
from retrieval.training.pairs import IntArray

BLOCK = 1024  # queries at once: with 30,000 documents 120 MB of cosines


def mine(queries: FloatArray, documents: FloatArray, own: Sequence[IntArray], count: int) -> IntArray:
    """For each query the rows of its nearest documents but its own, best first: int64 [n, count].

    queries, documents: unit vectors [n, d], [m, d]. own: for each query the documents that are right. Cosines are
    exact; equal ones come in the documents' order. Where there are fewer than `count` others, -1 fills the row.
    """
    found = np.full((len(queries), count), -1, dtype=np.int64)
    for start in range(0, len(queries), BLOCK):
        cosines = queries[start : start + BLOCK] @ documents.T
        for at, row in enumerate(cosines):
            right = own[start + at]
            row[right] = -np.inf
            nearest = np.argsort(-row, kind="stable")[: min(count, len(row) - len(right))]
            found[start + at, : len(nearest)] = nearest
    return found


def draw(mined: IntArray, own: Sequence[IntArray], total: int, count: int, rng: np.random.Generator) -> IntArray:
    """Wrong documents for some queries: int64 [n, count], half of them mined and half at random; -1 for none.

    mined: rows of `mine`. own: as there. total: how many documents there are.
    """
    drawn = rng.integers(0, total, (len(mined), count))
    hard = (count + 1) // 2
    drawn[:, :hard] = np.take_along_axis(mined, rng.integers(0, mined.shape[1], (len(mined), hard)), axis=1)
    for row, right in zip(drawn, own, strict=True):
        row[np.isin(row, right)] = -1
    return drawn
