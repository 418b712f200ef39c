"""Captions as JSON lines: one object an image, with captions in one or several languages.

    {"image": "images/1.jpg", "split": "val", "en": ["A dog runs.", …], "zh": ["一只狗在跑。", …]}
    {"image": "images/1.jpg", "captions": ["A dog runs.", …]}
    {"image": "images/1.jpg", "caption": "A dog runs."}

Only the last form may name an image on several lines: its captions are put together. Every list of texts whose key
looks like a language tag (`en`, `pt-BR`) is a language's captions; further keys with a text or number are attributes,
by which results can be sliced.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from retrieval.evaluation.datasets.captioned import captioned_set, require_captions
from retrieval.evaluation.datasets.choices import choose_language, choose_split
from retrieval.evaluation.datasets.common import (
    Options,
    check_unique,
    image_id,
    json_objects,
    located,
    malformed,
    set_name,
)
from retrieval.evaluation.types import EvaluationSet

_LANGUAGE = re.compile(r"[a-z]{2,3}([-_][A-Za-z0-9]{2,8})*")
_KEYS_OF_A_CATALOGUE = frozenset({"id", "item_id", "product_id", "sku", "title", "name"})


@dataclass
class _Line:
    image: str
    split: str
    captions: dict[str, list[str]]
    """By language; the language is empty for `caption` and `captions`."""
    attributes: dict[str, str] = field(default_factory=dict)
    joins: bool = False


def is_captions(value: Any) -> bool:
    """Whether a line of a JSON lines file is one of captions, and not an item of a catalogue."""
    if not isinstance(value, dict) or not isinstance(value.get("image"), str):
        return False
    if any(isinstance(value.get(key), str) for key in _KEYS_OF_A_CATALOGUE):
        return False
    return "caption" in value or "captions" in value or bool(_languages(value))


def read(path: Path, options: Options) -> EvaluationSet:
    """The set in one split and one language. Raises EvaluationError."""
    entries = _entries(path)
    splits = Counter(entry.split for entry in entries)
    split = choose_split(options.split, splits, of=path.name)
    entries = [entry for entry in entries if entry.split == split]
    require_captions(
        {entry.image: [text for own in entry.captions.values() for text in own] for entry in entries}, path
    )
    languages = Counter(language for entry in entries for language, own in entry.captions.items() if own)
    language, notes = choose_language(options.language, languages, of=path.name)
    found, left_out = located([entry.image for entry in entries], path, options)
    images, captions = [], {}
    for entry in entries:
        if entry.image in found:
            images.append(replace(found[entry.image], attributes=entry.attributes))
            captions[images[-1].image_id] = entry.captions.get(language, [])
    name = set_name(path, split, language)
    return captioned_set(name, path, images, captions, language=language, notes=[*notes, *left_out])


def _entries(path: Path) -> list[_Line]:
    entries: list[_Line] = []
    by_id: dict[str, _Line] = {}
    bad = []
    for number, value in json_objects(path):
        try:
            entry = _line(value)
        except ValueError as error:
            bad.append(f"line {number}: {error}")
            continue
        first = by_id.setdefault(image_id(entry.image), entry)
        if first is not entry and first.joins and entry.joins and first.split == entry.split:
            first.captions[""] += entry.captions[""]
        else:
            entries.append(entry)
    if bad:
        raise malformed(path, bad)
    check_unique([image_id(entry.image) for entry in entries], "images", path)
    return entries


def _line(value: Mapping[str, Any]) -> _Line:
    image = value.get("image")
    if not isinstance(image, str) or not image.strip():
        raise ValueError("it has no text in `image`")
    split = value.get("split", "")
    if not isinstance(split, str):
        raise ValueError("`split` is not a text")
    joins = "caption" in value
    if joins or "captions" in value:
        captions = {"": _texts(value["caption"] if joins else value["captions"])}
    else:
        captions = _languages(value)
    attributes = {
        key: str(cell)
        for key, cell in value.items()
        if key not in ("image", "split", "caption", "captions") and isinstance(cell, str | int | float)
    }
    return _Line(image, split, captions, attributes, joins)


def _texts(value: Any) -> list[str]:
    texts: Sequence[Any] = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise ValueError("its captions are not texts")
    return texts


def _languages(value: Mapping[str, Any]) -> dict[str, list[str]]:
    return {
        key: cell
        for key, cell in value.items()
        if isinstance(cell, list) and _LANGUAGE.fullmatch(key) and all(isinstance(text, str) for text in cell)
    }
