"""What reranking is worth on data that the starter never saw, and what its tokens cost at indexing.

    python -m benchmarks.rerank --data DIR [--reranker NAME|DIR] [--sets fashion …] [--images N] [--out RESULTS.jsonl]

DIR holds `flickr8k`, `fashion` and `ikea`; of each the held-out part is asked (English captions of Flickr8k's val,
titles, descriptions), as `retrieval.training.sources` parts it. Photos with the very same text are all right answers to
it. One JSON line a set, as `catalens eval --rerank --json` has it, and one with bytes a photo and milliseconds a photo
with and without tokens, by turns on the same batches. `--images` takes the first so many pictures of each set only.
"""

import argparse
import json
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from benchmarks.environment import describe
from retrieval.encoders import load_encoder
from retrieval.encoders.base import DualEncoder
from retrieval.evaluation.embed import BATCH
from retrieval.evaluation.reranking import evaluate_with_reranking, token_encoder
from retrieval.evaluation.summary import to_json
from retrieval.evaluation.trained_on import pictures_trained_on
from retrieval.evaluation.types import EvaluationImage, EvaluationSet, EvaluationText, Task
from retrieval.images import decode
from retrieval.rerankers import default_reranker, load_reranker
from retrieval.runtime.choose import runs_on
from retrieval.tokens.codec import pack_rows
from retrieval.training.sources import Example, read_sources

QUERIES = {"flickr8k": "en", "fashion": "title", "ikea": "description"}
ROUNDS = 8
"""Batches of photos that are encoded with and without tokens."""
RESULTS = Path(__file__).parent / "results" / "rerank.jsonl"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", default="starter")
    parser.add_argument("--reranker", help="name or folder; otherwise the model's own")
    parser.add_argument("--runtime", help="of model and reranker")
    parser.add_argument("--sets", nargs="+", choices=list(QUERIES), default=list(QUERIES))
    parser.add_argument("--images", type=int, help="of each set; otherwise all")
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    encoder = load_encoder(arguments.model, runtime=arguments.runtime)
    token_encoder(encoder)
    name = arguments.reranker or default_reranker(encoder.spec.fingerprint)
    if name is None:
        parser.error(f"no reranker belongs to {arguments.model}; name one with --reranker")
    reranker = load_reranker(name, runtime=arguments.runtime)
    seen = pictures_trained_on(encoder, reranker.spec)
    write = partial(_write, arguments.out)
    examples = [one for one in read_sources(arguments.data, arguments.sets) if one.part == "held_out"]
    for source in arguments.sets:
        dataset = held_out_set(source, [one for one in examples if one.source == source][: arguments.images])
        found = to_json(evaluate_with_reranking(dataset, encoder, reranker, seen=seen))
        found["reranking"]["reranker"] = Path(name).name  # where a folder lies says nothing about it
        kept = ("dataset", "model", "n_images", "n_texts", "reranking", "seconds")
        write({"measured": "figures", **{key: found[key] for key in kept}})
    write(
        {"measured": "indexing", "model": arguments.model, "runtime": runs_on(encoder), **indexing(encoder, examples)}
    )


def held_out_set(source: str, examples: Iterable[Example]) -> EvaluationSet:
    """Pictures and the queries for them, both ways."""
    chosen = [one for one in examples if one.queries.get(QUERIES[source])]
    images = tuple(EvaluationImage(one.example_id, one.image.read_bytes, one.image) for one in chosen)
    photos_of: dict[str, list[str]] = {}
    for one in chosen:
        for text in dict.fromkeys(one.queries[QUERIES[source]]):
            photos_of.setdefault(text, []).append(one.example_id)
    ids = {text: f"t{number}" for number, text in enumerate(photos_of)}
    texts_of: dict[str, dict[str, int]] = {}
    for text, photos in photos_of.items():
        for photo in photos:
            texts_of.setdefault(photo, {})[ids[text]] = 1
    image_ids, text_ids = tuple(image.image_id for image in images), tuple(ids.values())
    wanted = {ids[text]: dict.fromkeys(photos, 1) for text, photos in photos_of.items()}
    return EvaluationSet(
        f"{source}, held out",
        images,
        tuple(EvaluationText(text_id, text) for text, text_id in ids.items()),
        (Task("text_to_image", text_ids, image_ids, wanted), Task("image_to_text", image_ids, text_ids, texts_of)),
    )


def indexing(encoder: DualEncoder, examples: list[Example]) -> dict[str, Any]:
    """Bytes of a photo's tokens, and milliseconds a photo: encoding alone, and with tokens, packing included."""
    giving, _ = token_encoder(encoder)
    taken: dict[str, list[float]] = {"without": [], "with": [], "packing": []}
    sizes: list[int] = []
    for number in range(ROUNDS + 1):
        batch = [examples[at % len(examples)] for at in range(number * BATCH, (number + 1) * BATCH)]
        pictures = [decode(one.image.read_bytes(), target=encoder.image_size).image for one in batch]
        pixels = np.stack([encoder.preprocess(picture) for picture in pictures])
        started = perf_counter()
        encoder.encode_images(pixels)
        between = perf_counter()
        tokens = giving.encode_images_with_tokens(pixels)
        encoded = perf_counter()
        packed = pack_rows(tokens)
        ended = perf_counter()
        if number:  # the first batch loads and compiles
            taken["without"].append(1000 * (between - started) / BATCH)
            taken["with"].append(1000 * (ended - between) / BATCH)
            taken["packing"].append(1000 * (ended - encoded) / BATCH)
            sizes += [len(row) for row in packed if row is not None]
    added = np.subtract(taken["with"], taken["without"])
    return {
        "photos": ROUNDS * BATCH,
        "bytes_per_photo": round(float(np.mean(sizes))),
        "ms_per_photo": {name: round(float(np.median(ms)), 3) for name, ms in taken.items()},
        "ms_added_per_photo": round(float(np.median(added)), 3),
    }


def _write(path: Path, found: dict[str, Any]) -> None:
    line = json.dumps({"benchmark": "rerank", **found, **describe()})
    print(line, flush=True)
    with path.open("a") as out:
        out.write(line + "\n")


if __name__ == "__main__":
    main()
