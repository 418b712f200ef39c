"""Gathers what a batch of finished items changes, and writes it in one transaction with executemany."""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Table, and_, bindparam, delete, insert, select, update

from indexer.plan import Action, ItemPlan, Outcome, PhotoPlan
from retrieval.catalogue import lexical, queries
from retrieval.catalogue.queries import OWNERS, Modality, chunks, counter
from retrieval.catalogue.schema import (
    counters,
    item_tags,
    items,
    ledger,
    photo_embeddings,
    photo_tokens,
    photos,
    text_embeddings,
    text_tokens,
    texts,
)
from retrieval.catalogue.schema import tombstones as tombstone_table
from retrieval.items.builder import is_value

Row = dict[str, Any]
_SURROGATE = re.compile("[\ud800-\udfff]")
COUNTERS = ("revision", "items", "photos", "texts", "ledger")  # all but the first: the last id given out


@dataclass(frozen=True)
class EncodedPhoto:
    """width, height: of the upright original in pixels; vector: little-endian float16, unit length.

    tokens: what `retrieval.tokens.codec.pack` made, None where the collection keeps none.
    """

    width: int
    height: int
    vector: bytes
    tokens: bytes | None = None


@dataclass(frozen=True)
class FinishedItem:
    """A plan with its results. encoded and failures are by path, for the photos that were to be encoded.

    text_vectors: one for each of the plan's add_texts. text_tokens: likewise, or empty where the collection keeps none.
    """

    plan: ItemPlan
    encoded: Mapping[str, EncodedPhoto] = field(default_factory=dict)
    failures: Mapping[str, str] = field(default_factory=dict)
    text_vectors: Sequence[bytes] = ()
    text_tokens: Sequence[bytes | None] = ()

    def outcome(self, photo: PhotoPlan) -> tuple[Outcome, str]:
        """What became of one of its photos, and why."""
        if photo.path in self.failures:
            return Outcome.FAILED, self.failures[photo.path]
        return photo.outcome, photo.reason

    @property
    def has_photo(self) -> bool:
        """Is any photo of it searchable after this run?"""
        return any(
            photo.photo_id is not None
            or photo.action is Action.COPY
            or photo.path in self.encoded
            or (photo.replaces is not None and photo.action is not Action.DROP)
            for photo in self.plan.photos
        )


class Changes:
    """The rows of one transaction. `write` sends them in an order that foreign keys allow."""

    def __init__(self, connection: Connection, source_id: int, encoder_id: int) -> None:
        self._connection = connection
        self._source_id = source_id
        self._encoder_id = encoder_id
        self._last = {name: counter(connection, name) for name in COUNTERS}
        self._last["revision"] += 1
        self._inserts: dict[Table, list[Row]] = defaultdict(list)
        self._updates: dict[Table, list[Row]] = defaultdict(list)
        self._dead: dict[Modality, list[int]] = {"image": [], "text": []}
        self._taken_over: list[str] = []
        self._dead_items: list[int] = []
        self._words: dict[int, Row] = {}

    def store(self, finished: FinishedItem) -> None:
        """Add an item with its photos and texts."""
        plan = finished.plan
        key = plan.item_key
        row = {
            "item_id": plan.item.item_id,
            "source_id": self._source_id,
            "title": plan.item.title,
            "attributes": dict(plan.item.attributes),
            "row_hash": plan.row_hash,
        }
        if key is None:
            key = self._new_id("items")
            self._inserts[items].append({"id": key, **row})
        elif plan.row_changed:
            self._updates[items].append({"key": key, **row})
        if plan.taken_over:
            self._taken_over.append(plan.item.item_id)
        if plan.item_key is None or plan.row_changed or plan.add_texts or plan.drop_texts:
            self._words[key] = lexical.row(key, plan.item.title, plan.item.texts.values())
        old_texts = owned_by(self._connection, texts, [key]) if plan.new_id else plan.drop_texts
        self._dead["text"].extend(old_texts)
        self._dead["image"].extend(plan.drop_photos)
        tokens = finished.text_tokens or [None] * len(plan.add_texts)
        for (name, content), vector, data in zip(plan.add_texts, finished.text_vectors, tokens, strict=True):
            text_id = self._new_id("texts")
            self._inserts[texts].append({"id": text_id, "item": key, "field": name, "content": content})
            self._embed(text_embeddings, text_id, vector)
            self._keep_tokens(text_tokens, text_id, data)
        for photo in plan.photos:
            self._store_photo(key, photo, finished)

    def note(self, item_id: str, photo: PhotoPlan, outcome: Outcome, reason: str) -> None:
        """Add a photo's ledger entry."""
        failed = outcome is Outcome.FAILED
        same_file = photo.ledger is not None and photo.ledger.stamp == photo.stamp
        attempts = (photo.ledger.attempts if photo.ledger and same_file else 0) + 1 if failed else 0
        row = {
            "source_id": self._source_id,
            "item_id": item_id,
            "path": photo.path,
            "state": "failed" if failed else "skipped" if outcome is Outcome.SKIPPED else "done",
            "reason": reason,
            "attempts": attempts,
            "size": photo.stamp.size if photo.stamp else None,
            "mtime_ns": photo.stamp.mtime_ns if photo.stamp else None,
            "ctime_ns": photo.stamp.ctime_ns if photo.stamp else None,
        }
        if photo.ledger_id is None:
            self._inserts[ledger].append({"id": self._new_id("ledger"), **row})
        else:
            self._updates[ledger].append({"key": photo.ledger_id, **row})

    def reject(self, where: str, reason: str) -> None:
        """Add the ledger entry of an entry that cannot become an item."""
        row = {"source_id": self._source_id, "item_id": "", "path": where, "state": "skipped", "reason": reason}
        self._inserts[ledger].append({"id": self._new_id("ledger"), **row, "attempts": 0})

    def remove(self, modality: Modality, owner_ids: Sequence[int]) -> None:
        """Delete photos or texts with their vectors."""
        self._dead[modality].extend(owner_ids)

    def remove_items(self, item_keys: Sequence[int]) -> None:
        """Delete items; their photos and texts are removed by `remove`."""
        self._dead_items.extend(item_keys)

    def write(self) -> None:
        """Send everything. The caller commits."""
        revision = self._last["revision"]
        self._untag(revision)
        self._give_way(revision)
        for modality, dead in self._dead.items():
            for chunk in chunks(dead):
                self._connection.execute(delete(OWNERS[modality]).where(OWNERS[modality].c.id.in_(chunk)))
            self._inserts[tombstone_table].extend(
                {"modality": modality, "owner_id": owner_id, "revision": revision} for owner_id in dead
            )
        for chunk in chunks(self._dead_items):
            self._connection.execute(delete(items).where(items.c.id.in_(chunk)))
        self._inserts[tombstone_table].extend(
            {"modality": "item", "owner_id": key, "revision": revision} for key in self._dead_items
        )
        for table in (items, photos):
            for row in (*self._inserts[table], *self._updates[table]):
                row["revision"] = revision
        lexical.remove(self._connection, [*self._dead_items, *self._words])
        lexical.add(self._connection, list(self._words.values()))
        for table in (items, photos, ledger):
            rows = self._updates[table]
            if rows:
                columns = [name for name in rows[0] if name != "key"]
                statement = update(table).where(table.c.id == bindparam("key"))
                self._connection.execute(statement.values({name: bindparam(name) for name in columns}), rows)
        embedded = photo_embeddings, photo_tokens, texts, text_embeddings, text_tokens
        for table in (items, photos, *embedded, tombstone_table, ledger):
            rows = self._inserts[table]
            if rows:
                self._connection.execute(insert(table), rows)
        for chunk in chunks(self._taken_over):  # after the updates: an entry that moved with its photo is ours by now
            theirs = and_(ledger.c.item_id.in_(chunk), ledger.c.source_id != self._source_id)
            self._connection.execute(delete(ledger).where(theirs))
        write_counters(self._connection, self._last)

    def _untag(self, revision: int) -> None:
        """Items whose photos change lose their tags: these were said of other photos."""
        keys = {row["item"] for row in self._inserts[photos]}
        for chunk in chunks(self._dead["image"]):
            keys.update(self._connection.execute(select(photos.c.item).where(photos.c.id.in_(chunk))).scalars())
        for chunk in chunks(sorted(keys)):
            tagged = items.c.id.in_(select(item_tags.c.item).where(item_tags.c.item.in_(chunk)))
            self._connection.execute(update(items).where(tagged).values(revision=revision))
            self._connection.execute(delete(item_tags).where(item_tags.c.item.in_(chunk)))

    def _give_way(self, revision: int) -> None:
        """Tags in a field that the catalogue has now itself, as an attribute or a text, are removed from all items."""
        rows = [*self._inserts[items], *self._updates[items]]
        named = {name for row in rows for name, value in row["attributes"].items() if is_value(value)}
        named |= {row["field"] for row in self._inserts[texts]}
        # No tag stands in a field whose name is no Unicode, as JSON can have it and SQLite cannot be asked for.
        for chunk in chunks(sorted(name for name in named if name.isascii() or not _SURROGATE.search(name))):
            mine = item_tags.c.field.in_(chunk)  # found by index: a run over items without tags pays nothing
            tagged = items.c.id.in_(select(item_tags.c.item).where(mine))
            if self._connection.execute(select(item_tags.c.item).where(mine).limit(1)).scalar() is not None:
                self._connection.execute(update(items).where(tagged).values(revision=revision))
                self._connection.execute(delete(item_tags).where(mine))

    def _store_photo(self, key: int, photo: PhotoPlan, finished: FinishedItem) -> None:
        if photo.photo_id is not None:
            self._updates[photos].append(
                {"key": photo.photo_id, "item": key, "path": photo.path, "position": photo.position}
            )
            return
        if photo.action is Action.COPY and photo.copy_of is not None:
            known = photo.copy_of
            encoded = EncodedPhoto(known.width, known.height, known.vector, known.tokens)
        elif photo.path in finished.encoded:
            encoded = finished.encoded[photo.path]
        else:
            if photo.action is Action.DROP and photo.replaces is not None:
                self._dead["image"].append(photo.replaces)
            return
        if photo.replaces is not None:
            self._dead["image"].append(photo.replaces)
        photo_id = self._new_id("photos")
        self._inserts[photos].append(
            {
                "id": photo_id,
                "item": key,
                "position": photo.position,
                "path": photo.path,
                "content_hash": photo.content_hash,
                "width": encoded.width,
                "height": encoded.height,
            }
        )
        self._embed(photo_embeddings, photo_id, encoded.vector)
        self._keep_tokens(photo_tokens, photo_id, encoded.tokens)

    def _embed(self, table: Table, owner_id: int, vector: bytes) -> None:
        self._inserts[table].append({"owner_id": owner_id, "encoder_id": self._encoder_id, "vector": vector})

    def _keep_tokens(self, table: Table, owner_id: int, data: bytes | None) -> None:
        if data is not None:
            self._inserts[table].append({"owner_id": owner_id, "encoder_id": self._encoder_id, "data": data})

    def _new_id(self, name: str) -> int:
        self._last[name] += 1
        return self._last[name]


def write_counters(connection: Connection, values: Mapping[str, int]) -> None:
    """Set named numbers of the collection."""
    connection.execute(delete(counters).where(counters.c.name.in_(values)))
    connection.execute(insert(counters), [{"name": name, "value": value} for name, value in values.items()])


def advance(connection: Connection) -> None:
    """Begin the next revision, so that readers look again."""
    write_counters(connection, {"revision": queries.revision(connection) + 1})


def owned_by(connection: Connection, table: Table, item_keys: Sequence[int]) -> list[int]:
    """Ids of all photos (or texts) of these items."""
    found: list[int] = []
    for chunk in chunks(item_keys):
        found.extend(connection.execute(select(table.c.id).where(table.c.item.in_(chunk))).scalars())
    return found
