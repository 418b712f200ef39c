"""The five data sets that the starter heads learn from, read into one shape."""

import csv
import io
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from retrieval.errors import SourceError
from retrieval.training.splits import Part, part_of

Row = Mapping[str, str]


@dataclass(frozen=True)
class Example:
    """One picture with every text that describes it.

    texts: by group, such as a language; training draws a group first, then a text of it.
    query: what a person would type to find this picture; validation and reports ask it. May be several.
    """

    source: str
    example_id: str
    image: Path
    part: Part
    texts: Mapping[str, tuple[str, ...]]
    queries: Mapping[str, tuple[str, ...]]


def read_sources(
    data: Path, names: Iterable[str] = ("flickr8k", "fashion", "ikea", "grocery", "objects")
) -> list[Example]:
    """All examples under `data`, one folder per source, in a stable order.

    Raises SourceError if a folder lacks its table.
    """
    return [example for name in names for example in _READERS[name](data / name)]


def _flickr8k(folder: Path) -> list[Example]:
    """Photos with captions by people. `val` is held out; a tenth of `train` validates."""
    examples = []
    for line in _read(folder / "captions.jsonl").strip().split("\n"):
        row = json.loads(line)
        captions = {language: tuple(row[language]) for language in ("en", "zh", "ar")}
        part = part_of("flickr8k", row["image"], held_out=0, validation=0.1)
        examples.append(
            Example(
                source="flickr8k",
                example_id=row["image"],
                image=folder / row["image"],
                part="held_out" if row["split"] == "val" else part,
                texts=captions,
                queries=captions,
            )
        )
    return examples


def _fashion(folder: Path) -> list[Example]:
    """Product photos with attributes. A tenth is held out, a tenth validates."""
    return [
        Example(
            source="fashion",
            example_id=row["id"],
            image=folder / row["image"],
            part=part_of("fashion", row["id"], held_out=0.1, validation=0.1),
            texts={
                "title": (row["title"],),
                "attributes": _distinct(
                    f"{row['color']} {row['type']}",
                    f"{row['color']} {row['type']} for {row['gender']}",
                    f"{row['gender']} {row['type']}",
                    f"{row['usage']} {row['type']}",
                    f"{row['color']} {row['subcategory']}",
                    row["type"],
                ),
            },
            queries={"title": (row["title"],)},
        )
        for row in _rows(folder / "products.csv")
    ]


def _ikea(folder: Path) -> list[Example]:
    """Furniture on white with descriptions. A fifth is held out, a tenth validates."""
    examples = []
    for row in _rows(folder / "products.csv"):
        query = f"{row['type']}, {row['color']}, {row['description']}"
        examples.append(
            Example(
                source="ikea",
                example_id=row["id"],
                image=folder / row["image"],
                part=part_of("ikea", row["id"], held_out=0.2, validation=0.1),
                texts={
                    "title": _distinct(row["title"], f"{row['type']}, {row['color']}", f"{row['color']} {row['type']}"),
                    "description": _distinct(query, row["description"]),
                },
                queries={"description": (query,)},
            )
        )
    return examples


def _grocery(folder: Path) -> list[Example]:
    """Packshots and shelf photos of 81 groceries; all of it trains."""
    products = {row["id"]: row for row in _rows(folder / "products.csv")}
    photos = [(row["image"], row) for row in products.values()]
    photos += [(row["image"], products[row["product_id"]]) for row in _rows(folder / "shelf_photos.csv")]
    return [
        Example(
            source="grocery",
            example_id=image,
            image=folder / image,
            part="train",
            texts={
                "title": _distinct(
                    row["title"], f"a photo of {row['title']}", row["category"].split("/")[-1].replace("-", " ")
                ),
                "description": _distinct(row["description"]),
            },
            queries={},
        )
        for image, row in photos
    ]


def _objects(folder: Path) -> list[Example]:
    """One object each, named; all of it trains."""
    return [
        Example(
            source="objects",
            example_id=row["image"],
            image=folder / row["image"],
            part="train",
            texts={
                "label": _distinct(row["label"], f"a photo of a {row['label']}", f"a picture of the {row['label']}")
            },
            queries={},
        )
        for row in _rows(folder / "labels.csv")
    ]


_READERS: Mapping[str, Callable[[Path], list[Example]]] = {
    "flickr8k": _flickr8k,
    "fashion": _fashion,
    "ikea": _ikea,
    "grocery": _grocery,
    "objects": _objects,
}


def _distinct(*texts: str) -> tuple[str, ...]:
    """Texts without doubles and empties, in order."""
    return tuple(dict.fromkeys(text.strip() for text in texts if text.strip(" ,.")))


def _rows(path: Path) -> list[Row]:
    return list(csv.DictReader(io.StringIO(_read(path), newline="")))


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise SourceError(
            f"cannot read {path}: {error.strerror}", hint="point --data at the folder that holds the data sets"
        ) from error
