"""Exact evaluation of 5,000 images x 25,000 captions x 512 in both directions, against the naive full matrix.

    python -m benchmarks.evaluation [--images 5000] [--captions 5] [--dimension 512] [--out RESULTS.jsonl]

`rank_exact` finds the best 100 of each query and the rank of every relevant document. So do the whole matrix of scores
with a stable argsort, which the tie rule needs (the sum of all ranks is checked to be equal), and the same with NumPy's
default argsort, which leaves the order of ties to chance. One exact search a query finds the best 100 only. Each runs
in a process of its own, with the threads as they are set. Peak memory is the process's largest resident set;
`inputs_mb` is what a process takes that only makes the vectors.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.environment import describe

WAYS = ("rank_exact", "naive_stable", "naive_default", "one_search_per_query")
DIRECTIONS = ("text_to_image", "image_to_text")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=5_000)
    parser.add_argument("--captions", type=int, default=5, help="of each image")
    parser.add_argument("--dimension", type=int, default=512)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--child", nargs=2, metavar=("WAY", "DIRECTION"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    shape = (arguments.images, arguments.captions, arguments.dimension)
    if arguments.child:
        print(json.dumps(measure(*arguments.child, *shape)))
        return
    found = {direction: {way: child(way, direction, shape) for way in WAYS} for direction in DIRECTIONS}
    for direction, ways in found.items():
        if ways["rank_exact"].pop("ranks") != ways["naive_stable"].pop("ranks"):
            raise SystemExit(f"{direction}: rank_exact and the naive way disagree")
        ways["naive_default"].pop("ranks")
    line = json.dumps(
        {
            "benchmark": "evaluation",
            "images": arguments.images,
            "captions": arguments.images * arguments.captions,
            "dimension": arguments.dimension,
            "threads": os.environ.get("OMP_NUM_THREADS", "as many as cores"),
            "inputs_mb": child("inputs", DIRECTIONS[0], shape)["peak_mb"],
            **found,
            **describe(),
        }
    )
    print(line)
    if arguments.out:
        with arguments.out.open("a") as out:
            out.write(line + "\n")


def child(way: str, direction: str, shape: tuple[int, int, int]) -> dict[str, float]:
    """`measure` in a fresh process."""
    images, captions, dimension = map(str, shape)
    command = [sys.executable, "-m", "benchmarks.evaluation", "--child", way, direction]
    command += ["--images", images, "--captions", captions, "--dimension", dimension]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def measure(way: str, direction: str, images: int, captions: int, dimension: int) -> dict[str, float]:
    """Seconds and peak memory of ranking one direction one way; `ranks` is the sum of all ranks, to compare."""
    import numpy as np

    from retrieval.encoders.base import unit_rows
    from retrieval.evaluation.judge import judge
    from retrieval.evaluation.ranking import DEPTH, rank_exact
    from retrieval.evaluation.types import Task
    from retrieval.index.exact import ExactIndex

    rng = np.random.default_rng(0)
    pictures = unit_rows(rng.standard_normal((images, dimension), dtype=np.float32))
    texts = rng.standard_normal((images * captions, dimension), dtype=np.float32)
    texts *= 0.35  # so that a caption's image stands at about rank 15 of 5,000, as with a weak model
    for caption in range(captions):
        texts[caption::captions] += pictures
    texts = unit_rows(texts)
    image_ids = tuple(f"i{row}" for row in range(images))
    text_ids = tuple(f"t{row}" for row in range(images * captions))
    own = {image: {text_ids[row * captions + nth]: 1 for nth in range(captions)} for row, image in enumerate(image_ids)}
    if direction == "text_to_image":
        qrels = {text: {image: 1} for image, row in own.items() for text in row}
        task, queries, documents = Task("text_to_image", text_ids, image_ids, qrels), texts, pictures
    else:
        task, queries, documents = Task("image_to_text", image_ids, text_ids, own), pictures, texts

    started = time.perf_counter()
    found: dict[str, float] = {}
    if way == "rank_exact":
        ranking = rank_exact(queries, documents, task)
        found["seconds"] = round(time.perf_counter() - started, 2)
        found["peak_mb"] = peak_mb()
        found["ranks"] = int(sum(row.sum() for row in ranking.ranks))
        started = time.perf_counter()
        result = judge(task, ranking, ["success@1", "success@5", "success@10", "recall@10", "mrr@10", "median_rank"])
        found["judge_seconds"] = round(time.perf_counter() - started, 2)
        found["median_rank"] = result.figures["median_rank"]
        return found
    if way == "one_search_per_query":
        index = ExactIndex(np.arange(len(documents)), documents)
        for query in queries:
            index.search(query[None], DEPTH)
    elif way != "inputs":
        scores = queries @ documents.T
        order = np.argsort(-scores, axis=1, kind="stable" if way == "naive_stable" else None)
        ranks = np.empty_like(order)
        np.put_along_axis(ranks, order, np.arange(1, len(documents) + 1)[None, :], axis=1)
        best = order[:, :DEPTH]
        np.take_along_axis(scores, best, axis=1)
        rows = np.arange(len(queries))
        if direction == "text_to_image":
            found["ranks"] = int(ranks[rows, rows // captions].sum())
        else:
            found["ranks"] = int(sum(ranks[rows, rows * captions + nth].sum() for nth in range(captions)))
    return {"seconds": round(time.perf_counter() - started, 2), "peak_mb": peak_mb(), **found}


def peak_mb() -> float:
    """Largest resident set of this process so far."""
    status = Path("/proc/self/status").read_text()
    kilobytes = next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]
    return round(int(kilobytes) / 1024, 1)


if __name__ == "__main__":
    main()
