"""Karpathy's JSON of COCO, Flickr30k and Flickr8k: `dataset_coco.json`, `dataset_flickr30k.json`.

    {"images": [{"filename": "…jpg", "filepath": "val2014", "split": "test", "sentences": [{"raw": "…"}, …]}, …]}

Source: A. Karpathy and L. Fei-Fei, Deep Visual-Semantic Alignments for Generating Image Descriptions, 2015, and the
files published with it. `filepath` may be missing. The split `train` has the images of `restval` too, as is usual;
`restval` alone has only its own.

All captions of an image are used: 25,010 in COCO's test split. The rival convention, CLIP_benchmark's, cuts every
image to its first five: 25,000.
"""

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from retrieval.evaluation.datasets.captioned import captioned_set, require_captions
from retrieval.evaluation.datasets.choices import choose_split, no_choice
from retrieval.evaluation.datasets.common import (
    Options,
    check_unique,
    empty,
    image_id,
    located,
    malformed,
    set_name,
    unreadable,
)
from retrieval.evaluation.types import EvaluationSet


@dataclass(frozen=True)
class _Entry:
    image: str
    split: str
    captions: list[str]


def read(path: Path, options: Options) -> EvaluationSet:
    """The set in one split. Raises EvaluationError."""
    no_choice(language=options.language, of=path.name)
    entries = _entries(path)
    counts = Counter(entry.split for entry in entries)
    if counts["train"]:
        counts["train"] += counts["restval"]
    counts = +counts
    split = choose_split(options.split, counts, of=path.name)
    parts = (split, "restval") if split == "train" else (split,)
    entries = [entry for entry in entries if entry.split in parts]
    check_unique([image_id(entry.image) for entry in entries], "images", path)
    require_captions({entry.image: entry.captions for entry in entries}, path)
    found, notes = located([entry.image for entry in entries], path, options)
    images = [found[entry.image] for entry in entries if entry.image in found]
    captions = {image_id(entry.image): entry.captions for entry in entries}
    return captioned_set(set_name(path, split), path, images, captions, notes=notes)


def _entries(path: Path) -> list[_Entry]:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise unreadable(path, error) from error
    if not content.strip():
        raise empty(path)
    try:
        data = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise malformed(path, [f"not JSON ({error})"]) from error
    images = data.get("images") if isinstance(data, dict) else None
    if not isinstance(images, list) or not images:
        raise malformed(path, ["no list `images`"])
    entries, bad = [], []
    for number, image in enumerate(images):
        try:
            entries.append(_entry(image))
        except (KeyError, TypeError, ValueError) as error:
            bad.append(f"images[{number}]: {type(error).__name__} {error}")
    if bad:
        raise malformed(path, bad)
    return entries


def _entry(image: Any) -> _Entry:
    name, folder, split = image["filename"], image.get("filepath", ""), image.get("split", "")
    captions = [sentence["raw"] for sentence in image["sentences"]]
    if not all(isinstance(value, str) for value in (name, folder, split, *captions)):
        raise ValueError("filename, filepath, split and raw must be texts")
    return _Entry(f"{folder}/{name}" if folder else name, split, captions)
