"""Which kind of reranker is worth most on Flickr8k, all trained with the same settings on the starter's tokens.

But for one: a batch of the first phase is what a kind can judge all pairs of, `contrast_batch` in each line.

    python -m benchmarks.rerank_ablation --data DIR [--cache DIR] [--kinds maxsim …] [--out FILE]
        [--contrast-epochs N] [--epochs N]

DIR holds `flickr8k/captions.jsonl`. Of its split `train`, the pictures that the starter's heads were trained on train
and the others, `part_of("flickr8k", image, held_out=0, validation=0.1)`, choose; the split `val` is reported.
"""

import argparse
import json
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.environment import describe
from indexer.training_data import read_training_data
from retrieval.encoders import load_encoder
from retrieval.encoders.seen import digest
from retrieval.rerankers.registry import KINDS
from retrieval.rerankers.torch_reranker import TorchReranker
from retrieval.training.data import TrainingData
from retrieval.training.gather import gather
from retrieval.training.reranked_validation import DIRECTIONS, RerankedValidation
from retrieval.training.reranker_data import TokenTowers
from retrieval.training.splits import part_of
from retrieval.training.train_reranker import SETTINGS, train_reranker
from retrieval.training.validation import validation_of

RESULTS = Path(__file__).parent / "results" / "rerank_ablation.jsonl"
VALIDATION = 0.1
ALL = 1_000_000  # queries: none of the held-out ones is left out
TIMED = 50


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--kinds", nargs="+", choices=list(KINDS), default=list(KINDS))
    parser.add_argument("--contrast-epochs", type=int, default=SETTINGS.contrast_epochs)
    parser.add_argument("--epochs", type=int, default=SETTINGS.epochs)
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    captions = arguments.data / "flickr8k" / "captions.jsonl"
    encoder = load_encoder("starter", runtime="torch")
    towers = TokenTowers(encoder)
    data = read(captions, "train")
    trains = partial(part_of, "flickr8k", held_out=0, validation=VALIDATION)
    seen = frozenset(digest(one.read()) for one in data.pictures if trains(one.name) == "train")
    reported = gather(read(captions, "val").pictures, towers, validation=1.0, cache=arguments.cache)
    held_out = RerankedValidation(validation_of(reported), towers, SETTINGS.depth, ALL)
    for kind in arguments.kinds:
        settings = replace(SETTINGS, kind=kind, epochs=arguments.epochs, contrast_epochs=arguments.contrast_epochs)
        started = time.monotonic()
        found = train_reranker(data, encoder, settings, validation=VALIDATION, cache=arguments.cache, seen=seen)
        seconds = time.monotonic() - started
        reranker = TorchReranker(found.fitted.module, found.spec, towers.dimension)
        matches = held_out.matches(reranker)
        figures: dict[str, Any] = {}
        for name, weights in (("first_stage", dict.fromkeys(DIRECTIONS, 0.0)), ("reranked", dict(found.spec.weights))):
            for k in (1, 5):
                success = held_out.success(matches, weights, k)
                for direction in DIRECTIONS:
                    own = [s for one, s in zip(held_out.asked, success, strict=True) if one.direction == direction]
                    figures.setdefault(direction, {}).setdefault(name, {})[f"success@{k}"] = round(np.mean(own), 4)
        line = {
            "benchmark": "rerank_ablation",
            "data": "flickr8k, val held out",
            "kind": kind,
            "depth": SETTINGS.depth,
            "contrast_epochs": settings.contrast_epochs,
            "contrast_batch": min(settings.contrast_batch, found.fitted.module.contrast_batch),
            "epochs": settings.epochs,
            "best_epoch": found.fitted.epoch,
            "parameters": found.spec.facts["parameters"],
            "weights": dict(found.spec.weights),
            "held_out": figures,
            "ms_per_query": round(milliseconds(reranker, held_out), 2),
            "training_s": round(seconds, 1),
            **describe(),
        }
        print(json.dumps(line))
        with arguments.out.open("a") as out:
            out.write(json.dumps(line) + "\n")


def read(captions: Path, split: str) -> TrainingData:
    """The English captions of a split."""
    return read_training_data([str(captions)], cache_dir=captions.parent, on_message=print, split=split)


def milliseconds(reranker: TorchReranker, held_out: RerankedValidation) -> float:
    """Median over TIMED texts, each with its candidates."""
    taken = []
    asked = next(one for one in held_out.asked if one.direction == "text_to_image")
    for query, documents in zip(asked.queries[:TIMED], asked.documents, strict=False):
        text, photos = held_out.texts.take([int(query)]), held_out.photos.take(documents)
        started = time.perf_counter()
        reranker.match(text, photos)
        taken.append(time.perf_counter() - started)
    return float(np.median(taken)) * 1000


if __name__ == "__main__":
    main()
