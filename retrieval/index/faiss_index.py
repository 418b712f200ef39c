"""FAISS behind the VectorIndex seam: the only module that imports it."""

from functools import cached_property
from math import inf
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import numpy.typing as npt

from retrieval.arrays import FloatArray, IdArray
from retrieval.errors import StorageError
from retrieval.index.base import NO_ID, Candidates, IdMask, Neighbours, best
from retrieval.index.ladder import TUNE_K, Rung, candidates_for
from retrieval.index.lists import Lists

TRAIN_PER_LIST = 40  # k-means is good from about 40 points per centroid on; more costs time and memory, not recall
TARGET_RECALL = 0.98
TUNE_QUERIES = 200
TUNED_TO = TUNE_K + 1  # the k up to which the tuned nprobe is taken; doctor asks for one more, the query itself

# Codes cover a fifth more than the range seen in training, at either end. Without it the rows outside of it have up to
# ten times the error of the others (0.09 and 0.008 at 512 numbers); with it 0.013 and 0.011.
CODE_MARGIN = 0.2

# How far a filter may push the hits away from the query, when `reach` is measured: past the nearest quarter of lists.
HIDDEN_SHARE = 0.25
REACH_QUERIES = 50
# Share of those hits that lie no further above their centroid. Recall@10 of a million rows, half of them permitted and
# none near the query, was 0.998 with it, and 1.000 with 0.99 for a quarter more lists.
REACHED = 0.95


class FaissIndex:
    """An exact float16 scan, keyed by our own ids."""

    def __init__(self, index: Any) -> None:
        self._index = index

    @property
    def exact(self) -> bool:
        return True

    @property
    def nprobe(self) -> int:
        """Inverted lists visited by a search; 0 for the exact scan."""
        return 0

    @property
    def ids(self) -> IdArray:
        return np.asarray(faiss.vector_to_array(self._index.id_map), np.int64)

    def __len__(self) -> int:
        return int(self._index.ntotal)

    def add(self, ids: IdArray, vectors: npt.NDArray[np.floating]) -> None:
        """Add rows: ids int64 [n], never used before; unit vectors [n, dimension]. Only while the index is built."""
        self._index.add_with_ids(np.ascontiguousarray(vectors, np.float32), ids)

    def search(self, queries: FloatArray, k: int, allowed: IdMask | None = None) -> Neighbours:
        k_here = min(k, len(self))
        if k_here == 0:
            return best(np.empty((len(queries), 0), np.float32), np.empty((len(queries), 0), np.int64), k)
        _one_thread()
        params = faiss.SearchParameters(sel=_selector(allowed))  # type: ignore[call-arg]
        scores, ids = self._index.search(np.ascontiguousarray(queries, np.float32), k_here, params=params)
        return best(scores, ids, k)

    def save(self, path: Path) -> None:
        """Write to a new file. Raises StorageError when the disk refuses."""
        try:
            # Through our own file: FAISS only prints a refusal that comes when it closes its own, as on a full disk.
            with path.open("wb") as file:
                faiss.write_index(self._index, faiss.PyCallbackIOWriter(file.write))  # type: ignore[attr-defined]
        except OSError as error:
            raise StorageError(
                f"could not write the index file {path}: the disk is full or read-only",
                hint="free some space and run the same command again; the catalogue itself is intact",
            ) from error


class InvertedIndex(FaissIndex):
    """8-bit codes in inverted lists. Which lists are visited: see `candidates`.

    code_error: the largest distance between a row and what its code says, so no estimate is further from the cosine.
    reach: how far above its list's centroid a hit scores, seldom more (`reach_of`). Both are infinity where not known.
    """

    def __init__(self, index: Any, code_error: float = 0.0, reach: float = inf) -> None:
        super().__init__(index)
        self.code_error = code_error
        self.reach = reach

    @property
    def exact(self) -> bool:
        return False

    @property
    def lists(self) -> int:
        return int(self._index.nlist)

    @property
    def nprobe(self) -> int:
        return int(self._index.nprobe)

    @nprobe.setter
    def nprobe(self, lists: int) -> None:
        self._index.nprobe = lists

    @property
    def ids(self) -> IdArray:
        return self.held.ids

    def add(self, ids: IdArray, vectors: npt.NDArray[np.floating]) -> None:
        rows = np.ascontiguousarray(vectors, np.float32)
        codes = self._index.sa_encode(rows)
        errors = np.linalg.norm(rows - self._index.sa_decode(codes), axis=1)
        self.code_error = max(self.code_error, float(errors.max(initial=0.0)))
        self._index.add_sa_codes(codes, ids)
        self.__dict__.pop("held", None)

    def search(self, queries: FloatArray, k: int, allowed: IdMask | None = None) -> Neighbours:
        found = self.candidates(queries, k, allowed)
        return best(found.scores, found.ids, k)

    def candidates(self, queries: FloatArray, k: int, allowed: IdMask | None = None) -> Candidates:
        """More than k permitted ids for each query, by estimated score.

        Without a mask, and for a k near the one that nprobe was tuned for, nprobe lists are visited. Else the nearest
        lists until they hold enough permitted rows, and then all those whose centroid scores at most `reach` less than
        the k-th row found: permitted rows may lie anywhere, and the further away, the less the order of lists says.
        """
        width, k = min(candidates_for(k), len(self)), min(k, len(self))
        queries = np.ascontiguousarray(queries, np.float32)
        scores = np.full((len(queries), width), -np.inf, np.float32)
        ids = np.full((len(queries), width), NO_ID, np.int64)
        if not k:
            return Candidates(scores, ids, 0)
        _one_thread()
        lists = 0
        if allowed is None and k <= TUNED_TO:
            scores, ids = self._index.search(queries, width)
            lists = self.nprobe
        for short in np.flatnonzero(ids[:, k - 1] == NO_ID):
            found = self._reached(queries[short : short + 1], k, width, allowed)
            scores[short], ids[short] = found.scores, found.ids
            lists = max(lists, found.lists)
        return Candidates(scores, ids, lists)

    def scan(self, queries: FloatArray, k: int, allowed: IdMask | None = None) -> Candidates:
        _one_thread()
        width = min(k, len(self))
        scores = np.full((len(queries), width), -np.inf, np.float32)
        ids = np.full((len(queries), width), NO_ID, np.int64)
        # Of a million rows a thousand stand in a quarter of the lists; to pass over the others saves most of the time.
        holds = np.ones(self.lists, np.bool_) if allowed is None else self.held.holding(allowed)
        for at, query in enumerate(np.ascontiguousarray(queries, np.float32)[:, None] if holds.any() else ()):
            closeness, order = self.nearest(query)
            keep = holds[order[0]]
            found = self.visit(query, width, order[:, keep], closeness[:, keep], allowed)
            scores[at], ids[at] = found.scores, found.ids
        return Candidates(scores, ids, int(holds.sum()))

    def _reached(self, query: FloatArray, k: int, width: int, allowed: IdMask | None) -> Candidates:
        closeness, order = self.nearest(query)
        first = self.held.needed(order[0], width, self.nprobe, allowed)
        found = self.visit(query, width, order[:, :first], closeness[:, :first], allowed)
        ranked = best(found.scores, found.ids, width)
        # The order is by closeness, so those within reach stand together.
        last = int(np.searchsorted(-closeness[0], self.reach - ranked.scores[0, k - 1], side="right"))
        if last <= first:
            return Candidates(ranked.scores, ranked.ids, first)
        more = self.visit(query, width, order[:, first:last], closeness[:, first:last], allowed)
        scores, ids = np.concatenate([found.scores, more.scores], 1), np.concatenate([found.ids, more.ids], 1)
        ranked = best(scores, ids, width)
        return Candidates(ranked.scores, ranked.ids, last)

    def nearest(self, query: FloatArray) -> tuple[FloatArray, IdArray]:
        """All lists by the score of their centroid, the best first: those scores and the lists, each [1, lists]."""
        closeness = query @ self._centroids.T  # and a sort: half the time of FAISS's heap of as many as there are
        order = np.argsort(-closeness, axis=1)
        return np.take_along_axis(closeness, order, 1), order

    def visit(
        self, query: FloatArray, k: int, lists: IdArray, closeness: FloatArray, allowed: IdMask | None = None
    ) -> Neighbours:
        """Search these lists [1, n], whose centroids score `closeness` [1, n]."""
        lists, closeness = np.ascontiguousarray(lists), np.ascontiguousarray(closeness)
        scores, ids = np.empty((1, k), np.float32), np.empty((1, k), np.int64)
        params = faiss.SearchParametersIVF(sel=_selector(allowed), nprobe=lists.shape[1])  # type: ignore[call-arg]
        pointers = [faiss.swig_ptr(array) for array in (lists, closeness, scores, ids)]
        self._index.search_preassigned_c(1, faiss.swig_ptr(query), k, *pointers, False, params)
        return Neighbours(scores, ids)

    @cached_property
    def _centroids(self) -> FloatArray:
        flat: Any = faiss.downcast_index(self._index.quantizer)
        values: FloatArray = faiss.rev_swig_ptr(flat.get_xb(), self.lists * self._index.d)  # FAISS's own memory
        return values.reshape(self.lists, self._index.d)

    @cached_property
    def held(self) -> Lists:
        """Which ids stand in which list."""
        lists = self._index.invlists
        none = np.empty(0, np.int64)  # an empty list has no pointer
        sizes = [lists.list_size(one) for one in range(self.lists)]
        return Lists.of(
            [faiss.rev_swig_ptr(lists.get_ids(one), size) if size else none for one, size in enumerate(sizes)]
        )


def load(path: Path, code_error: float | None = None, reach: float | None = None) -> FaissIndex:
    """Read an index file. The caller has checked its hash: FAISS trusts what it reads.

    code_error, reach: of an inverted index, as recorded with it; None for an index made before they were.
    """
    index = faiss.read_index(str(path))
    if faiss.try_extract_index_ivf(index) is None:
        return FaissIndex(index)
    return InvertedIndex(index, inf if code_error is None else code_error, inf if reach is None else reach)


def empty(rung: Rung, dimension: int, sample: FloatArray) -> FaissIndex:
    """An index without rows, ready for `add`. sample: unit vectors [n, dimension] to place the inverted lists by.

    n should be TRAIN_PER_LIST for each list; the exact scan learns nothing and takes n = 0.
    """
    if rung.kind == "exact-fp16":
        codes = faiss.IndexScalarQuantizer(dimension, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)
        return FaissIndex(faiss.IndexIDMap(codes))
    index = faiss.IndexIVFScalarQuantizer(
        faiss.IndexFlatIP(dimension), dimension, rung.lists, faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT
    )
    index.sq.rangestat_arg = CODE_MARGIN
    index.train(sample)
    return InvertedIndex(index)


def tune(index: FaissIndex, queries: FloatArray, truth: IdArray) -> float:
    """Set the smallest nprobe whose recall reaches TARGET_RECALL, and `reach`; return that recall.

    queries: unit vectors [n, dimension]; truth: int64 [n, TUNE_K], the ids of the exact best for each. Recall is the
    share of them among the candidates that a search of this index would score again.

    Queries must be of the kind that people ask: in a joint space text queries are out of distribution for an image
    index, and an nprobe chosen on image queries loses a fifth of their hits.
    """
    if not isinstance(index, InvertedIndex):
        return 1.0
    index.reach = _reach_of(index, queries[:REACH_QUERIES])
    index.nprobe = 1
    while True:
        found = index.candidates(queries, TUNE_K).ids
        recall = float(np.mean([len(np.intersect1d(t, f)) / len(t) for t, f in zip(truth, found, strict=True)]))
        if recall >= TARGET_RECALL or index.nprobe >= index.lists:
            return recall
        index.nprobe = min(index.lists, max(index.nprobe + 1, int(index.nprobe * 1.3)))


def _reach_of(index: InvertedIndex, queries: FloatArray) -> float:
    """How much higher than its list's centroid a hit scores that a filter has pushed far away from the query.

    For each query the nearest quarter of the lists is left out, and the ten best of the others are looked at. Of near
    hits the rise is smaller (98 % below 0.13 on clustered rows, against 0.24), and few lists come close to theirs.
    """
    hidden = int(HIDDEN_SHARE * index.lists)
    rises = []
    for query in np.ascontiguousarray(queries, np.float32)[:, None]:
        closeness, order = index.nearest(query)
        hits = index.visit(query, TUNE_K, order[:, hidden:], closeness[:, hidden:])
        there = hits.ids[0] != NO_ID
        place = np.argsort(order[0])[index.held.list_of[hits.ids[0][there]]]
        rises.append(hits.scores[0][there] - closeness[0][place])
    seen = np.concatenate([np.empty(0, np.float32), *rises])
    return float(np.quantile(seen, REACHED)) if len(seen) else inf


def _one_thread() -> None:
    # One thread per search: requests run side by side, and two OpenMP threads on a busy core were 25 times slower.
    # Set for each search because OpenMP keeps this number for each calling thread.
    faiss.omp_set_num_threads(1)


def _selector(allowed: IdMask | None) -> Any:
    # The bits belong to the mask, which outlives the search.
    return None if allowed is None else faiss.IDSelectorBitmap(len(allowed.packed), faiss.swig_ptr(allowed.packed))
