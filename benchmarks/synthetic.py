"""A collection of drawn vectors that behaves as a catalogue of photos does: categories, and queries beside the rows.

Rows are unit vectors of 512 numbers: a category's centre, a kind's within it, and a part of its own of low intrinsic
dimension, so that clusters overlap. Queries lie beside them, all moved the same way, as texts do in a joint space.
They are written straight into the database in blocks; nothing is held but a block and the labels.
"""

import json
import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from sqlalchemy import func, insert, select

from indexer.changes import write_counters
from indexer.compaction import compact
from indexer.writer import open_writer
from retrieval.arrays import FloatArray
from retrieval.catalogue.queries import STORED_DTYPE
from retrieval.catalogue.schema import items, photo_embeddings, photos, sources, text_embeddings, texts
from retrieval.encoders.base import EncoderSpec, unit_rows

DIMENSION = 512
CATEGORIES, KINDS = 50, 20  # kinds of each category: 1,000 kinds in all, each a thousandth of the rows
KIND_SPREAD = 0.5  # length of a kind's part against its category's
SPREAD = 1.5  # length of a row's own part
AXES = np.arange(1, DIMENSION + 1) ** -0.5  # lengths of the axes of a row's own part: clusters overlap along the first
SHIFT = 0.8  # how far queries are moved from where rows are
TEXTS = 1_000
BLOCK = 10_000
SPEC = EncoderSpec(name="synthetic", weights_hash="1", tokenizer="none", dimension=DIMENSION)

Labels = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Asked:
    """vectors: unit float32 [n, DIMENSION]; kinds: int64 [n], the kind that each query lies beside."""

    vectors: FloatArray
    kinds: Labels


class Space:
    """Draws rows and queries; the same seed draws the same."""

    def __init__(self, seed: int) -> None:
        self._random = np.random.default_rng(seed)
        categories = unit_rows(self._random.normal(size=(CATEGORIES, DIMENSION)))
        kinds = unit_rows(self._random.normal(size=(CATEGORIES * KINDS, DIMENSION)))
        self._centres = np.repeat(categories, KINDS, axis=0) + KIND_SPREAD * kinds
        self._moved = SHIFT * unit_rows(self._random.normal(size=(1, DIMENSION)))

    def rows(self, count: int) -> tuple[FloatArray, Labels]:
        """Unit vectors float32 [count, DIMENSION] and the kind of each; kind // KINDS is its category."""
        own = unit_rows(self._random.normal(size=(count, DIMENSION)) * AXES)
        labels = self._random.integers(0, len(self._centres), count)
        return unit_rows(self._centres[labels] + SPREAD * own), labels

    def queries(self, count: int) -> Asked:
        """As texts lie: beside rows, all moved the same way."""
        vectors, labels = self.rows(count)
        return Asked(unit_rows(vectors + self._moved), labels)


def fill(folder: Path, rows: int, space: Space) -> Labels:
    """Write a collection of `rows` photos, one an item, and some texts, without an index.

    Returns the kind of each photo, int64 [rows]; the ids of items and photos count from 1. Items have a category, a
    kind and a price.
    """
    kinds = np.empty(rows, np.int64)
    with open_writer(folder, SPEC) as writer, writer.engine.begin() as connection:
        connection.execute(insert(sources), {"id": 1, "kind": "table", "location": "synthetic"})
        for start in range(0, rows, BLOCK):
            vectors, labels = space.rows(min(BLOCK, rows - start))
            kinds[start : start + len(labels)] = labels
            described = [(start + at, int(kind)) for at, kind in enumerate(labels, start=1)]
            connection.execute(insert(items), [_item(key, kind) for key, kind in described])
            connection.execute(insert(photos), [_photo(key) for key, _ in described])
            stored = vectors.astype(STORED_DTYPE)
            connection.execute(
                insert(photo_embeddings),
                [_embedding(key, writer.encoder_id, row) for (key, _), row in zip(described, stored, strict=True)],
            )
        beside = space.queries(TEXTS).vectors.astype(STORED_DTYPE)
        for key, row in enumerate(beside, start=1):
            item = (key - 1) % rows + 1
            connection.execute(insert(texts), {"id": key, "item": item, "field": "title", "content": ""})
            connection.execute(insert(text_embeddings), _embedding(key, writer.encoder_id, row))
        assert connection.execute(select(func.count()).select_from(photo_embeddings)).scalar_one() == rows
        write_counters(connection, {"revision": 1, "items": rows, "photos": rows, "texts": TEXTS})
    return kinds


def build_here(folder: str) -> None:
    """Build the index of a collection in this process; print the time and the peak memory."""
    started = time.monotonic()
    with open_writer(Path(folder), SPEC) as writer:
        compact(Path(folder), writer.engine, lambda *_: None)
    print(json.dumps({"build_s": round(time.monotonic() - started, 1), "build_peak_mb": peak_mb()}))


def peak_mb() -> float:
    """Largest resident set of this process so far. Not ru_maxrss: a child starts with its parent's."""
    peak = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert peak is not None
    return round(int(peak[1]) / 1024, 1)


def in_process(module: str, call: str) -> list[dict[str, float]]:
    """Call a module's function in a process of its own, on one thread; the JSON lines that it printed."""
    command = [sys.executable, "-c", f"import {module} as here; here.{call}"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=environment)
    return [json.loads(line) for line in done.stdout.splitlines()]


def _item(key: int, kind: int) -> dict[str, object]:
    described = {
        "category": f"category {kind // KINDS}",
        "kind": f"kind {kind}",
        "price": key * 7919 % 100_000 / 100,
    }
    return {
        "id": key,
        "item_id": str(key),
        "source_id": 1,
        "title": f"item {key}",
        "attributes": described,
        "row_hash": "",
    }


def _photo(key: int) -> dict[str, object]:
    return {"id": key, "item": key, "path": str(key), "position": 0, "content_hash": "", "width": 1, "height": 1}


def _embedding(key: int, encoder_id: int, row: npt.NDArray[np.float16]) -> dict[str, object]:
    return {"owner_id": key, "encoder_id": encoder_id, "vector": row.tobytes()}
