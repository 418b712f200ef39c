"""The parts of catalogues that the starter never saw, as files that the commands read."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from retrieval.training.splits import part_of

SHARES: Mapping[str, float] = {"fashion": 0.1, "ikea": 0.2}
"""Of each catalogue, as `retrieval.training.sources` holds it out."""


@dataclass(frozen=True)
class Files:
    """train, test: the two catalogues. asked: queries on the second. images: where photo paths start."""

    train: Path
    test: Path
    asked: Path
    images: Path


def split(data: Path, source: str, folder: Path) -> Files:
    """The catalogue `data/source/products.csv` as two files in `folder`, and a file of queries for the second.

    The queries of `asked` list what a person would: type, colour and description.
    """
    files = Files(folder / f"{source}-train.csv", folder / f"{source}-test.csv", folder / "asked.csv", data / source)
    with (data / source / "products.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    parts: dict[bool, list[dict[str, str]]] = {False: [], True: []}
    for row in rows:
        parts[part_of(source, row["id"], held_out=SHARES[source], validation=0) == "held_out"].append(row)
    _write(files.train, parts[False])
    _write(files.test, parts[True])
    asked = [
        {"query": f"{row['type']}, {row['color']}, {row.get('description', '')}", "item_id": row["id"]}
        for row in parts[True]
    ]
    _write(files.asked, asked)
    return files


def _write(path: Path, rows: Sequence[Mapping[str, str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
