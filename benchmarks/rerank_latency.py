"""What reranking adds to a search with the starter: the same query with and without, in turns, to several depths.

    python -m benchmarks.rerank_latency --data DIR [--reranker DIR] [--depths 10 20 50 100] [--queries 300]
        [--photos 1000] [--runtime torch] [--folder DIR] [--out benchmarks/results/rerank_latency.jsonl]

DIR holds `flickr8k/captions.jsonl`. Its first photos are indexed with tokens, and captions of them are searched for,
each once. Every way answers with a searcher of its own that remembers no text, so each pays for the text tower; ways
are taken in turns, forwards and backwards, on one thread. `added` is the difference of one query's two times, of which
p50 and p95 are given; `rerank` is what the answer itself says of the step alone.
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.environment import describe
from indexer.pipeline import index_sources
from indexer.sources import open_source
from retrieval.collection import Collection
from retrieval.encoders import load_encoder
from retrieval.encoders.base import STARTER, DualEncoder
from retrieval.query import Query
from retrieval.rerankers import load_reranker
from retrieval.rerankers.base import Reranker
from retrieval.search import Answer, Searcher

K = 10
WARM_UP = 10
PLAIN = 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--reranker", default=STARTER)
    parser.add_argument("--depths", type=int, nargs="+", default=[10, 20, 50, 100])
    parser.add_argument("--queries", type=int, default=300)
    parser.add_argument("--photos", type=int, default=1_000)
    parser.add_argument("--runtime")
    parser.add_argument("--folder", type=Path, help="keep the collection there, or take it from there")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    reranker = load_reranker(arguments.reranker, runtime=arguments.runtime)
    encoder = load_encoder(STARTER, runtime=arguments.runtime)
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        captions = fill(folder, arguments.data / "flickr8k", arguments.photos, encoder)
        load = os.getloadavg()[0]
        with Collection.open(folder / "collection") as collection:
            words = captions[: arguments.queries + WARM_UP]
            for figures in measure(collection, encoder, reranker, words, arguments.depths):
                said = {"benchmark": "rerank_latency", "photos": len(captions), "load": round(load, 1)}
                said |= {"reranker": reranker.spec.kind, "runtime": reranker.runtime}
                line = json.dumps({**figures, **said, **describe()})
                print(line, flush=True)
                if arguments.out:
                    with arguments.out.open("a") as out:
                        out.write(line + "\n")


def fill(folder: Path, data: Path, photos: int, encoder: DualEncoder) -> list[str]:
    """The first English caption of each of the first photos, whose collection lies in `folder` / collection."""
    with (data / "captions.jsonl").open(encoding="utf-8") as lines:
        rows = [json.loads(line) for line, _ in zip(lines, range(photos), strict=False)]
    if not (folder / "collection").exists():
        folder.mkdir(parents=True, exist_ok=True)
        source = folder / "photos.jsonl"
        items = ({"id": n, "image": row["image"], "title": row["en"][1]} for n, row in enumerate(rows))
        source.write_text("".join(json.dumps(item) + "\n" for item in items), encoding="utf-8")
        index_sources(folder / "collection", [open_source(source, images_dir=data)], encoder, rerank_tokens=True)
    return [row["en"][0] for row in rows]


def measure(
    collection: Collection, encoder: DualEncoder, reranker: Reranker, words: Sequence[str], depths: Sequence[int]
) -> list[dict[str, object]]:
    """Figures for each depth, in milliseconds. Raises RuntimeError where an answer was not reranked."""
    ways = (PLAIN, *depths)
    took: dict[int, list[float]] = {way: [] for way in ways}
    steps: dict[int, list[float]] = {way: [] for way in ways}
    for number, text in enumerate(words):
        for depth in ways if number % 2 else reversed(ways):
            searcher = Searcher(collection, encoder, reranker)
            milliseconds, answer = timed(searcher.answer, Query.of(text, k=K, rerank=depth))
            took[depth].append(milliseconds)
            if depth != PLAIN:
                if not answer.reranked or not answer.reranked["scored"]:
                    raise RuntimeError(f"nothing was reranked: {'; '.join(answer.notes)}")
                steps[depth].append(answer.reranked["ms"])
    plain = np.array(took[PLAIN])[WARM_UP:]
    return [
        {
            "depth": depth,
            "queries": len(plain),
            **quantiles("without", plain),
            **quantiles("with", np.array(took[depth])[WARM_UP:]),
            **quantiles("added", np.array(took[depth])[WARM_UP:] - plain),
            **quantiles("rerank", np.array(steps[depth])[WARM_UP:]),
        }
        for depth in depths
    ]


def timed(answer: Callable[[Query], Answer], query: Query) -> tuple[float, Answer]:
    """Milliseconds of one answer, by the clock."""
    started = time.perf_counter()
    given = answer(query)
    return (time.perf_counter() - started) * 1000, given


def quantiles(name: str, milliseconds: npt.NDArray[np.float64]) -> dict[str, float]:
    p50, p95 = np.percentile(milliseconds, [50, 95])
    return {f"{name}_p50_ms": round(float(p50), 3), f"{name}_p95_ms": round(float(p95), 3)}


if __name__ == "__main__":
    main()
