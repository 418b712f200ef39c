"""Does confidence tell queries that a shop can answer from nonsense, better than the raw cosine does?

    python -m benchmarks.confidence --data DIR [--part held_out] [--out benchmarks/results/confidence.jsonl]

DIR holds `fashion` and `ikea`; the demo catalogue is fetched. Of both only the part that no choice was made on is
indexed and asked about (`--part validation` is what the threshold was chosen on). For each catalogue and for photos and
texts: AUC of the best hit's confidence, and of its cosine, between real queries and nonsense, and between real queries
and what another shop sells; how many of each pass the threshold; 95 % intervals that resample queries.
"""

import argparse
import csv
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.confidence_queries import DEMO, ELSEWHERE, catalogue_queries, listed, nonsense
from benchmarks.environment import describe
from benchmarks.held_out import SHARES
from indexer.demo_catalogue import fetch
from indexer.pipeline import index_sources
from indexer.sources import open_source
from retrieval.catalogue.queries import Modality
from retrieval.collection import Collection
from retrieval.confidence.calibration import NOTHING_FITS_BELOW, nothing_fits
from retrieval.encoders import load_encoder
from retrieval.encoders.base import DualEncoder
from retrieval.settings import cache_dir
from retrieval.training.splits import part_of

Values = npt.NDArray[np.float64]
RESAMPLES = 2_000
GIBBERISH = "asdkjh qwpoe"


@dataclass(frozen=True)
class Shop:
    """A collection and queries: `short` and `long` real ones, `nonsense …`, `elsewhere`."""

    name: str
    folder: Path
    queries: dict[str, list[str]]


@dataclass(frozen=True)
class Answers:
    """Of each query's best hit: its cosine and its confidence, both [queries]."""

    score: Values
    confidence: Values


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", default="starter")
    parser.add_argument("--part", choices=("held_out", "validation"), default="held_out")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    encoder = load_encoder(arguments.model)
    with tempfile.TemporaryDirectory() as temporary:
        for shop in shops(arguments.data, arguments.part, Path(temporary), encoder):
            for modality in ("image", "text"):
                line: dict[str, Any] = {
                    "benchmark": "confidence",
                    "shop": shop.name,
                    "part": arguments.part,
                    "by": modality,
                    "model": arguments.model,
                    "threshold": NOTHING_FITS_BELOW,
                    **judged(shop, modality, encoder),
                    **describe(),
                }
                print(json.dumps(line, ensure_ascii=False), flush=True)
                if arguments.out:
                    with arguments.out.open("a", encoding="utf-8") as out:
                        out.write(json.dumps(line, ensure_ascii=False) + "\n")


def shops(data: Path, part: str, folder: Path, encoder: DualEncoder) -> Iterator[Shop]:
    """Three shops, each indexed into `folder`."""
    for name in SHARES:
        rows = catalogue_part(data / name / "products.csv", name, part, folder / f"{name}.csv")
        indexed(folder / name, folder / f"{name}.csv", data / name, encoder)
        real = catalogue_queries(folder / f"{name}.csv")
        yield Shop(name, folder / name, {**real, **_others([row["title"] for row in rows])})
    demo = fetch(cache_dir(), on_message=lambda said: print(said, file=sys.stderr))
    indexed(folder / "demo", demo, demo.parent / "images", encoder)
    with demo.open(encoding="utf-8-sig", newline="") as file:
        names = [one for row in csv.reader(file) if (one := row[0].strip())][1:]  # after the heading
    yield Shop("demo", folder / "demo", {"short": listed(DEMO), "long": names, **_others(names)})


def judged(shop: Shop, modality: Modality, encoder: DualEncoder) -> dict[str, Any]:
    """All figures of one shop and modality, as JSON values."""
    with Collection.open(shop.folder) as collection:
        found = {name: answers(collection, modality, encoder, asked) for name, asked in shop.queries.items()}
        rows = len(collection.view().of(modality))
        gibberish = answers(collection, modality, encoder, [GIBBERISH]).confidence[0]
    nonsensical = joined([one for name, one in found.items() if name.startswith("nonsense")])
    figures: dict[str, Any] = {"rows": rows}
    for name, real in (("short", found["short"]), ("long", found["long"])):
        for other, unreal in (("nonsense", nonsensical), ("elsewhere", found["elsewhere"])):
            figures[f"auc {name} / {other}"] = {
                "confidence": auc_with_interval(real.confidence, unreal.confidence),
                "cosine": auc_with_interval(real.score, unreal.score),
            }
    figures["nothing fits"] = {
        name: [int(sum(nothing_fits(one) for one in answer.confidence)), len(answer.confidence)]
        for name, answer in {**found, "nonsense": nonsensical}.items()
    }
    figures[GIBBERISH] = round(float(gibberish), 4)
    refused = [
        query
        for query, confidence in zip(shop.queries["short"], found["short"].confidence, strict=True)
        if nothing_fits(confidence)
    ]
    return {**figures, "short refused": refused[:20]}


def answers(collection: Collection, modality: Modality, encoder: DualEncoder, asked: Sequence[str]) -> Answers:
    """The best hit of each query, by the collection's own index and calibration."""
    newest = collection.view()
    view, calibration = newest.of(modality), newest.calibrations.get((modality, "words"))
    if calibration is None:
        raise SystemExit("the collection has no calibration")
    vectors = encoder.encode_texts(asked)
    best = view.search(vectors, 1, lambda ids: collection.vectors(modality, ids)).scores
    found = [float(calibration.confidence(one, score)[0]) for one, score in zip(vectors, best, strict=True)]
    return Answers(best[:, 0].astype(np.float64), np.array(found))


def joined(parts: Sequence[Answers]) -> Answers:
    """Answers to several lists of queries as one."""
    return Answers(np.concatenate([one.score for one in parts]), np.concatenate([one.confidence for one in parts]))


def auc(higher: Values, lower: Values) -> float:
    """The chance that a draw of `higher` exceeds one of `lower`, ties counted half (Mann and Whitney 1947)."""
    ordered = np.sort(lower)
    below, not_above = np.searchsorted(ordered, higher, "left"), np.searchsorted(ordered, higher, "right")
    return float((below + not_above).mean() / 2 / len(lower))


def auc_with_interval(higher: Values, lower: Values) -> list[float]:
    """AUC, and the ends of its 95 % percentile bootstrap interval; both lists of queries are resampled."""
    dice = np.random.default_rng(0)
    drawn = [auc(dice.choice(higher, len(higher)), dice.choice(lower, len(lower))) for _ in range(RESAMPLES)]
    return [round(one, 4) for one in (auc(higher, lower), *np.quantile(drawn, [0.025, 0.975]))]


def _others(titles: Sequence[str]) -> dict[str, list[str]]:
    kinds = {f"nonsense, {name}": strings for name, strings in nonsense(titles).items()}
    return {"elsewhere": listed(ELSEWHERE), **kinds}


def indexed(folder: Path, catalogue: Path, images: Path, encoder: DualEncoder) -> None:
    """Index a catalogue file into `folder`."""
    started = time.perf_counter()
    index_sources(folder, [open_source(catalogue, images_dir=images)], encoder)
    print(f"{folder.name} indexed in {time.perf_counter() - started:.0f} s", file=sys.stderr)


def catalogue_part(path: Path, name: str, part: str, to: Path) -> list[dict[str, str]]:
    """Write the rows of one part of a catalogue to a file of their own, and return them."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    kept = [row for row in rows if part_of(name, row["id"], held_out=SHARES[name], validation=0.1) == part]
    with to.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(kept)
    return kept


if __name__ == "__main__":
    main()
