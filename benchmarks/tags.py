"""How good are the labels of `catalens tag`?

    python -m benchmarks.tags --data DIR [--part held_out] [--out benchmarks/results/tags.jsonl]

DIR holds `fashion` and `ikea`; only photos that no choice was made on are labelled (`--part validation`: those that the
templates and the least confidence were chosen on). The labels are the catalogue's own types, up to a comma, that at
least four of the photos have. Once all of them are given; once only every other one, so that half of the types have
no label and should get none; once labels that fit nothing in the shop.
"""

import argparse
import json
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.confidence import catalogue_part, indexed
from benchmarks.confidence_queries import ELSEWHERE, listed
from benchmarks.environment import describe
from indexer.tagging import MIN_CONFIDENCE, Tag, tag
from retrieval.encoders import load_encoder
from retrieval.encoders.base import DualEncoder

ASKED = (("fashion", "type"), ("fashion", "subcategory"), ("ikea", "type"))
LEAST_PHOTOS = 4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", default="starter")
    parser.add_argument("--part", choices=("held_out", "validation"), default="held_out")
    parser.add_argument("--min-confidence", type=float, default=MIN_CONFIDENCE)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    encoder = load_encoder(arguments.model)
    with tempfile.TemporaryDirectory() as temporary:
        for shop, column in ASKED:
            folder, file = Path(temporary) / shop, Path(temporary) / f"{shop}.csv"
            rows = catalogue_part(arguments.data / shop / "products.csv", shop, arguments.part, file)
            indexed(folder, file, arguments.data / shop, encoder)
            line: dict[str, Any] = {
                "benchmark": "tags",
                "shop": shop,
                "column": column,
                "part": arguments.part,
                "model": arguments.model,
                "min_confidence": arguments.min_confidence,
                **judged(folder, rows, column, arguments.min_confidence, encoder),
                **describe(),
            }
            print(json.dumps(line), flush=True)
            if arguments.out:
                with arguments.out.open("a") as out:
                    out.write(json.dumps(line) + "\n")


def judged(
    folder: Path, rows: Sequence[Mapping[str, str]], column: str, least: float, encoder: DualEncoder
) -> dict[str, Any]:
    """All figures for one column of one shop, as JSON values."""
    kinds = {row["id"]: row[column].lower().split(",")[0] for row in rows}  # ikea: "rug, flatwoven"
    counts = Counter(kinds.values())
    labels = sorted(one for one, count in counts.items() if one and count >= LEAST_PHOTOS)
    truth = {item: kind for item, kind in kinds.items() if kind in labels}
    best = first_tags(folder, labels, encoder)
    judged_items = truth.keys() & best.keys()
    right = sum(best[one].label == truth[one] for one in judged_items)
    half = labels[::2]
    alien = first_tags(folder, listed(ELSEWHERE), encoder)
    return {
        "labels": len(labels),
        "items": len(judged_items),
        "top-1": round(right / len(judged_items), 4),
        "all labels": at_least(best, {one: truth[one] for one in judged_items}, set(labels), least),
        "every other label": at_least(
            first_tags(folder, half, encoder), {one: truth[one] for one in judged_items}, set(half), least
        ),
        "tagged with labels of nothing in the shop": round(
            sum(one.confidence >= least for one in alien.values()) / len(rows), 4
        ),
    }


def at_least(best: Mapping[str, Tag], truth: Mapping[str, str], labels: set[str], least: float) -> dict[str, float]:
    """Precision of the labels given with at least that confidence, recall over items whose type is a label, and the
    share of the others that got one."""
    given = {one for one in truth if one in best and best[one].confidence >= least}
    right = sum(best[one].label == truth[one] for one in given)
    present = {one for one, kind in truth.items() if kind in labels}
    absent = truth.keys() - present
    return {
        "precision": round(right / max(len(given), 1), 4),
        "recall": round(right / max(len(present), 1), 4),
        "present": len(present),
        "absent": len(absent),
        "absent but tagged": round(len(given & absent) / len(absent), 4) if absent else 0.0,
    }


def first_tags(folder: Path, labels: Sequence[str], encoder: DualEncoder) -> dict[str, Tag]:
    """The most likely label of each item, however unlikely, by item id."""
    found = tag(folder, encoder, labels, min_confidence=0, top=1)
    return {found.names[key][0]: tags[0] for key, tags in found.tags.items()}


if __name__ == "__main__":
    main()
