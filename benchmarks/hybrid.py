"""What fusing photos, texts and words is worth against each alone, on products and photos that were not trained on:

    python -m benchmarks.hybrid --data DIR [--out benchmarks/results/hybrid.jsonl] [--part held_out]

DIR holds `fashion`, `ikea` and `flickr8k`. Each setting is a collection of its own, indexed with the starter, and
asked through `Searcher.search`: as a shop's visitor would (`attribute_queries`), in words that the catalogue does not
use, and where titles give nothing away. p values are those of the paired randomisation test of hybrid against each leg.
"""

import argparse
import csv
import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.attribute_queries import (
    AttributeQuery,
    Row,
    description_queries,
    fashion_queries,
    ikea_queries,
    without_attributes,
)
from benchmarks.environment import describe
from benchmarks.held_out import SHARES
from indexer.pipeline import index_sources
from indexer.sources import open_source
from indexer.sources.names import title_from_file_name
from retrieval.encoders import load_encoder
from retrieval.encoders.base import DualEncoder
from retrieval.evaluation.compare import compare
from retrieval.evaluation.judge import judge
from retrieval.evaluation.types import Ranking, Task, TaskResult
from retrieval.search import Searcher
from retrieval.training.splits import part_of

LEGS = ("image", "text", "lexical", "hybrid")
MEASURES = ("success@1", "success@10", "ndcg@10")
DEPTH = 10
VALIDATION = 0.1


@dataclass(frozen=True)
class Setting:
    """rows: id, title, description and image of each item; images: where their paths start."""

    name: str
    rows: Sequence[Row]
    images: Path
    queries: Sequence[AttributeQuery]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--part", choices=("held_out", "validation"), default="held_out")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    encoder = load_encoder("starter")
    for setting in settings(arguments.data, arguments.part):
        results = judged(setting, encoder)
        line = {
            "benchmark": "hybrid",
            "setting": setting.name,
            "part": arguments.part,
            "items": len(setting.rows),
            "queries": len(setting.queries),
            "relevant_per_query": round(sum(len(one.relevant) for one in setting.queries) / len(setting.queries), 2),
            **{leg: figures(result) for leg, result in results.items()},
            "hybrid_against": {leg: against(results[leg], results["hybrid"]) for leg in LEGS[:-1]},
            **describe(),
        }
        print(json.dumps(line), flush=True)
        if arguments.out:
            with arguments.out.open("a") as out:
                out.write(json.dumps(line) + "\n")


def settings(data: Path, part: str) -> Iterator[Setting]:
    """Easy ones, where titles say what is asked, and hard ones, where they do not."""
    fashion, ikea = ([*_part(data, source, part)] for source in ("fashion", "ikea"))
    folder = data / "fashion"
    yield Setting("fashion, its own words", fashion, folder, fashion_queries(fashion))
    yield Setting("fashion, other words", fashion, folder, fashion_queries(fashion, other_words=True))
    bare = [{**row, "title": title} for row, title in zip(fashion, without_attributes(fashion), strict=True)]
    yield Setting("fashion, titles without attributes", bare, folder, fashion_queries(fashion))
    folder = data / "ikea"
    yield Setting("ikea, its own words", ikea, folder, ikea_queries(ikea))
    yield Setting("ikea, other words", ikea, folder, ikea_queries(ikea, other_words=True))
    titled = [{**row, "description": ""} for row in ikea]
    yield Setting("ikea, asked by descriptions it does not have", titled, folder, description_queries(ikea))
    yield _numbered_photos(data / "flickr8k", part)


def _part(data: Path, source: str, part: str) -> Iterator[Row]:
    with (data / source / "products.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if part_of(source, row["id"], held_out=SHARES[source], validation=VALIDATION) == part:
                yield {"description": "", **row}


def _numbered_photos(folder: Path, part: str) -> Setting:
    """Photos as a camera names them, asked for by the first caption of each."""
    lines = [json.loads(line) for line in (folder / "captions.jsonl").read_text(encoding="utf-8").splitlines()]
    photos = [
        line
        for line in lines
        if ("held_out" if line["split"] == "val" else part_of("flickr8k", line["image"], held_out=0, validation=0.1))
        == part
    ]
    rows = [
        {"id": line["image"], "title": title_from_file_name(line["image"]), "description": "", "image": line["image"]}
        for line in photos
    ]
    captions: dict[str, set[str]] = {}
    for line in photos:
        captions.setdefault(line["en"][0], set()).add(line["image"])
    queries = [AttributeQuery(words, frozenset(relevant)) for words, relevant in captions.items()]
    return Setting("photos with numbers for names", rows, folder, queries)


def judged(setting: Setting, encoder: DualEncoder) -> dict[str, TaskResult]:
    """By leg."""
    documents = tuple(row["id"] for row in setting.rows)
    names = tuple(f"{number}" for number in range(len(setting.queries)))
    qrels = {name: dict.fromkeys(sorted(query.relevant), 1) for name, query in zip(names, setting.queries, strict=True)}
    task = Task("text_to_image", names, documents, qrels)
    with tempfile.TemporaryDirectory() as temporary:
        catalogue = Path(temporary) / "products.csv"
        with catalogue.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, ("id", "title", "description", "image"), extrasaction="ignore")
            writer.writeheader()
            writer.writerows(setting.rows)
        collection = Path(temporary) / "collection"
        index_sources(collection, [open_source(catalogue, images_dir=setting.images)], encoder)
        with Searcher.open(collection, encoder) as searcher:
            return {leg: judge(task, _answers(searcher, task, setting.queries, leg), MEASURES) for leg in LEGS}


def _answers(searcher: Searcher, task: Task, queries: Sequence[AttributeQuery], leg: str) -> Ranking:
    position = {name: place for place, name in enumerate(task.document_ids)}
    top = np.full((len(queries), DEPTH), -1, dtype=np.int64)
    scores = np.full((len(queries), DEPTH), -np.inf, dtype=np.float32)
    ranks = []
    for number, query in enumerate(queries):
        hits = searcher.search(query.words, k=DEPTH, by=leg).hits
        top[number, : len(hits)] = [position[hit.item_id] for hit in hits]
        scores[number, : len(hits)] = [hit.score for hit in hits]
        ranks.append(np.array([hit.rank for hit in hits if hit.item_id in query.relevant], dtype=np.int64))
    return Ranking(top, scores, ranks)


def figures(result: TaskResult) -> dict[str, Any]:
    """Each measure with its 95 % interval."""
    return {
        measure: [round(result.figures[measure], 4), *(round(end, 4) for end in result.intervals[measure])]
        for measure in MEASURES
    }


def against(alone: TaskResult, hybrid: TaskResult) -> Mapping[str, Any]:
    """By measure: the difference, its 95 % interval and its p value."""
    found = {}
    for measure in MEASURES:
        one = compare(alone, hybrid, measure)
        found[measure] = {
            "difference": round(one.difference, 4),
            "interval": one.interval and [round(end, 4) for end in one.interval],
            "p": round(one.p_value, 4),
        }
    return found


if __name__ == "__main__":
    main()
