"""FAISS behind the VectorIndex seam: the only module that imports it."""

from pathlib import Path
from typing import Any

import faiss
import numpy as np
import numpy.typing as npt

from retrieval.encoders.base import FloatArray
from retrieval.errors import StorageError
from retrieval.index.base import NO_ID, IdArray, IdMask, Neighbours, best
from retrieval.index.ladder import OVERFETCH, Rung

TRAIN_PER_LIST = 40  # k-means is good from about 40 points per centroid on; more costs time and memory, not recall
TARGET_RECALL = 0.98
TUNE_QUERIES = 200
TUNE_K = 10


class FaissIndex:
    """An exact float16 scan or an inverted file, keyed by our own ids."""

    def __init__(self, index: Any) -> None:
        self._index = index
        self._inverted = faiss.try_extract_index_ivf(index)

    @property
    def exact(self) -> bool:
        return self._inverted is None

    @property
    def nprobe(self) -> int:
        """Inverted lists visited by a search; 0 for the exact scan."""
        return 0 if self._inverted is None else int(self._inverted.nprobe)

    def __len__(self) -> int:
        return int(self._index.ntotal)

    def add(self, ids: IdArray, vectors: npt.NDArray[np.floating]) -> None:
        """Add rows: ids int64 [n], never used before; unit vectors [n, dimension]. Only while the index is built."""
        self._index.add_with_ids(np.ascontiguousarray(vectors, np.float32), ids)

    def search(self, queries: FloatArray, k: int, allowed: IdMask | None = None) -> Neighbours:
        k_here = min(k, len(self))
        if k_here == 0:
            return best(np.empty((len(queries), 0), np.float32), np.empty((len(queries), 0), np.int64), k)
        # One thread per search: requests run side by side, and two OpenMP threads on a busy core were 25 times slower.
        # Set here because OpenMP keeps this number for each calling thread.
        faiss.omp_set_num_threads(1)
        options: dict[str, Any] = {}
        if allowed is not None:
            packed = allowed.packed
            options["sel"] = faiss.IDSelectorBitmap(len(packed), faiss.swig_ptr(packed))
        queries = np.ascontiguousarray(queries, np.float32)
        if self._inverted is None:
            scores, ids = self._index.search(queries, k_here, params=faiss.SearchParameters(**options))
            return best(scores, ids, k)
        nprobe = self.nprobe
        while True:
            params = faiss.SearchParametersIVF(**options, nprobe=nprobe)  # type: ignore[call-arg]
            scores, ids = self._index.search(queries, k_here, params=params)
            # The lists visited may hold fewer than k permitted rows (a large k, a narrow mask): then visit more.
            if nprobe >= self._inverted.nlist or (ids != NO_ID).all():
                return best(scores, ids, k)
            nprobe = min(4 * nprobe, self._inverted.nlist)

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


def load(path: Path) -> FaissIndex:
    """Read an index file. The caller has checked its hash: FAISS trusts what it reads."""
    return FaissIndex(faiss.read_index(str(path)))


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
    index.train(sample)
    return FaissIndex(index)


def tune(index: FaissIndex, queries: FloatArray, truth: IdArray) -> float:
    """Set the smallest nprobe whose recall reaches TARGET_RECALL; return that recall.

    queries: unit vectors [n, dimension]; truth: int64 [n, k], the ids of the exact best k for each. Recall is the share
    of them among the k * OVERFETCH candidates that a search of this index would score again.

    Queries must be of the kind that people ask: in a joint space text queries are out of distribution for an image
    index, and an nprobe chosen on image queries loses a fifth of their hits.
    """
    inverted = index._inverted
    if inverted is None:
        return 1.0
    k = truth.shape[1]
    inverted.nprobe = 1
    while True:
        found = index.search(queries, k * OVERFETCH).ids
        recall = float(np.mean([len(np.intersect1d(t, f)) / k for t, f in zip(truth, found, strict=True)]))
        if recall >= TARGET_RECALL or inverted.nprobe >= inverted.nlist:
            return recall
        inverted.nprobe = min(inverted.nlist, max(inverted.nprobe + 1, int(inverted.nprobe * 1.3)))
