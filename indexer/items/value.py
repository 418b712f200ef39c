"""An item as a program gives it, checked before anything is read, encoded or written."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from indexer.sources.base import SourceItem
from indexer.sources.values import native
from retrieval.photo_paths import is_unicode

MAX_ID = 512
MAX_TITLE = 1_000
MAX_TEXT = 20_000  # a long description has 5,000 characters; an encoder reads the first few hundred of them
MAX_FIELDS = 200
MAX_NAME = 128
MAX_VALUE = 10_000
MAX_LIST = 1_000
MAX_PHOTOS = 32
SCALARS = (str, int, float, bool, type(None))


@dataclass(frozen=True)
class PutItem:
    """One item, whole: what it does not name, the stored one loses.

    texts: further texts worth embedding, by field name. attributes: values are str, int, float, bool, None or a list
    of str. photos: in their order, each the path of a file or the bytes of one; bytes are kept in the collection.
    problems: why the caller refuses it; it then fails with these.
    """

    item_id: str
    title: str = ""
    texts: Mapping[str, str] = field(default_factory=dict)
    attributes: Mapping[str, Any] = field(default_factory=dict)
    photos: tuple[Path | bytes, ...] = ()
    problems: tuple[str, ...] = ()


def problems_of(item: PutItem) -> tuple[str, ...]:
    """All reasons why an item cannot be stored; empty if it can, as far as its photos are not concerned."""
    return (*item.problems, *_id_problems(item.item_id), *_problems(item))


def as_source_item(item: PutItem, photos: tuple[Path, ...]) -> SourceItem:
    """An item without problems as the planner takes it, its values as a catalogue file's would be."""
    return SourceItem(
        item_id=item.item_id,
        title=item.title.strip(),
        photos=photos,
        texts={name: text.strip() for name, text in item.texts.items()},
        attributes={name: native(value) for name, value in item.attributes.items()},
    )


def _id_problems(item_id: str) -> Iterator[str]:
    if not item_id.strip():
        yield "the id is blank"
    if len(item_id) > MAX_ID:
        yield f"the id has {len(item_id):,} characters, at most {MAX_ID} are possible"
    if not is_unicode(item_id) or any(ord(letter) < 32 or ord(letter) == 127 for letter in item_id):
        yield "the id has control characters or half of a surrogate pair"


def _problems(item: PutItem) -> Iterator[str]:
    if not (item.title.strip() or item.photos or any(text.strip() for text in item.texts.values())):
        yield "there is nothing to find it by: no title, no text and no photo"
    if len(item.photos) > MAX_PHOTOS:
        yield f"there are {len(item.photos):,} photos, at most {MAX_PHOTOS} are possible"
    if len(item.texts) + len(item.attributes) > MAX_FIELDS:
        yield f"there are {len(item.texts) + len(item.attributes):,} fields, at most {MAX_FIELDS} are possible"
    yield from _text_problems("title", item.title, MAX_TITLE)
    for name in (*item.texts, *item.attributes):
        if not name.strip() or len(name) > MAX_NAME or not _storable(name):
            yield f"'{_shown(name)}' cannot be the name of a field; it has 1 to {MAX_NAME} characters"
    for name, text in item.texts.items():
        if name == "title" or name in item.attributes:
            yield f"'{_shown(name)}' is given twice"
        yield from _text_problems(name, text, MAX_TEXT)
    for name, value in item.attributes.items():
        yield from _value_problems(_shown(name), value)


def _text_problems(name: str, text: str, most: int) -> Iterator[str]:
    if len(text) > most:
        yield f"{_shown(name)} has {len(text):,} characters, at most {most:,} are possible"
    if not _storable(text):
        yield f"{_shown(name)} has a NUL or half of a surrogate pair"


def _value_problems(name: str, value: Any) -> Iterator[str]:
    if isinstance(value, list):
        if len(value) > MAX_LIST:
            yield f"{name} has {len(value):,} elements, at most {MAX_LIST:,} are possible"
        if not all(isinstance(part, str) for part in value):
            yield f"{name} is a list of other things than texts"
        else:
            for part in value:
                yield from _text_problems(name, part, MAX_VALUE)
    elif isinstance(value, str):
        yield from _text_problems(name, value, MAX_VALUE)
    elif not isinstance(value, SCALARS):
        yield f"{name} is neither a text, a number, true, false, null nor a list of texts"
    elif isinstance(value, float) and not math.isfinite(value):
        yield f"{name} is not a finite number"


def _storable(text: str) -> bool:
    return "\0" not in text and is_unicode(text)


def _shown(name: str) -> str:
    return name[:40].encode("utf-8", "replace").decode()
