"""Latency, recall, build time, file size and memory of vector search, by number of rows.

    python -m benchmarks.search [ROWS ...] [--out benchmarks/results/search.jsonl]

Rows and queries are drawn (`benchmarks.synthetic`) and go straight into a collection's database; the index is then
built and searched by the library's own code, one query at a time on one thread. Building runs in a process of its own,
so that its peak memory can be told. Recall is that of the answers as a reader gets them, against exact search over the
same stored vectors.
"""

import argparse
import json
import os
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.environment import describe
from benchmarks.synthetic import DIMENSION, Space, fill, in_process
from indexer.index_build import StoredRows
from retrieval.catalogue.engine import reading_engine
from retrieval.collection import Collection
from retrieval.index.generations import INDEX_FOLDER

QUERIES, K = 300, 10


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
    space = Space(rows)
    fill(folder, rows, space)
    asked = space.queries(QUERIES).vectors
    [built] = in_process("benchmarks.synthetic", f"build_here({str(folder)!r})")
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


if __name__ == "__main__":
    main()
