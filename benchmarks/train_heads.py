"""What `catalens train heads` is worth: heads trained on one catalogue, judged on a fifth of it that they never saw.

    python -m benchmarks.train_heads --data DIR [--base starter] [--out benchmarks/results/train_heads.jsonl]

DIR holds `ikea/products.csv`. The catalogue is split into two files by `part_of("ikea", id, held_out=0.2)`; the larger
one trains (and validates), by the real command in a process of its own: once with nothing kept, once with kept
features, and once with each loss. Queries on the held-out file are titles, and type, colour and description together.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.environment import describe
from benchmarks.held_out import Files, split
from indexer.evaluation_sets import open_evaluation_set
from retrieval.encoders import load_encoder
from retrieval.evaluation.compare import compare
from retrieval.evaluation.evaluate import evaluate
from retrieval.evaluation.evaluation import Evaluation

COMMAND = "from api.cli import main; main()"
MEASURES = ("success@1", "success@10")
VARIANTS: Mapping[str, Sequence[str]] = {
    "infonce": (),
    "sigmoid": ("--loss", "sigmoid"),
    "margin": ("--loss", "margin"),
    "infonce, adversarial 0.1": ("--adversarial", "0.1"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--base", default="starter")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        files = split(arguments.data, "ikea", folder)
        base = judged(arguments.base, files)
        for number, (name, flags) in enumerate(VARIANTS.items()):
            runs = [train(files, arguments.base, folder, flags) for _ in range(1 if number else 2)]
            line = {
                "benchmark": "train_heads",
                "data": "ikea, four fifths",
                "base": arguments.base,
                "variant": name,
                **{key: runs[-1][key] for key in ("pictures", "best_epoch", "improved")},
                "validation": runs[-1]["validation"]["mean"],
                "first_run_s": runs[0]["timing"] if not number else None,
                "kept_features_s": runs[-1]["timing"],
                "held_out": figures(base, judged(str(folder / "heads"), files)),
                **describe(),
            }
            print(json.dumps(line))
            if arguments.out:
                with arguments.out.open("a") as out:
                    out.write(json.dumps(line) + "\n")


def train(files: Files, base: str, folder: Path, flags: Sequence[str]) -> dict[str, Any]:
    """What the command says with --json, and how long it took, in seconds."""
    arguments = ["train", "heads", str(files.train), "--base", base, "--out", str(folder / "heads")]
    arguments += ["--cache", str(folder / "cache"), "--images-dir", str(files.images), "--json", *flags]
    started = time.monotonic()
    done = subprocess.run([sys.executable, "-c", COMMAND, *arguments], stdout=subprocess.PIPE, check=True)
    report: dict[str, Any] = json.loads(done.stdout)
    return report | {"timing": {"command": round(time.monotonic() - started, 1), **report["seconds"]}}


def judged(model: str, files: Files) -> dict[str, Evaluation]:
    """By kind of query."""
    encoder = load_encoder(model)
    found = {}
    for name, queries in (("title", "title"), ("type, colour, description", files.asked)):
        dataset = open_evaluation_set(
            str(files.test),
            cache_dir=files.test.parent,
            on_message=print,
            images_dir=files.images,
            queries=queries,  # type: ignore[arg-type]
        )
        found[name] = evaluate(dataset, encoder, measures=MEASURES)
    return found


def figures(before: Mapping[str, Evaluation], after: Mapping[str, Evaluation]) -> dict[str, dict[str, Any]]:
    """By kind of query, direction and measure: both figures, the difference's 95 % interval and its p value."""
    found: dict[str, dict[str, Any]] = {}
    for name, evaluation in before.items():
        for direction, result in evaluation.results.items():
            for measure in MEASURES:
                one = compare(result, after[name].results[direction], measure)
                found[f"{name}, {direction}, {measure}"] = {
                    "queries": one.n_queries,
                    "base": round(one.first, 4),
                    "trained": round(one.second, 4),
                    "interval": one.interval and [round(bound, 4) for bound in one.interval],
                    "p": round(one.p_value, 4),
                }
    return found


if __name__ == "__main__":
    main()
