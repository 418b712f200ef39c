"""Search under filters: recall, latency and memory by plan, for filters by chance and filters that follow the vectors.

    python -m benchmarks.filtered [--rows N] [--queries N] [--folder DIR] [--out benchmarks/results/filtered.jsonl]

Rows and queries are those of `benchmarks.synthetic`, in a real collection on disk with its own index. A filter permits
a share of the rows: `random` by chance; `own` those of the query's own kind and the kinds after it, as a shopper
filters for what the words name; `others` kinds of other categories, as when the words do not fit the filter. Each query
meets every filter in turn, one search at a time on one thread; what is timed is `VectorView.search` with a new mask, as
a filter gives it. Core milliseconds are those that the thread itself worked, which other work on the machine stretches
less than the clock's. Building and searching run in processes of their own, so that their peak memory can be told. With
--folder the collection is kept, and taken as it is if it is there.
"""

import argparse
import json
import os
import tempfile
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.environment import describe
from benchmarks.synthetic import CATEGORIES, DIMENSION, KINDS, Asked, Labels, Space, fill, in_process, peak_mb
from indexer.index_build import StoredRows
from retrieval.arrays import IdArray
from retrieval.catalogue.engine import reading_engine
from retrieval.collection import Collection
from retrieval.index.base import NO_ID, IdMask

K = 10
FILTERS = [("none", 1.0)] + [
    (kind, share) for kind in ("random", "own", "others") for share in (0.5, 0.05, 0.01, 0.001)
]
QUERIES_AT_ONCE = 50  # against all rows: 200 MB of scores for a million
WARM_UP = 5

Truth = npt.NDArray[np.int64]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        if not (folder / "drawn.npz").exists():
            draw(folder, arguments.rows, arguments.queries)
        load = os.getloadavg()[0]
        for figures in in_process("benchmarks.filtered", f"search_here({str(folder)!r})"):
            line = json.dumps(
                {"benchmark": "filtered", "dimension": DIMENSION, **figures, "load": round(load, 1), **describe()}
            )
            print(line, flush=True)
            if arguments.out:
                with arguments.out.open("a") as out:
                    out.write(line + "\n")


def draw(folder: Path, rows: int, queries: int) -> None:
    """Make the collection, its index, the queries and the true answers under every filter."""
    space = Space(rows)
    kinds = fill(folder, rows, space)
    asked = space.queries(queries)
    [built] = in_process("benchmarks.synthetic", f"build_here({str(folder)!r})")
    found = {f"{kind} {share}": answers for (kind, share), answers in true_answers(folder, kinds, asked).items()}
    np.savez(folder / "drawn.npz", vectors=asked.vectors, asked=asked.kinds, kinds=kinds, **found, **built)


def permitted(kind: str, share: float, kinds: Labels, own: int, query: int) -> npt.NDArray[np.bool_]:
    """Which rows a filter permits, bool [rows]; own: the kind that the query lies beside."""
    if kind == "random":
        return np.random.default_rng(query).random(len(kinds)) < share
    first = own if kind == "own" else (own // KINDS + 1) * KINDS
    # Other categories than the query's end where it begins again.
    wanted = min(max(1, round(share * CATEGORIES * KINDS)), CATEGORIES * KINDS - (KINDS if kind == "others" else 0))
    return np.asarray((kinds - first) % (CATEGORIES * KINDS) < wanted)


def true_answers(folder: Path, kinds: Labels, asked: Asked) -> dict[tuple[str, float], Truth]:
    """For every filter the ids of the true best K of the stored vectors, int64 [queries, K], padded with NO_ID."""
    found = {one: np.empty((len(asked.vectors), K), np.int64) for one in FILTERS}
    engine = reading_engine(folder)
    with engine.connect() as connection:
        for start in range(0, len(asked.vectors), QUERIES_AT_ONCE):
            some = asked.vectors[start : start + QUERIES_AT_ONCE]
            blocks = StoredRows(connection, "image", DIMENSION).blocks()
            scores = np.concatenate([some @ vectors.astype(np.float32).T for _, vectors in blocks], axis=1)
            for kind, share in FILTERS:
                for at, row in enumerate(scores, start=start):
                    allowed = permitted(kind, share, kinds, int(asked.kinds[at]), at) if kind != "none" else True
                    hidden = np.where(allowed, row, -np.inf)
                    best = np.argpartition(-hidden, K)[:K]
                    found[kind, share][at] = np.where(np.isneginf(hidden[best]), NO_ID, best + 1)  # ids count from 1
    engine.dispose()
    return found


def search_here(folder: str) -> None:
    """Search with every query under every filter in this process; print a line of figures for each filter."""
    drawn = np.load(Path(folder) / "drawn.npz")
    kinds, queries, own = drawn["kinds"], drawn["vectors"], drawn["asked"]
    with Collection.open(Path(folder)) as collection:
        index, view = collection.status()["index"]["image"], collection.view().image
        loaded = peak_mb()

        def fetch(ids: list[int]) -> tuple[IdArray, npt.NDArray[np.float16]]:
            return collection.vectors("image", ids)

        for query in queries[:WARM_UP]:
            view.search(query[None], K, fetch)
        seen: dict[tuple[str, float], list[tuple[float, float, float, int, bool]]] = {one: [] for one in FILTERS}
        names: dict[tuple[str, float], set[str]] = {one: set() for one in FILTERS}
        for at, query in enumerate(queries):
            for kind, share in FILTERS:
                allowed = None
                if kind != "none":
                    allowed = np.concatenate([[False], permitted(kind, share, kinds, int(own[at]), at)])  # no id 0
                started, core = time.perf_counter(), time.thread_time()
                found = view.search(query[None], K, fetch, None if allowed is None else IdMask(allowed))
                took, core = (time.perf_counter() - started) * 1000, (time.thread_time() - core) * 1000
                recall = float(np.isin(drawn[f"{kind} {share}"][at], found.ids).mean())
                seen[kind, share].append((took, core, recall, found.plan.nprobe, found.plan.exact))
                names[kind, share].add(found.plan.name)
    for kind, share in FILTERS:
        took, core, recalls, lists, exact = (np.array(column, float) for column in zip(*seen[kind, share], strict=True))
        figures = {
            "rows": len(kinds),
            "filter": kind,
            "share": share,
            "plan": ", ".join(sorted(names[kind, share])),
            "exact": round(float(exact.mean()), 3),
            "recall_at_10": round(float(recalls.mean()), 4),
            "p50_ms": round(float(np.percentile(took, 50)), 2),
            "p95_ms": round(float(np.percentile(took, 95)), 2),
            "core_p50_ms": round(float(np.percentile(core, 50)), 2),
            "core_p95_ms": round(float(np.percentile(core, 95)), 2),
            "lists_p50": int(np.median(lists)),
            "queries": len(queries),
            "nprobe": index["nprobe"],
            "loaded_mb": loaded,
            "search_peak_mb": peak_mb(),
            "build_s": float(drawn["build_s"]),
            "build_peak_mb": float(drawn["build_peak_mb"]),
        }
        print(json.dumps(figures))


if __name__ == "__main__":
    main()
