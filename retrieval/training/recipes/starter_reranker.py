"""Rebuild the reranker that is built in, for the `starter` encoder.

    python -m retrieval.training.recipes.starter_reranker --data DIR --out DIR --cache DIR

--data holds flickr8k, as `retrieval.training.sources` reads it: English captions of the pictures that the starter's
heads were trained on train, those that validated them validate, the held-out ones are not read. --out gets what
`catalens train reranker` writes; its two files belong to `retrieval/rerankers/assets` as `starter.json` and
`starter.safetensors`. The cache takes 3 GB. On two cores: a quarter of an hour for what is cached, and as long to
train.
"""

import argparse
import logging
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from retrieval.encoders import load_encoder
from retrieval.encoders.base import STARTER
from retrieval.images import read_file
from retrieval.training.data import Described, TrainingData
from retrieval.training.sources import read_sources
from retrieval.training.train_reranker import SETTINGS, train_reranker

log = logging.getLogger(__name__)

RECIPE = replace(SETTINGS, views=2, bfloat16=True, contrast_epochs=8, patience=8)
"""All epochs of the first phase: the rate falls to its end, and one epoch's figure is only sure to one point."""


def pictures(data: Path) -> TrainingData:
    """Those with English captions that are not held out."""
    return TrainingData(
        tuple(
            Described(one.source, one.example_id, one.example_id, partial(read_file, one.image), {"en": texts})
            for one in read_sources(data, ["flickr8k"])
            if one.part != "held_out" and (texts := one.texts["en"])
        ),
        languages=("en",),
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, write, and say what it is worth on validation."""
    parser = argparse.ArgumentParser(prog="python -m retrieval.training.recipes.starter_reranker")
    parser.add_argument("--data", type=Path, required=True, help="folder with flickr8k")
    parser.add_argument("--out", type=Path, required=True, help="folder for the reranker")
    parser.add_argument("--cache", type=Path, required=True, help="folder for tokens, 3 GB")
    parser.add_argument("--kind", default=RECIPE.kind)
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")

    def on_progress(stage: str, done: int, total: int) -> None:
        if stage == "epochs" or done % 1024 == 0:
            log.info("%s: %d of %d", stage, done, total)

    trained = train_reranker(
        pictures(options.data),
        load_encoder(STARTER),
        replace(RECIPE, kind=options.kind),
        validation=0.1,
        cache=options.cache,
        out=options.out,
        on_progress=on_progress,
    )
    for check in trained.spec.facts["validation"]["checks"]:
        log.info("%s", check)
    log.info("weights %s, margins %s", trained.spec.weights, trained.spec.margins)
    trained.write(options.out)


if __name__ == "__main__":
    main()
