"""Which rows of a collection the pictures and texts of an evaluation set are."""

import hashlib
import os
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from retrieval.catalogue.queries import Modality, OwnerRow
from retrieval.collection import Collection
from retrieval.errors import EvaluationError, ImageError
from retrieval.evaluation.relevance import Relevance
from retrieval.evaluation.types import EvaluationImage, EvaluationText, Task
from retrieval.index.view import VectorView
from retrieval.revisions import CollectionView

ID_BLOCK = 10_000
"""Rows of the collection looked at at once: about 5 MB."""

Owners = Mapping[int, Sequence[int]]
"""Id of a photo or text of the collection -> positions of the documents that it stands for."""


@dataclass(frozen=True)
class Matched:
    """missing: ids of the documents that the collection does not have; other_files: how many of them have the id of an
    item whose photos are other files. by_id: how many were matched by item id.
    """

    owners: Owners
    missing: tuple[str, ...]
    by_id: int = 0
    other_files: int = 0


def match_images(
    collection: Collection, view: CollectionView, images: Sequence[EvaluationImage], modality: Modality
) -> Matched:
    """An image is the photo at the same absolute path, else the same file (by SHA-256) in the item with the image's id.

    modality: `image`: the owners are photos; `text`: they are the texts of the items that have those photos.
    Raises EvaluationError when an image that only an id matches cannot be read.
    """
    places = {_spelt(image.path) for image in images if image.path}
    names = {image.image_id for image in images}
    by_path, by_name = defaultdict[str, list[int]](list), defaultdict[str, list[tuple[int, str | None]]](list)
    item_of: dict[int, int] = {}
    for owner, row in _rows(collection, view.image, "image"):
        place = _spelt(Path(row.photo or ""))
        if place in places:
            by_path[place].append(owner)
        if row.item_id in names:
            by_name[row.item_id].append((owner, row.content_hash))
        if place in places or row.item_id in names:
            item_of[owner] = row.item_key
    owners, missing, by_id, other_files = defaultdict[int, list[int]](list), list[str](), 0, 0
    for position, image in enumerate(images):
        same_place = by_path.get(_spelt(image.path), []) if image.path else []
        same_name = by_name.get(image.image_id, []) if not same_place else []
        mine = same_place or _same_files(image, same_name)
        by_id += bool(mine) and not same_place
        for owner in mine:
            owners[owner].append(position)
        if not mine:
            missing.append(image.image_id)
            other_files += bool(same_name)
    if modality == "image" or missing:
        return Matched(owners, tuple(missing), by_id, other_files)
    items = defaultdict[int, list[int]](list)
    for owner, positions in owners.items():
        items[item_of[owner]] += positions
    texts = {owner: items[row.item_key] for owner, row in _rows(collection, view.text, "text") if row.item_key in items}
    return Matched(texts, _not_reached(texts, [image.image_id for image in images]), by_id)


def match_texts(collection: Collection, view: CollectionView, texts: Sequence[EvaluationText]) -> Matched:
    """A text is every text of the collection with the very same words, whichever items they belong to."""
    positions = defaultdict[str, list[int]](list)
    for position, text in enumerate(texts):
        positions[text.text].append(position)
    owners = {
        owner: positions[row.matched_text]
        for owner, row in _rows(collection, view.text, "text")
        if row.matched_text is not None and row.matched_text in positions
    }
    return Matched(owners, _not_reached(owners, [text.text_id for text in texts]))


def count_own_words(collection: Collection, owners: Owners, task: Task, words: Mapping[str, str]) -> int:
    """How many queries are, but for blanks around them, the very text that stands for one of their right answers.

    owners: texts of the collection. words: query id -> text.
    """
    positions = defaultdict[str, set[int]](set)
    ids = list(owners)
    for start in range(0, len(ids), ID_BLOCK):
        for owner, row in collection.rows("text", ids[start : start + ID_BLOCK]).items():
            positions[(row.matched_text or "").strip()].update(owners[owner])
    relevance = Relevance.of_task(task)
    return sum(
        not positions.get(words[name].strip(), set()).isdisjoint(relevance.documents[relevance.of(query)].tolist())
        for query, name in enumerate(task.query_ids)
    )


def _same_files(image: EvaluationImage, photos: Sequence[tuple[int, str | None]]) -> list[int]:
    # Ids such as 1, 2, 3 are everywhere: alone they would match unrelated pictures.
    if not photos:
        return []
    try:
        digest = hashlib.sha256(image.read()).hexdigest()
    except (ImageError, OSError) as error:
        raise EvaluationError(
            f"image '{image.image_id}' of the set cannot be read: {error}",
            hint="mend the file, or take it from the set",
        ) from error
    return [owner for owner, content_hash in photos if content_hash == digest]


def _rows(collection: Collection, view: VectorView, modality: Modality) -> Iterator[tuple[int, OwnerRow]]:
    for start in range(1, view.last_owner_id + 1, ID_BLOCK):
        ids = list(range(start, min(start + ID_BLOCK, view.last_owner_id + 1)))
        yield from collection.rows(modality, ids).items()


def _not_reached(owners: Owners, names: Sequence[str]) -> tuple[str, ...]:
    reached = {position for positions in owners.values() for position in positions}
    return tuple(name for position, name in enumerate(names) if position not in reached)


def _spelt(path: Path) -> str:
    """Absolute and without `..`, as the collection stores paths."""
    return os.path.abspath(path)  # noqa: PTH100 (absolute() keeps `..`, resolve() follows links)
