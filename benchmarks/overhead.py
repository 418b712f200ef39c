"""What the query layer costs on top of the vector search itself: `Searcher.answer` against the bare FAISS call.

    python -m benchmarks.overhead [--rows 100000] [--queries 300] [--out benchmarks/results/overhead.jsonl]

The collection is drawn (`benchmarks.synthetic`) and indexed by the library. Words are encoded by a look-up, which costs
nothing, and each query comes once, so no vector is remembered; embeddings are given as they are. For every query the
bare call and the answers run one after the other, in turns, on one thread: FAISS's own search of the same index for ten
neighbours, with the permitted ids as a bitmap that is ready; and `answer`, from the query value to hits with titles,
photos and attributes. Ratios are of medians, by the clock and by core time, which is what the thread itself worked.
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import numpy.typing as npt
from PIL import Image

from benchmarks.environment import describe
from benchmarks.synthetic import SPEC, Space, fill, in_process
from retrieval.arrays import FloatArray
from retrieval.collection import Collection
from retrieval.encoders.base import EncoderSpec
from retrieval.filters import matching, parse
from retrieval.index.base import IdMask
from retrieval.index.faiss_index import FaissIndex
from retrieval.query import Part, Query
from retrieval.search import Searcher

K = 10
FILTERS = {None: 1.0, "price < 500": 0.5, "price < 50": 0.05, "price < 10": 0.01}
WARM_UP = 10


class LookUp:
    """An encoder whose texts are numbers of ready vectors."""

    spec: EncoderSpec = SPEC
    image_size = 8

    def __init__(self, vectors: FloatArray) -> None:
        self.vectors = vectors

    def preprocess(self, image: Image.Image) -> npt.NDArray[Any]:
        raise NotImplementedError

    def encode_images(self, pixels: npt.NDArray[Any]) -> FloatArray:
        raise NotImplementedError

    def encode_texts(self, texts: Sequence[str]) -> FloatArray:
        return self.vectors[[int(text) for text in texts]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--queries", type=int, default=300)
    parser.add_argument("--folder", type=Path, help="keep the collection there, or take it from there")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        space = Space(arguments.rows)
        if not (folder / "catalog.db").exists():
            fill(folder, arguments.rows, space)
            in_process("benchmarks.synthetic", f"build_here({str(folder)!r})")
        load = os.getloadavg()[0]
        for figures in measure(folder, space.queries(arguments.queries).vectors):
            figures |= {"benchmark": "overhead", "rows": arguments.rows, "load": round(load, 1)}
            line = json.dumps({**figures, **describe()})
            print(line, flush=True)
            if arguments.out:
                with arguments.out.open("a") as out:
                    out.write(line + "\n")


def measure(folder: Path, vectors: FloatArray) -> list[dict[str, object]]:
    """Figures for each filter, in milliseconds."""
    with Collection.open(folder) as collection:
        return [
            {"filter": text, "share": share, **summary(timed(collection, text, vectors))}
            for text, share in FILTERS.items()
        ]


def timed(collection: Collection, text: str | None, vectors: FloatArray) -> dict[str, list[float]]:
    """Milliseconds of each way for each query."""
    searcher = Searcher(collection, LookUp(vectors))

    def answer(part: Part) -> object:
        return searcher.answer(Query((part,), k=K, filter=text))

    calls: dict[str, Callable[[int], object]] = {
        "bare": bare(collection, text, vectors),
        "words": lambda at: answer(Part(words=str(at))),
        "embedding": lambda at: answer(Part(vector=tuple(vectors[at].tolist()))),
    }
    took: dict[str, list[float]] = {way: [] for name in calls for way in (name, f"{name}_core")}
    for at in range(len(vectors)):
        for name in list(calls) if at % 2 else list(reversed(calls)):
            started, core = time.perf_counter(), time.thread_time()
            calls[name](at)
            took[name].append((time.perf_counter() - started) * 1000)
            took[f"{name}_core"].append((time.thread_time() - core) * 1000)
    return took


def summary(took: dict[str, list[float]]) -> dict[str, float]:
    """p50 and p95 of each way, and how many times the bare call's p50 the answers take."""
    quantiles = {name: np.percentile(values[WARM_UP:], [50, 95]) for name, values in took.items()}
    figures = {}
    for name, (p50, p95) in quantiles.items():
        figures |= {f"{name}_p50_ms": round(float(p50), 3), f"{name}_p95_ms": round(float(p95), 3)}
    for kind in ("", "_core"):
        for name in ("words", "embedding"):
            figures[f"{name}{kind}_ratio"] = round(float(quantiles[name + kind][0] / quantiles[f"bare{kind}"][0]), 3)
    return figures


def bare(collection: Collection, text: str | None, vectors: FloatArray) -> Callable[[int], object]:
    """FAISS's own search of the collection's photos."""
    view = collection.view().image
    assert isinstance(view.base, FaissIndex)
    index, nprobe = view.base._index, view.base.nprobe
    options: dict[str, Any] = {}
    if text is not None:
        asked = parse(text)
        _, table = collection.view_with_items(asked.fields)
        mask: IdMask = table.mask("image", matching(asked, table))
        options["sel"] = faiss.IDSelectorBitmap(len(mask.packed), faiss.swig_ptr(mask.packed))
    kind = faiss.SearchParametersIVF if nprobe else faiss.SearchParameters
    params = kind(**options, nprobe=nprobe) if nprobe else kind(**options)

    def search(at: int) -> object:
        faiss.omp_set_num_threads(1)
        return index.search(vectors[at : at + 1], K, params=params), mask if text else None

    return search


if __name__ == "__main__":
    main()
