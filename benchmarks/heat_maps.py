"""Which heat map is true: the deletion test on photos that the starter never saw, each asked for in words.

    python -m benchmarks.heat_maps --data DIR [--photos 100] [--sets flickr8k ikea] [--out FILE]

DIR holds flickr8k, ikea and fashion, see `retrieval.training.sources`; of each, that many held-out photos are drawn.
Compared with what knows nothing of the query: random numbers, and the middle of the photo, where people put what they
photograph. Figures are means over photos with 95 % intervals (bootstrap over photos); differences are paired.
"""

import argparse
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.environment import describe
from retrieval.arrays import FloatArray
from retrieval.encoders import load_encoder
from retrieval.encoders.base import DualEncoder, SpatialEncoder
from retrieval.explain.deletion import Cover, blurred, faithfulness, grey
from retrieval.explain.occlusion import occlusion_map
from retrieval.images import decode_file
from retrieval.training.sources import Example, read_sources

SETS = ("flickr8k", "ikea", "fashion")
COVERS: Mapping[str, Cover] = {"grey": grey, "blur": blurred}
CELLS = 14
RESAMPLES = 2_000
Map = Callable[[npt.NDArray[np.uint8], FloatArray, np.random.Generator], FloatArray]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--photos", type=int, default=100, help="of each set")
    parser.add_argument("--sets", nargs="+", default=SETS, choices=SETS)
    parser.add_argument("--part", default="held_out", choices=("held_out", "validation"))
    parser.add_argument("--cover", default="grey", choices=tuple(COVERS), help="what takes the place of deleted parts")
    parser.add_argument("--runtime")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    encoder = load_encoder("starter", runtime=arguments.runtime)
    for name in arguments.sets:
        examples = [each for each in read_sources(arguments.data, [name]) if each.part == arguments.part]
        chosen = np.random.default_rng(0).permutation(len(examples))[: arguments.photos]
        figures, times = judged(encoder, [examples[i] for i in chosen], COVERS[arguments.cover])
        line = {
            "benchmark": "heat_maps",
            "set": name,
            "part": arguments.part,
            "cover": arguments.cover,
            "photos": len(chosen),
            "with_a_figure": len(figures["grid"]),
            "faithfulness": {kind: _interval(values) for kind, values in figures.items()},
            "grid_minus": {
                kind: _interval(figures["grid"] - values) for kind, values in figures.items() if kind != "grid"
            },
            "ms_per_map": {kind: round(float(np.median(values)), 1) for kind, values in times.items()},
            "fingerprint": encoder.spec.fingerprint,
            **describe(),
        }
        print(json.dumps(line), flush=True)
        if arguments.out:
            with arguments.out.open("a") as out:
                out.write(json.dumps(line) + "\n")


def judged(
    encoder: DualEncoder, examples: list[Example], cover: Cover
) -> tuple[dict[str, npt.NDArray[np.float64]], dict[str, list[float]]]:
    """Faithfulness by kind of map, of the photos where every kind has one, and milliseconds of each map."""
    maps: Mapping[str, Map] = {
        "grid": lambda pixels, query, _: _grid(encoder, pixels) @ query,
        "occlusion": lambda pixels, query, _: occlusion_map(encoder, pixels, query),
        "centre": lambda *_: _centre(),
        "random": lambda _, __, dice: dice.random((CELLS, CELLS)).astype(np.float32),
    }
    rows: list[list[float]] = []
    times: dict[str, list[float]] = {kind: [] for kind in maps}
    for number, example in enumerate(examples):
        pixels = encoder.preprocess(decode_file(example.image, target=encoder.image_size).image)
        query = encoder.encode_texts([next(iter(example.queries.values()))[0]])[0]
        dice = np.random.default_rng(number)
        found: list[float | None] = []
        for kind, make in maps.items():
            started = perf_counter()
            relevance = make(pixels, query, dice)
            times[kind].append((perf_counter() - started) * 1000)
            found.append(faithfulness(encoder, pixels, query, relevance, seed=number, cover=cover).figure)
        rows.append([np.nan if figure is None else figure for figure in found])
    table = np.asarray(rows)
    table = table[~np.isnan(table).any(axis=1)]
    return dict(zip(maps, table.T, strict=True)), times


def _grid(encoder: DualEncoder, pixels: npt.NDArray[np.uint8]) -> FloatArray:
    assert isinstance(encoder, SpatialEncoder)
    cells = encoder.grid(pixels[None])
    assert cells is not None
    return cells[0]


def _centre() -> FloatArray:
    away = np.abs(np.arange(CELLS) - (CELLS - 1) / 2)
    return -(away[:, None] ** 2 + away[None] ** 2).astype(np.float32)


def _interval(values: npt.NDArray[np.float64]) -> dict[str, Any]:
    dice = np.random.default_rng(0)
    means = values[dice.integers(len(values), size=(RESAMPLES, len(values)))].mean(axis=1)
    low, high = np.quantile(means, (0.025, 0.975))
    return {"mean": round(float(values.mean()), 4), "low": round(float(low), 4), "high": round(float(high), 4)}


if __name__ == "__main__":
    main()
