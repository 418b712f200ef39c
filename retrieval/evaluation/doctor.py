"""How well a collection's index stands for the vectors behind it, and what to do about it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from retrieval.arrays import FloatArray, IdArray
from retrieval.catalogue.queries import MODALITIES, Modality
from retrieval.collection import Collection
from retrieval.index.base import NO_ID, Neighbours, best
from retrieval.index.exact import ExactIndex, merged
from retrieval.index.generations import INDEX_FOLDER
from retrieval.index.view import VectorView

K = 10
QUERIES = 200
"""At a recall of .98 the standard error of 200 queries of 10 places is under half a point."""
WANTED_RECALL = 0.98
"""What an index is tuned for when it is built."""
BLOCK_ROWS = 16_384
"""Stored vectors read at once: 32 MB as float32 at 512 dimensions."""
ROUNDING = 1e-5
"""Two ways to sum 512 products of float16 values differ by less; rows closer than this are equally good."""

Due = Callable[[int, int], bool]
"""(rows of the index, newer and deleted rows) -> would the next index run build a new file?"""


@dataclass(frozen=True)
class MeasuredRecall:
    """recall@10 of the collection's search against exact search over the stored vectors, mean over the queries."""

    queries: int
    recall: float


@dataclass(frozen=True)
class IndexHealth:
    """kind, rows: of the index file in use; `none` and 0 when exact search over the database answers alone.

    newer_rows, deleted_rows: since that file was written. file: the newest one recorded, None if there never was one;
    file_state: `intact`, `damaged`, `missing` or `none`. recall: by what the queries are. A query that is itself a row
    does not count as found. advice: what to do, in sentences; empty when there is nothing to change.
    """

    modality: Modality
    kind: str
    rows: int
    newer_rows: int
    deleted_rows: int
    file: str | None
    file_state: str
    recall: Mapping[Modality, MeasuredRecall]
    advice: tuple[str, ...]

    @property
    def broken(self) -> bool:
        """Is an index file that should be there damaged or missing?"""
        return self.file_state in ("damaged", "missing")

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "kind": self.kind,
            "rows": self.rows,
            "newer_rows": self.newer_rows,
            "deleted_rows": self.deleted_rows,
            "file": self.file,
            "file_state": self.file_state,
            "recall@10": {
                f"{asked}_queries": {"queries": one.queries, "recall": one.recall} for asked, one in self.recall.items()
            },
            "advice": list(self.advice),
        }


def examine(collection: Collection, *, due: Due, queries: int = QUERIES, seed: int = 0) -> list[IndexHealth]:
    """Examine the index of the photos and that of the texts.

    The queries are stored vectors, at most `queries` of each kind, drawn with `seed`: texts stand for what people ask
    in words, photos for what they ask by picture. In a joint space the two differ, and an index that serves one may
    fail the other. Vectors are read in blocks, so that memory does not grow with the collection.
    """
    view = collection.view()
    recorded = collection.status()["index"]
    asked = {
        modality: _sample(collection, modality, view.of(modality), queries, np.random.default_rng(seed))
        for modality in MODALITIES
    }
    return [
        _examined(collection, modality, view.of(modality), recorded[modality]["file"], asked, due)
        for modality in MODALITIES
    ]


def _examined(
    collection: Collection,
    modality: Modality,
    view: VectorView,
    file: str | None,
    asked: Mapping[Modality, tuple[IdArray, FloatArray]],
    due: Due,
) -> IndexHealth:
    generation = view.generation
    state = "none" if file is None else "intact"
    if file is not None and (generation is None or generation.file != file):
        state = "damaged" if (collection.folder / INDEX_FOLDER / file).exists() else "missing"
    recall = {}
    if len(view):
        truth = _exact(collection, modality, view, asked)
        for kind, (ids, vectors) in asked.items():
            if len(ids):
                own = ids if kind == modality else np.full(len(ids), NO_ID)
                found = view.search(vectors, K + 1, lambda wanted: collection.vectors(modality, wanted))
                recall[kind] = MeasuredRecall(len(ids), _recall(_without(found, own), _without(truth[kind], own)))
    rows, newer, deleted = generation.rows if generation else 0, len(view.delta), len(view.deleted)
    health = IndexHealth(
        modality=modality,
        kind=generation.kind if generation else "none",
        rows=rows,
        newer_rows=newer,
        deleted_rows=deleted,
        file=file,
        file_state=state,
        recall=recall,
        advice=(),  # from all the rest, below
    )
    return replace(health, advice=tuple(_advice(collection, health, overgrown=due(rows, newer + deleted))))


def _advice(collection: Collection, health: IndexHealth, *, overgrown: bool) -> list[str]:
    rebuild = f"catalens index YOUR-SOURCE --collection {collection.folder}"
    advice = []
    if health.broken:
        instead = f"an older file ({health.rows:,} rows) and exact search" if health.rows else "exact search"
        advice.append(
            f"{INDEX_FOLDER}/{health.file} is {health.file_state}; {instead} over the database answer"
            f"{'' if health.rows else 's'} instead, rightly but slower. To build it again: {rebuild}"
        )
    elif overgrown:
        advice.append(
            f"{health.newer_rows:,} newer and {health.deleted_rows:,} deleted rows are more than the index should "
            f"carry; they slow every search. The next index run builds a new file: {rebuild}"
        )
    low = {asked: one.recall for asked, one in health.recall.items() if one.recall < WANTED_RECALL}
    if low:
        figures = " and ".join(f"{recall:.3f} for {asked} queries" for asked, recall in low.items())
        advice.append(
            f"recall@10 is {figures}, below {WANTED_RECALL}: what is asked has moved away from what the index was "
            f"tuned for. To tune it anew, delete {collection.folder / INDEX_FOLDER / (health.file or '')} and run: "
            f"{rebuild}"
        )
    return advice


def _sample(
    collection: Collection, modality: Modality, view: VectorView, count: int, generator: np.random.Generator
) -> tuple[IdArray, FloatArray]:
    """Ids [n] and vectors float32 [n, dimension] of live rows, n <= count."""
    ids, vectors = np.empty(0, np.int64), np.empty((0, view.dimension), np.float32)
    shuffled = generator.permutation(np.arange(1, view.last_owner_id + 1))
    for start in range(0, len(shuffled), count):  # many ids may belong to rows that were deleted
        if len(ids) >= count:
            break
        more, stored = collection.vectors(modality, shuffled[start : start + count].tolist())
        ids = np.concatenate([ids, more])[:count]
        vectors = np.concatenate([vectors, stored.astype(np.float32)])[:count]
    return ids, vectors


def _exact(
    collection: Collection, modality: Modality, view: VectorView, asked: Mapping[Modality, tuple[IdArray, FloatArray]]
) -> dict[Modality, Neighbours]:
    """The true best K + 1 rows for every query, all stored vectors read once, block by block."""
    nothing = np.empty(0, np.int64)
    truth = {
        kind: best(np.empty((len(vectors), 0), np.float32), np.tile(nothing, (len(vectors), 1)), K + 1)
        for kind, (_, vectors) in asked.items()
    }
    for start in range(1, view.last_owner_id + 1, BLOCK_ROWS):
        ids = list(range(start, min(start + BLOCK_ROWS, view.last_owner_id + 1)))
        block = ExactIndex(*collection.vectors(modality, ids))
        truth = {
            kind: merged([truth[kind], block.search(vectors, K + 1)], K + 1) for kind, (_, vectors) in asked.items()
        }
    return truth


def _without(found: Neighbours, own: npt.NDArray[np.int64]) -> FloatArray:
    """Scores of the best K, float32 [queries, K], the query's own row left out."""
    ids = np.where(found.ids == own[:, None], NO_ID, found.ids)
    return best(found.scores, ids, K).scores


def _recall(found: FloatArray, truth: FloatArray) -> float:
    """Share of the true best K that were found, by score: of equally good rows any may stand in the answer."""
    there = np.isfinite(truth)
    lowest = np.where(there, truth, np.inf).min(axis=1, keepdims=True)
    hits = np.minimum((found >= lowest - ROUNDING).sum(axis=1), there.sum(axis=1))
    return float((hits / np.maximum(there.sum(axis=1), 1))[there.any(axis=1)].mean()) if there.any() else 1.0
