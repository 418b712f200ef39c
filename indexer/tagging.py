"""Gives a collection's items labels, and keeps them beside the items' attributes."""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sqlalchemy import Connection, delete, func, insert, select, update

from indexer.changes import advance
from indexer.index_build import OnRows, StoredRows
from indexer.writer import open_existing
from retrieval.arrays import FloatArray
from retrieval.catalogue import queries
from retrieval.catalogue.engine import reading_engine
from retrieval.catalogue.schema import item_tags, items, photos, texts
from retrieval.catalogue.versions import mismatch, require_head, unfinished
from retrieval.confidence.labels import PAIRS, Labeller, label_vectors, sharpness_of
from retrieval.confidence.nulls import null_queries_of
from retrieval.encoders.base import DualEncoder
from retrieval.errors import QueryError
from retrieval.filters.expression import RESERVED as KEYWORDS
from retrieval.items.table import OWN_FIELDS

MIN_CONFIDENCE = 0.5
TOP = 3
FIELD = re.compile(r"[a-z][a-z0-9_]{0,63}")
SHOWN = {"id", "photo", "score", "confidence", "rank", "matched_text"}  # what a hit has beside its attributes
RESERVED = frozenset({*SHOWN, *OWN_FIELDS, *KEYWORDS})


@dataclass(frozen=True)
class Tag:
    """A label with its confidence in [0, 1]."""

    label: str
    confidence: float


@dataclass(frozen=True)
class Tagged:
    """tags: of each item that got any, most confident first, by the item's key; names: (item_id, title) of those.

    items: with at least one photo; sharpness: see `Labeller`.
    """

    tags: dict[int, tuple[Tag, ...]]
    names: dict[int, tuple[str, str]]
    items: int
    sharpness: float


def tag(
    folder: Path,
    encoder: DualEncoder,
    labels: Sequence[str],
    *,
    field: str = "tags",
    min_confidence: float = MIN_CONFIDENCE,
    top: int = TOP,
    store: bool = False,
    on_rows: OnRows = lambda *_: None,
) -> Tagged:
    """Find the likely labels of every item that has a photo; an item counts with the best of its photos.

    store: keep them as the attribute `field`, in place of what an earlier call kept there; in one transaction, under
    the writer's lock. on_rows(done, total) is told how many photos were compared.

    Raises QueryError for a field, confidence or number that cannot be; FingerprintMismatch for another encoder than
    the collection's; CollectionNotFound, CollectionDamaged, and with `store` CollectionLocked and StorageError.
    """
    _check(field, min_confidence, top)
    if not store:
        with _reading(folder) as connection:
            return _tagged(connection, folder, encoder, labels, min_confidence, top, on_rows)
    with open_existing(folder) as writer, writer.engine.begin() as connection:
        _refuse_taken(connection, field)
        found = _tagged(connection, folder, encoder, labels, min_confidence, top, on_rows)
        _forget(connection, field)
        rows = [
            {"item": key, "field": field, "label": one.label, "confidence": one.confidence}
            for key, tags in found.tags.items()
            for one in tags
        ]
        if rows:
            connection.execute(insert(item_tags), rows)
        _written(connection, field)
        advance(connection)
    return found


def remove_tags(folder: Path, field: str) -> int:
    """Remove a field that `tag` kept. Returns from how many items. Raises QueryError, naming the fields there are."""
    with open_existing(folder) as writer, writer.engine.begin() as connection:
        mine = item_tags.c.field == field
        count = connection.execute(select(func.count(item_tags.c.item.distinct())).where(mine)).scalar_one()
        if not count:
            known = connection.execute(select(item_tags.c.field).distinct().order_by(item_tags.c.field)).scalars()
            raise QueryError(f"no item has tags in '{field}'", hint=f"fields with tags: {', '.join(known) or 'none'}")
        _forget(connection, field)
        advance(connection)
    return int(count)


def _written(connection: Connection, field: str) -> None:
    """The items that have tags in this field are written by the revision to come, so that readers look at them."""
    mine = items.c.id.in_(select(item_tags.c.item).where(item_tags.c.field == field))
    connection.execute(update(items).where(mine).values(revision=queries.revision(connection) + 1))


def _forget(connection: Connection, field: str) -> None:
    _written(connection, field)
    connection.execute(delete(item_tags).where(item_tags.c.field == field))


def _check(field: str, min_confidence: float, top: int) -> None:
    if not FIELD.fullmatch(field) or field in RESERVED:
        raise QueryError(
            f"'{field}' cannot be the name of a field",
            hint="use small letters, digits and _, such as --field tags; what every hit has (id, title, photos) "
            "and the words of filters (and, is, null) are taken",
        )
    if not 0 <= min_confidence <= 1:
        raise QueryError(f"the least confidence is {min_confidence}", hint="give a number from 0 to 1")
    if not 1 <= top <= 100:
        raise QueryError(f"the most labels of an item are {top}", hint="give a number from 1 to 100")


@contextmanager
def _reading(folder: Path) -> Iterator[Connection]:
    engine = reading_engine(folder)
    try:
        with engine.connect() as connection, connection.begin():
            require_head(connection, folder)
            yield connection
    finally:
        engine.dispose()


def _refuse_taken(connection: Connection, field: str) -> None:
    """The catalogue's own attribute or text field of that name would be hidden."""
    named = items.c.attributes[field].as_string().is_not(None)
    written = select(items.c.item_id).join_from(texts, items).where(texts.c.field == field)
    for kind, found in (("an attribute", select(items.c.item_id).where(named)), ("a text field", written)):
        taken = connection.execute(found.limit(1)).scalar()
        if taken is not None:
            raise QueryError(
                f"the catalogue has {kind} '{field}' of its own (item {taken})",
                hint=f"choose another name, such as --field {field}_seen",
            )


def _tagged(
    connection: Connection,
    folder: Path,
    encoder: DualEncoder,
    labels: Sequence[str],
    min_confidence: float,
    top: int,
    on_rows: OnRows,
) -> Tagged:
    made_with = queries.encoder_row(connection)
    if made_with is None:
        raise unfinished(folder)
    if made_with.fingerprint != encoder.spec.fingerprint:
        raise mismatch(folder, made_with, encoder.spec)
    nulls = null_queries_of(encoder).words
    stored = StoredRows(connection, "image", made_with.dimension)
    sharpness = sharpness_of(*_pairs(connection, made_with.dimension), nulls)
    labeller = Labeller(tuple(labels), label_vectors(encoder, labels), nulls, sharpness)

    best: dict[int, dict[int, float]] = defaultdict(dict)
    seen: set[int] = set()
    total, done = len(stored), 0
    for ids, vectors in stored.blocks():
        of_block = photos.c.id.between(int(ids[0]), int(ids[-1]))
        owners = {row.id: row.item for row in connection.execute(select(photos.c.id, photos.c.item).where(of_block))}
        seen.update(owners.values())
        confidences = labeller.confidences(vectors.astype(np.float32))
        for row, column in zip(*np.nonzero(confidences >= max(min_confidence, 1e-6)), strict=True):
            of_item = best[owners[int(ids[row])]]
            of_item[int(column)] = max(of_item.get(int(column), 0.0), float(confidences[row, column]))
        done += len(ids)
        on_rows(done, total)
    tags = {
        key: tuple(
            Tag(labels[column], confidence)
            for column, confidence in sorted(found.items(), key=lambda one: (-one[1], one[0]))[:top]
        )
        for key, found in sorted(best.items())
    }
    return Tagged(tags, _names(connection, list(tags)), len(seen), sharpness)


def _pairs(connection: Connection, dimension: int) -> tuple[FloatArray, FloatArray | None]:
    """Photos with one text each, spread over the collection, no text twice: two float32 [n, dimension], n <= PAIRS.

    Photos alone where there are no texts.
    """
    keys = list(connection.execute(select(photos.c.item).distinct().order_by(photos.c.item)).scalars())
    some = [keys[i] for i in np.linspace(0, len(keys), min(len(keys), 2 * PAIRS), endpoint=False).astype(int)]
    first = (
        select(func.min(photos.c.id).label("photo"), func.min(texts.c.id).label("text"))
        .join_from(photos, texts, photos.c.item == texts.c.item)
        .group_by(photos.c.item)
    )
    by_content: dict[str, tuple[int, int]] = {}
    for chunk in queries.chunks(some):
        of_chunk = first.where(photos.c.item.in_(chunk)).subquery()
        joined = select(of_chunk.c.photo, of_chunk.c.text, texts.c.content).join(texts, texts.c.id == of_chunk.c.text)
        for photo_id, text_id, content in connection.execute(joined.order_by(of_chunk.c.photo)):
            by_content.setdefault(content, (photo_id, text_id))
    chosen = list(by_content.values())[:PAIRS]
    ids, vectors = queries.vectors_of(connection, "image", [row[0] for row in chosen], dimension)
    text_ids, text_vectors = queries.vectors_of(connection, "text", [row[1] for row in chosen], dimension)
    photo_at = {int(one): place for place, one in enumerate(ids)}
    text_at = {int(one): place for place, one in enumerate(text_ids)}
    kept = [(photo_at[a], text_at[b]) for a, b in chosen if a in photo_at and b in text_at]
    if not kept:
        alone = StoredRows(connection, "image", dimension).evenly(PAIRS)
        return alone, None
    places = np.array(kept)
    return vectors[places[:, 0]].astype(np.float32), text_vectors[places[:, 1]].astype(np.float32)


def _names(connection: Connection, keys: Sequence[int]) -> dict[int, tuple[str, str]]:
    return {
        row.id: (row.item_id, row.title)
        for chunk in queries.chunks(keys)
        for row in connection.execute(select(items.c.id, items.c.item_id, items.c.title).where(items.c.id.in_(chunk)))
    }
