"""Flickr's token files: `Flickr8k.token.txt`, `results_20130124.token` of Flickr30k.

    1000268201_693b08cb0e.jpg#0<tab>A child in a pink dress is climbing up a set of stairs .

The files have no splits. Where Flickr8k's lists stand beside one (`Flickr_8k.trainImages.txt`, `…devImages.txt`,
`…testImages.txt`, an image a line), they are its splits `train`, `val` and `test`, and images in no list are left out.

Flickr8k.token.txt as published names one image that does not exist (`2258277193_586949ec62.jpg.1`); no split has it.
"""

import re
from pathlib import Path

from retrieval.evaluation.datasets.captioned import captioned_set, require_captions
from retrieval.evaluation.datasets.choices import choose_split, no_choice
from retrieval.evaluation.datasets.common import (
    Options,
    check_unique,
    image_id,
    lines,
    located,
    malformed,
    set_name,
)
from retrieval.evaluation.types import EvaluationSet

LINE = re.compile(r"(?P<image>[^\t]+)#(?P<number>[0-9]{1,9})\t(?P<caption>.*)")
_LISTS = {"train": "*.trainImages.txt", "val": "*.devImages.txt", "test": "*.testImages.txt"}


def read(path: Path, options: Options) -> EvaluationSet:
    """The set, or one split of it. Raises EvaluationError."""
    no_choice(language=options.language, of=path.name)
    captions = _captions(path)
    splits = {
        split: [image_id(name.strip()) for file in sorted(path.parent.glob(pattern)) for _, name in lines(file)]
        for split, pattern in _LISTS.items()
        if any(path.parent.glob(pattern))
    }
    counts = {split: len(names) for split, names in splits.items()} or {"": len(captions)}
    split = choose_split(options.split, counts, of=path.name)
    if split:
        check_unique(splits[split], f"images in the split {split!r}", path)
        captions = {name: captions.get(name, []) for name in splits[split]}
    require_captions(captions, path)
    found, notes = located(list(captions), path, options)
    return captioned_set(set_name(path, split), path, list(found.values()), captions, notes=notes)


def _captions(path: Path) -> dict[str, list[str]]:
    captions: dict[str, list[str]] = {}
    ids, bad = [], []
    for number, line in lines(path):
        match = LINE.fullmatch(line)
        if match is None:
            bad.append(f"line {number}: not `name.jpg#0<tab>caption`")
            continue
        name = image_id(match["image"])
        ids.append(f"{name}#{int(match['number'])}")
        captions.setdefault(name, []).append(match["caption"])
    if bad:
        raise malformed(path, bad)
    check_unique(ids, "captions", path)
    return captions
