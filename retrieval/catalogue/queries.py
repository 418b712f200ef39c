"""What readers ask the catalogue. Each function takes a connection, so that several share one snapshot."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from sqlalchemy import BindParameter, Connection, Table, and_, bindparam, exists, func, null, select, union

from retrieval.arrays import IdArray
from retrieval.catalogue.schema import (
    counters,
    encoders,
    generations,
    item_tags,
    items,
    ledger,
    photo_embeddings,
    photos,
    sources,
    text_embeddings,
    texts,
    tombstones,
)
from retrieval.catalogue.tag_queries import tags_of

Modality = Literal["image", "text"]
MODALITIES: tuple[Modality, ...] = ("image", "text")
EMBEDDINGS: dict[Modality, Table] = {"image": photo_embeddings, "text": text_embeddings}
OWNERS: dict[Modality, Table] = {"image": photos, "text": texts}

STORED_DTYPE = np.dtype("<f2")  # float16 costs 0.0002 of cosine at 512 dimensions and halves the database
MAX_PARAMETERS = 500  # ids in one IN (...): SQLite takes 32,766, older builds 999


_FIRST_PHOTO = (
    select(photos.c.path).where(photos.c.item == items.c.id).order_by(photos.c.position).limit(1).scalar_subquery()
)

# What every search asks is put together once: to do it anew takes SQLAlchemy about as long as SQLite takes to answer.
_IDS: BindParameter[int] = bindparam("ids", expanding=True)
_COUNTER = select(counters.c.value).where(counters.c.name == bindparam("name"))
_VECTORS = {
    modality: select(table.c.owner_id, table.c.vector).where(table.c.owner_id.in_(_IDS))
    for modality, table in EMBEDDINGS.items()
}
_ITEM_KEYS = {
    modality: select(owner.c.id, owner.c.item).where(owner.c.id.in_(_IDS)) for modality, owner in OWNERS.items()
}
_PHOTOS_LAST_FIRST = (
    select(photos.c.item, photos.c.id).where(photos.c.item.in_(_IDS)).order_by(photos.c.position.desc())
)
_TAGGED = exists(select(item_tags.c.item)).label("tagged")  # in few collections: then a statement is spared
_ITEM_ROWS = select(items.c.id, items.c.item_id, items.c.title, items.c.attributes, _FIRST_PHOTO, _TAGGED).where(
    items.c.id.in_(_IDS)
)
_OWN: dict[Modality, tuple[Any, ...]] = {
    "image": (photos.c.path, null(), photos.c.content_hash),
    "text": (_FIRST_PHOTO, texts.c.content, null()),
}
_OWNER_ROWS = {
    modality: select(
        owner.c.id, items.c.id, items.c.item_id, items.c.title, items.c.attributes, *_OWN[modality], _TAGGED
    )
    .join_from(owner, items)
    .where(owner.c.id.in_(_IDS))
    for modality, owner in OWNERS.items()
}


@dataclass(frozen=True)
class EncoderRow:
    """The encoder a collection was made with."""

    id: int
    name: str
    fingerprint: str
    dimension: int


@dataclass(frozen=True)
class Generation:
    """One committed index file; it covers every owner up to `max_owner_id` that was alive at `revision`.

    nprobe: inverted lists visited by a search, 0 for an exact index; recall: at 10, as tuned, 1.0 for an exact index.
    code_error, reach: of an inverted index, see `InvertedIndex`; None where they do not apply or were not recorded.
    """

    id: int
    modality: Modality
    file: str
    sha256: str
    kind: str
    rows: int
    max_owner_id: int
    revision: int
    nprobe: int
    recall: float
    code_error: float | None = None
    reach: float | None = None


@dataclass(frozen=True)
class OwnerRow:
    """What a hit shows, by the id of the photo or text that was found. content_hash: SHA-256 of the photo's file."""

    owner_id: int
    item_key: int
    item_id: str
    title: str
    attributes: dict[str, Any]
    photo: str | None
    matched_text: str | None
    content_hash: str | None


@dataclass(frozen=True)
class ItemRow:
    """What a hit shows of an item. photo: path of its first photo, None without one."""

    item_key: int
    item_id: str
    title: str
    attributes: dict[str, Any]
    photo: str | None


@dataclass(frozen=True)
class Problem:
    """state: `failed`, or `skipped` for what was left out on purpose; where: the file, or the row's id or place."""

    state: str
    where: str
    reason: str


def revision(connection: Connection) -> int:
    """Number of committed changes so far.

    Every search asks for it, right after the one before has emptied the processor's caches. So it goes past
    SQLAlchemy's statements, which take three times as long then; they are for saying what an error means.
    """
    try:
        cursor = connection.connection.cursor()
        cursor.execute("SELECT value FROM counters WHERE name = 'revision'")
        row = cursor.fetchone()
    except Exception:
        return counter(connection, "revision")
    return 0 if row is None else int(row[0])


def counter(connection: Connection, name: str) -> int:
    """A named number of the collection; 0 before its first use."""
    return int(connection.execute(_COUNTER, {"name": name}).scalar() or 0)


def encoder_row(connection: Connection) -> EncoderRow | None:
    """The encoder of this collection; None before the first photo."""
    row = connection.execute(
        select(encoders.c.id, encoders.c.name, encoders.c.fingerprint, encoders.c.dimension)
    ).first()
    return None if row is None else EncoderRow(*row)


def kept_generations(connection: Connection, modality: Modality) -> list[Generation]:
    """Committed index files of a modality, newest first."""
    columns = [generations.c[name] for name in Generation.__dataclass_fields__]
    rows = connection.execute(
        select(*columns).where(generations.c.modality == modality).order_by(generations.c.id.desc())
    )
    return [Generation(*row) for row in rows]


def vectors_after(
    connection: Connection, modality: Modality, owner_id: int, dimension: int, limit: int | None = None
) -> tuple[IdArray, npt.NDArray[np.float16]]:
    """Ids [n] (ascending) and vectors [n, dimension] of the owners with larger ids; at most `limit` of them."""
    table = EMBEDDINGS[modality]
    rows = connection.execute(
        select(table.c.owner_id, table.c.vector)
        .where(table.c.owner_id > owner_id)
        .order_by(table.c.owner_id)
        .limit(limit)
    ).all()
    return as_arrays([(row[0], row[1]) for row in rows], dimension)


def vectors_of(
    connection: Connection, modality: Modality, owner_ids: Sequence[int], dimension: int
) -> tuple[IdArray, npt.NDArray[np.float16]]:
    """Ids and vectors of those of the given owners that still exist, in ascending order of id."""
    rows: list[tuple[int, bytes]] = []
    for chunk in chunks(owner_ids):
        rows.extend((row[0], row[1]) for row in connection.execute(_VECTORS[modality], {"ids": chunk}).fetchall())
    return as_arrays(sorted(rows), dimension)


def as_arrays(rows: Sequence[tuple[int, bytes]], dimension: int) -> tuple[IdArray, npt.NDArray[np.float16]]:
    """Rows of (id, vector blob) as arrays."""
    ids = np.fromiter((row[0] for row in rows), dtype=np.int64, count=len(rows))
    blob = b"".join(row[1] for row in rows)
    return ids, np.frombuffer(blob, dtype=STORED_DTYPE).reshape(len(rows), dimension)


def rows_after(connection: Connection, modality: Modality, owner_id: int) -> int:
    """How many owners have larger ids."""
    table = EMBEDDINGS[modality]
    statement = select(func.count()).select_from(table).where(table.c.owner_id > owner_id)
    return int(connection.execute(statement).scalar_one())


def tombstones_after(connection: Connection, modality: Modality | Literal["item"], after_revision: int) -> IdArray:
    """Ids of the owners, or keys of the items, deleted since a revision."""
    rows = connection.execute(
        select(tombstones.c.owner_id).where(
            and_(tombstones.c.modality == modality, tombstones.c.revision > after_revision)
        )
    ).scalars()
    return np.fromiter(rows, dtype=np.int64)


def owner_rows(connection: Connection, modality: Modality, owner_ids: Sequence[int]) -> dict[int, OwnerRow]:
    """What to show for each of these photos or texts; those deleted meanwhile are missing from the answer."""
    found, tagged = {}, False
    for chunk in chunks(owner_ids):
        for *row, tagged in connection.execute(_OWNER_ROWS[modality], {"ids": chunk}).fetchall():  # noqa: B007
            found[row[0]] = OwnerRow(*row)
    tags = tags_of(connection, sorted({row.item_key for row in found.values()})) if tagged else {}
    return {
        owner_id: replace(row, attributes={**row.attributes, **tags[row.item_key]}) if row.item_key in tags else row
        for owner_id, row in found.items()
    }


def item_keys_of(connection: Connection, modality: Modality, owner_ids: Sequence[int]) -> dict[int, int]:
    """The item of each of these photos or texts; those deleted meanwhile are missing from the answer."""
    found: dict[int, int] = {}
    for chunk in chunks(owner_ids):
        found.update((row[0], row[1]) for row in connection.execute(_ITEM_KEYS[modality], {"ids": chunk}).fetchall())
    return found


def items_with(connection: Connection, modalities: Sequence[Modality]) -> int:
    """How many items have a photo, a text, or either."""
    having = union(*(select(OWNERS[modality].c.item) for modality in modalities)).subquery()
    return int(connection.execute(select(func.count()).select_from(having)).scalar_one())


def first_photos(connection: Connection, item_keys: Sequence[int]) -> dict[int, int]:
    """The id of each item's first photo; items without one are missing."""
    found: dict[int, int] = {}
    for chunk in chunks(item_keys):
        # Of an item's photos the last that is read is the first, and stays.
        found.update((row[0], row[1]) for row in connection.execute(_PHOTOS_LAST_FIRST, {"ids": chunk}).fetchall())
    return found


def item_rows(connection: Connection, item_keys: Sequence[int]) -> dict[int, ItemRow]:
    """What to show of each of these items; those deleted meanwhile are missing from the answer."""
    found, tagged = {}, False
    for chunk in chunks(item_keys):
        for *row, tagged in connection.execute(_ITEM_ROWS, {"ids": chunk}).fetchall():  # noqa: B007
            found[row[0]] = ItemRow(*row)
    for key, tags in (tags_of(connection, sorted(found)) if tagged else {}).items():
        found[key] = replace(found[key], attributes={**found[key].attributes, **tags})
    return found


def item_key(connection: Connection, item_id: str) -> int | None:
    """The key of the item with that id of the caller's."""
    return connection.execute(select(items.c.id).where(items.c.item_id == item_id)).scalar()


def owners_of_item(connection: Connection, modality: Modality, item_key: int) -> list[int]:
    """Ids of an item's photos or texts, ascending."""
    owner = OWNERS[modality]
    return list(connection.execute(select(owner.c.id).where(owner.c.item == item_key).order_by(owner.c.id)).scalars())


def item_ids(connection: Connection, limit: int) -> list[str]:
    """The ids of some items, the first in the collection."""
    return list(connection.execute(select(items.c.item_id).order_by(items.c.id).limit(limit)).scalars())


def chunks(values: Sequence[Any], size: int = MAX_PARAMETERS) -> list[Sequence[Any]]:
    """The values in pieces that fit into one IN (...)."""
    return [values[start : start + size] for start in range(0, len(values), size)]


def counts(connection: Connection) -> dict[str, int]:
    """Items, photos, texts, embedded photos, and the ledger's failed and skipped entries."""

    def number(table: Table, *conditions: Any) -> int:
        return int(connection.execute(select(func.count()).select_from(table).where(*conditions)).scalar_one())

    return {
        "items": number(items),
        "photos": number(photos),
        "texts": number(texts),
        "embedded_photos": number(photo_embeddings),
        "embedded_texts": number(text_embeddings),
        "failed": number(ledger, ledger.c.state == "failed"),
        "skipped": number(ledger, ledger.c.state == "skipped"),
    }


def problems(connection: Connection, locations: Sequence[str] | None = None) -> list[Problem]:
    """What failed, then what was skipped; only of the sources at these locations, if any are given."""
    statement = (
        select(ledger.c.state, ledger.c.path, ledger.c.item_id, ledger.c.reason)
        .where(ledger.c.state != "done")
        .order_by(ledger.c.state, ledger.c.id)  # "failed" stands before "skipped"
    )
    if locations is not None:
        statement = statement.join(sources).where(sources.c.location.in_(locations))
    return [Problem(state, path or item_id, reason) for state, path, item_id, reason in connection.execute(statement)]


def source_locations(connection: Connection) -> list[str]:
    """Where the items came from."""
    return list(connection.execute(select(sources.c.location).order_by(sources.c.id)).scalars())
