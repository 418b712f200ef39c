"""Which kind of reranker is worth most on Flickr8k, all trained with the same settings on the starter's tokens.

But for one: a batch is what a kind can judge all pairs of, `contrast_batch` in each line. All run the first phase of
training alone, since the second taught the built-in reranker nothing. So the second look and the head of cross
attention have no say, and of its `parameters` fewer are `trained`. Captions are seen a third as often as by the recipe
of the built-in reranker, with --full as often, and with its views of each photo.

All kinds set hubs back; so each line has the network `without_hubs` too, and the first line is hubs set back without
any network. `alone` is the candidates in the network's own order. Epoch and weights are those best on validation, be it
by chance: training for use would take none that is not clearly better than the first stage.

    python -m benchmarks.rerank_ablation --data DIR [--cache DIR] [--kinds maxsim …] [--full] [--out FILE]

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
from retrieval.arrays import FloatArray
from retrieval.encoders import load_encoder
from retrieval.encoders.seen import digest
from retrieval.rerankers.base import Direction
from retrieval.rerankers.registry import KINDS
from retrieval.rerankers.torch_reranker import TorchReranker
from retrieval.training.data import TrainingData
from retrieval.training.gather import gather
from retrieval.training.recipes.starter_reranker import RECIPE
from retrieval.training.reranked_validation import DIRECTIONS, RerankedValidation
from retrieval.training.reranker_data import TokenTowers
from retrieval.training.splits import part_of
from retrieval.training.train_reranker import train_reranker
from retrieval.training.validation import validation_of

RESULTS = Path(__file__).parent / "results" / "rerank_ablation.jsonl"
VALIDATION = 0.1
ALL = 1_000_000  # queries: none of the held-out ones is left out
ALONE = 1e4  # weight of a match beside which no cosine counts
TIMED = 50
FULL = replace(RECIPE, epochs=0, beyond=0.0)
ABLATED = replace(FULL, passes=4, contrast_epochs=5, views=0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--kinds", nargs="+", choices=list(KINDS), default=list(KINDS))
    parser.add_argument("--full", action="store_true", help="as long as the recipe trains")
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    captions = arguments.data / "flickr8k" / "captions.jsonl"
    encoder = load_encoder("starter", runtime="torch")
    towers = TokenTowers(encoder)
    data = read(captions, "train")
    trains = partial(part_of, "flickr8k", held_out=0, validation=VALIDATION)
    seen = frozenset(digest(one.read()) for one in data.pictures if trains(one.name) == "train")
    reported = gather(read(captions, "val").pictures, towers, validation=1.0, cache=arguments.cache)
    held_out = RerankedValidation(validation_of(reported), towers, ABLATED.depth, ALL)
    said = {"benchmark": "rerank_ablation", "data": "flickr8k, val held out", "depth": ABLATED.depth}
    hubs_told = False
    for kind in arguments.kinds:
        settings = replace(FULL if arguments.full else ABLATED, kind=kind)
        started = time.monotonic()
        found = train_reranker(data, encoder, settings, validation=VALIDATION, cache=arguments.cache, seen=seen)
        seconds = time.monotonic() - started
        module = found.fitted.module
        reranker = TorchReranker(module, found.spec, towers.dimension)
        hubs, chosen_by = held_out.hubness(module), found.judged.hubness(module)
        if not hubs_told:
            alone, weights = weighed(hubs, -np.ones(2)), found.judged.combined(weighed(chosen_by, -np.ones(2)))[0]
            line = {"kind": "hubs alone", "parameters": 0, "weights": weights, "ms_per_query": None}
            write(arguments.out, {**said, **line, "held_out": figures(held_out, {"reranked": (alone, weights)})})
            hubs_told = True
        matches = held_out.matches(reranker)
        taken_off = module.hub_weight.numpy()
        network = [match + put_back for match, put_back in zip(matches, weighed(hubs, taken_off), strict=True)]
        validated = zip(found.judged.matches(reranker), weighed(chosen_by, taken_off), strict=True)
        own = [match + put_back for match, put_back in validated]
        line = {
            "kind": kind,
            "contrast_epochs": settings.contrast_epochs,
            "passes": settings.passes,
            "views": settings.views,
            "contrast_batch": min(settings.contrast_batch, module.contrast_batch),
            "best_epoch": found.fitted.epoch,
            "parameters": found.spec.facts["parameters"],
            "trained": sum(one.numel() for one in module.parameters() if one.grad is not None),
            "hub_weights": taken_off.tolist(),
            "weights": dict(found.spec.weights),
            "ms_per_query": round(milliseconds(reranker, held_out), 2),
            "training_s": round(seconds, 1),
            "held_out": figures(
                held_out,
                {
                    "reranked": (matches, dict(found.spec.weights)),
                    "without_hubs": (network, found.judged.combined(own)[0]),
                    "alone": (network, dict.fromkeys(DIRECTIONS, ALONE)),
                },
            ),
        }
        write(arguments.out, {**said, **line})


def figures(held_out: RerankedValidation, ways: dict[str, tuple[list[FloatArray], dict[Direction, float]]]) -> Any:
    """success@1 and success@5 by direction, of the first stage and of each way: matches and their weights."""
    nothing = [np.zeros_like(one.candidates.cosines) for one in held_out.asked]
    told: dict[str, Any] = {direction: {} for direction in DIRECTIONS}
    for name, (matches, weights) in {"first_stage": (nothing, dict.fromkeys(DIRECTIONS, 0.0)), **ways}.items():
        for k in (1, 5):
            success = held_out.success(matches, weights, k)
            for direction in DIRECTIONS:
                own = [s for one, s in zip(held_out.asked, success, strict=True) if one.direction == direction]
                told[direction].setdefault(name, {})[f"success@{k}"] = round(float(np.mean(own)), 4)
    return told


def weighed(hubness: list[FloatArray], weights: FloatArray) -> list[FloatArray]:
    """hubness [n, depth, 2], weights [2] -> float32 [n, depth] of each."""
    return [(each @ weights).astype(np.float32) for each in hubness]


def write(path: Path, line: dict[str, Any]) -> None:
    text = json.dumps({**line, **describe()})
    print(text, flush=True)
    with path.open("a") as out:
        out.write(text + "\n")


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
