"""How good the `starter` is on what it never saw:

    python -m benchmarks.starter --data DIR [--out benchmarks/results/starter.jsonl]

DIR holds flickr8k, fashion and ikea, see `retrieval.training.sources`; the demo catalogue and the stamps are fetched.
Each line is what `catalens eval` says of one set, both directions.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.environment import describe
from benchmarks.held_out import split
from indexer.evaluation_sets import open_evaluation_set
from retrieval.encoders import load_encoder
from retrieval.evaluation.evaluate import evaluate
from retrieval.evaluation.types import EvaluationSet
from retrieval.settings import cache_dir

MEASURES = ("success@1", "success@5", "success@10")
LANGUAGES = ("en", "de", "fr", "es", "it", "ru", "tr", "ja", "zh-CN", "ar")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", default="starter")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    encoder = load_encoder(arguments.model)
    with tempfile.TemporaryDirectory() as folder:
        for name, dataset in sets(arguments.data, Path(folder)):
            results = evaluate(dataset, encoder, measures=MEASURES).results
            line: dict[str, Any] = {
                "benchmark": "starter",
                "set": name,
                "model": arguments.model,
                "fingerprint": encoder.spec.fingerprint,
                "images": len(dataset.images),
                "texts": len(dataset.texts),
                **{
                    direction: {measure: round(figure, 4) for measure, figure in result.figures.items()}
                    for direction, result in results.items()
                },
                **describe(),
            }
            print(json.dumps(line), flush=True)
            if arguments.out:
                with arguments.out.open("a") as out:
                    out.write(json.dumps(line) + "\n")


def sets(data: Path, folder: Path) -> Iterator[tuple[str, EvaluationSet]]:
    """The sets by what they are."""

    def opened(name: str | Path, **options: Any) -> EvaluationSet:
        return open_evaluation_set(str(name), cache_dir=cache_dir(), on_message=say, **options)

    for language in ("en", "zh", "ar"):
        captions = data / "flickr8k" / "captions.jsonl"
        yield f"flickr8k val, {language}", opened(captions, split="val", language=language)
    fashion, ikea = split(data, "fashion", folder), split(data, "ikea", folder)
    yield "fashion tenth, title", opened(fashion.test, images_dir=fashion.images)
    yield "ikea fifth, type, colour, description", opened(ikea.test, images_dir=ikea.images, queries=ikea.asked)
    yield "demo, title", opened("demo")
    for language in LANGUAGES:
        yield f"stamps, {language}", opened("stamps", language=language)


def say(message: str) -> None:
    print(message, file=sys.stderr)


if __name__ == "__main__":
    main()
