"""Latency, recall, build time, file size and memory of vector search, by number of rows.

    python -m benchmarks.search [ROWS ...] [--out benchmarks/results/search.jsonl]

Rows are synthetic: 512-d unit vectors in overlapping clusters of low intrinsic dimension, as those of photos are.
Queries lie beside them, all moved the same way, as texts do in a joint space. The vectors go straight into a
collection's database; the index is then built and searched by the library's own code, one query at a time on one
thread. Building runs in a process of its own, so that its peak memory can be told. Recall is that of the answers as a
reader gets them, against exact search over the same stored vectors.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from sqlalchemy import func, insert, select

from benchmarks.environment import describe
from indexer.changes import write_counters
from indexer.compaction import compact
from indexer.index_build import StoredRows
from indexer.writer import open_writer
from retrieval.catalogue.engine import reading_engine
from retrieval.catalogue.queries import STORED_DTYPE
from retrieval.catalogue.schema import items, photo_embeddings, photos, sources, text_embeddings, texts
from retrieval.collection import Collection
from retrieval.encoders.base import EncoderSpec, FloatArray, unit_rows
from retrieval.index.generations import INDEX_FOLDER

DIMENSION = 512
CLUSTERS = 50
SPREAD = 1.5  # length of a row's own part against its cluster's
AXES = np.arange(1, DIMENSION + 1) ** -0.5  # lengths of the axes of a row's own part: clusters overlap along the first
SHIFT = 0.8  # how far queries are moved from where rows are
TEXTS, QUERIES, K = 1_000, 300, 10
BLOCK = 10_000
SPEC = EncoderSpec(name="synthetic", weights_hash="1", tokenizer="none", dimension=DIMENSION)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="*", type=int, default=[10_000, 100_000, 200_000])
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    for rows in arguments.rows:
        with tempfile.TemporaryDirectory() as folder:
            figures = measure(Path(folder), rows)
        line = json.dumps({"benchmark": "search", "rows": rows, "dimension": DIMENSION, **figures, **describe()})
        print(line, flush=True)
        if arguments.out:
            with arguments.out.open("a") as out:
                out.write(line + "\n")


def measure(folder: Path, rows: int) -> dict[str, object]:
    """All figures for one size. load: the machine's one-minute load average before."""
    load = os.getloadavg()[0]
    asked = fill(folder, rows)
    built = build(folder)
    with Collection.open(folder) as collection:
        index = collection.status()["index"]["image"]
        view = collection.view().image
        seconds, found = [], []
        for query in asked:
            started = time.perf_counter()
            answer = view.search(query[None], K, lambda wanted: collection.vectors("image", wanted))
            seconds.append(time.perf_counter() - started)
            found.append(answer.ids[0])
    engine = reading_engine(folder)
    with engine.connect() as connection:
        truth = StoredRows(connection, "image", DIMENSION).true_best(asked, K)
    engine.dispose()
    p50, p95 = np.percentile(seconds[10:], [50, 95]) * 1000  # the first few find nothing in the caches
    return {
        "kind": index["kind"],
        "nprobe": index["nprobe"],
        "p50_ms": round(float(p50), 2),
        "p95_ms": round(float(p95), 2),
        "recall_at_10": round(float(np.mean([np.isin(t, f).mean() for t, f in zip(truth, found, strict=True)])), 4),
        "tuned_recall": round(index["recall"], 4),
        **built,
        "file_mb": round((folder / INDEX_FOLDER / index["file"]).stat().st_size / 1e6, 1),
        "load": round(load, 1),
    }


def fill(folder: Path, rows: int) -> FloatArray:
    """Write a collection of `rows` photos and some texts, without an index; return unit queries [n, DIMENSION]."""
    generator = np.random.default_rng(rows)
    centres = unit_rows(generator.normal(size=(CLUSTERS, DIMENSION)))
    moved = SHIFT * unit_rows(generator.normal(size=(1, DIMENSION)))

    def draw(count: int) -> FloatArray:
        own = unit_rows(generator.normal(size=(count, DIMENSION)) * AXES)
        return unit_rows(centres[generator.integers(0, CLUSTERS, count)] + SPREAD * own)

    with open_writer(folder, SPEC) as writer, writer.engine.begin() as connection:
        connection.execute(insert(sources), {"id": 1, "kind": "table", "location": "synthetic"})
        item = {"source_id": 1, "title": "", "attributes": {}, "row_hash": ""}
        photo = {"position": 0, "content_hash": "", "width": 1, "height": 1}
        for start in range(1, rows + 1, BLOCK):
            ids = range(start, min(start + BLOCK, rows + 1))
            connection.execute(insert(items), [{"id": key, "item_id": str(key), **item} for key in ids])
            connection.execute(insert(photos), [{"id": key, "item": key, "path": str(key), **photo} for key in ids])
            drawn = draw(len(ids)).astype(STORED_DTYPE)
            vectors = [
                {"owner_id": key, "encoder_id": writer.encoder_id, "vector": vector.tobytes()}
                for key, vector in zip(ids, drawn, strict=True)
            ]
            connection.execute(insert(photo_embeddings), vectors)
        for key, vector in enumerate(unit_rows(draw(TEXTS) + moved).astype(STORED_DTYPE), start=1):
            connection.execute(insert(texts), {"id": key, "item": key, "field": "title", "content": ""})
            row = {"owner_id": key, "encoder_id": writer.encoder_id, "vector": vector.tobytes()}
            connection.execute(insert(text_embeddings), row)
        assert connection.execute(select(func.count()).select_from(photo_embeddings)).scalar_one() == rows
        write_counters(connection, {"revision": 1, "items": rows, "photos": rows, "texts": TEXTS})
    return unit_rows(draw(QUERIES) + moved)


def build(folder: Path) -> dict[str, float]:
    """Compact in a child process. build_s: wall time; build_peak_mb: largest resident set, Python's 90 MB included."""
    code = f"from benchmarks.search import compact_here; compact_here({str(folder)!r})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


def compact_here(folder: str) -> None:
    """Build the indexes of a collection in this process; print the time and the peak memory."""
    started = time.monotonic()
    with open_writer(Path(folder), SPEC) as writer:
        compact(Path(folder), writer.engine, lambda *_: None)
    seconds = time.monotonic() - started
    # Not ru_maxrss: a child starts with its parent's, and the parent held the rows.
    peak = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert peak is not None
    print(json.dumps({"build_s": round(seconds, 1), "build_peak_mb": round(int(peak[1]) / 1024, 1)}))


if __name__ == "__main__":
    main()
