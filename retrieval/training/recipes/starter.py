"""Rebuild the heads of the `starter` encoder:

    python -m retrieval.training.recipes.starter --data DIR --out FILE [--cache DIR]

DIR holds flickr8k, fashion, ikea, grocery and objects, as `retrieval.training.sources` reads them. On two CPU
cores the features take about half an hour, once if there is a cache, and the heads a few minutes.
"""

import argparse
import logging
from collections.abc import Sequence
from itertools import chain, groupby
from pathlib import Path

import numpy as np

from retrieval.encoders.base import FloatArray
from retrieval.encoders.heads import save_heads
from retrieval.encoders.starter import TOWERS_SHA256
from retrieval.encoders.towers import efficientnet, sentence
from retrieval.images import decode_file
from retrieval.training.features import cached_features
from retrieval.training.fit import Fitted, Settings, fit
from retrieval.training.pairs import pair
from retrieval.training.probes import mean_success_at_1, probes_of
from retrieval.training.sources import Example, read_sources

log = logging.getLogger(__name__)
SETTINGS = Settings()


def image_features(examples: Sequence[Example], cache: Path | None) -> FloatArray:
    """Tower features of all pictures [len(examples), 2280], cached source by source."""
    tower = efficientnet.EfficientNetLite2()

    def compute(batch: Sequence[Example]) -> FloatArray:
        pictures = [decode_file(example.image, target=efficientnet.IMAGE_SIZE).image for example in batch]
        return tower.features(np.stack([efficientnet.preprocess(picture) for picture in pictures]))

    parts = []
    for source, members in groupby(examples, key=lambda example: example.source):
        chosen = list(members)
        log.info("pictures of %s", source)
        keys = [f"{source}/{example.example_id}" for example in chosen]
        version = f"{efficientnet.SHA256}squash{efficientnet.IMAGE_SIZE}"
        parts.append(cached_features(chosen, keys, compute, tower=version, cache=cache))
    return np.concatenate(parts)


def text_features(texts: Sequence[str], cache: Path | None) -> FloatArray:
    """Tower features of all texts [len(texts), 512]."""
    tower = sentence.MultilingualSentenceEncoder()
    log.info("texts")
    version = "".join(sentence.SHA256.values())
    return cached_features(texts, texts, tower.features, tower=version, cache=cache, batch=1024)


def train(data: Path, cache: Path | None, settings: Settings = SETTINGS) -> tuple[Fitted, list[str]]:
    """The heads, and a report on the held-out parts, one line a probe."""
    examples = read_sources(data)
    images = image_features(examples, cache)
    groups = (group for e in examples for group in (*e.texts.values(), *e.queries.values()))
    numbers = {text: number for number, text in enumerate(dict.fromkeys(chain.from_iterable(groups)))}
    texts = text_features(list(numbers), cache)

    chosen = [row for row, example in enumerate(examples) if example.part == "train"]
    pairs = pair([examples[row].texts for row in chosen])
    judges = probes_of(examples, "validation", images, texts, numbers)
    fitted = fit(
        images[chosen],
        texts[[numbers[text] for text in pairs.texts]],
        pairs,
        lambda image, text: mean_success_at_1(judges, image, text),
        settings,
    )
    report = [f"best epoch {fitted.epoch}, mean validation success@1 {fitted.figure:.3f}"]
    for part in ("validation", "held_out"):
        for probe in probes_of(examples, part, images, texts, numbers):
            at_1, at_10 = probe.success(fitted.image, fitted.text)
            report.append(
                f"{part} {probe.name}: success@1 {at_1:.3f}, success@10 {at_10:.3f} "
                f"({len(probe.queries)} queries, {len(probe.pictures)} pictures)"
            )
    return fitted, report


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, write the heads, and report; the hash belongs into `retrieval.encoders.starter.HEADS_SHA256`."""
    parser = argparse.ArgumentParser(prog="python -m retrieval.training.recipes.starter")
    parser.add_argument("--data", type=Path, required=True, help="folder with the five data sets")
    parser.add_argument("--out", type=Path, required=True, help="heads file to write (.safetensors)")
    parser.add_argument("--cache", type=Path, help="folder to keep tower features in")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    fitted, report = train(options.data, options.cache)
    digest = save_heads(options.out, image=fitted.image, text=fitted.text, towers=TOWERS_SHA256)
    for line in report:
        log.info("%s", line)
    log.info("wrote %s (%.1f MB), SHA-256 %s", options.out, options.out.stat().st_size / 1e6, digest)


if __name__ == "__main__":
    main()
