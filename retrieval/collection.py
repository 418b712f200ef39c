"""A collection on disk, opened for reading: always the newest committed revision, never half of one."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from threading import Lock, local
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt
from sqlalchemy import Connection, Engine

from retrieval.catalogue import lexical, queries, rule_queries, token_queries
from retrieval.catalogue.engine import database_status, is_immutable, reading_engine
from retrieval.catalogue.lexical import Matches, Postings
from retrieval.catalogue.queries import EncoderRow, ItemRow, Modality, OwnerRow, Problem
from retrieval.catalogue.rule_queries import StoredRules
from retrieval.catalogue.versions import require_head, unfinished
from retrieval.confidence.calibration import Calibration
from retrieval.confidence.stored import Calibrations, Direction
from retrieval.errors import CollectionChanged, FingerprintMismatch, QueryError
from retrieval.index.base import IdArray, IdMask
from retrieval.index.view import VectorView
from retrieval.items import ItemTable
from retrieval.lexical import Term
from retrieval.rules.load import rules_in_force
from retrieval.rules.ruleset import NO_RULES, RuleSet
from retrieval.tokens.value import Tokens, TokenSpec

BLOCK_ROWS = 65_536  # 64 MB at 512 numbers
IDS_COMPARED = 20_000  # ids looked at for one like a mistyped one: 0.1 s


@dataclass(frozen=True)
class CollectionView:
    """Both vector spaces of a collection at one revision. Immutable: a search finishes on the view it began with.

    database: device and inode of the database file that gave the ids. rules: what holds at this revision.
    calibrations: what turns cosines into confidences, by modality and kind of query; missing before an index run.
    """

    database: tuple[int, int]
    revision: int
    image: VectorView
    text: VectorView
    rules: RuleSet = NO_RULES
    calibrations: Mapping[Direction, Calibration] = field(default_factory=dict)

    def of(self, modality: Modality) -> VectorView:
        """The photos' vectors or the texts' vectors: a mixed index would rank its own modality first."""
        return self.image if modality == "image" else self.text


class Collection:
    """A folder with `catalog.db` and index files. Many processes may read while one writes."""

    def __init__(self, folder: Path) -> None:
        """Open for reading. Raises CollectionNotFound, or CollectionDamaged when it cannot be read."""
        self.folder = folder
        self._refreshing = Lock()
        self._view: CollectionView | None = None
        self._reading_items = Lock()
        self._items: ItemTable | None = None
        self._postings = Postings()
        self._counted: tuple[CollectionView, dict[tuple[Modality, ...], int]] | None = None
        self._calibrations = Calibrations()
        self._local = local()
        self._status = database_status(folder)
        self._engine, self.encoder = _opened(folder)

    @classmethod
    def open(cls, folder: Path) -> "Collection":
        """Open for reading. Raises CollectionNotFound, or CollectionDamaged when it cannot be read."""
        return cls(folder)

    def close(self) -> None:
        """Give the database connections back."""
        self._engine.dispose()

    def __enter__(self) -> "Collection":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def view(self) -> CollectionView:
        """The newest committed revision. Costs one small query when nothing changed; swaps atomically when it did.

        Raises CollectionNotFound when the collection was deleted, FingerprintMismatch when it was then made again with
        another model, RulesError when its rules cannot be read.
        """
        with self._refreshing:
            if self._held() is None:
                self._reopen_if_replaced()
            with self._reading() as connection:
                return self._newest(connection)

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """All that this thread reads of the collection within is of one revision, whatever a writer commits meanwhile.

        A search reads the view, vectors, items and rows one after the other: of several revisions they would not fit
        together. Raises as `view` does; `view` raises CollectionChanged within, where another thread has read a newer
        revision in the moment before.
        """
        if self._held() is not None:
            yield
            return
        with self._refreshing:
            self._reopen_if_replaced()
        with self._reading() as connection:
            self._local.connection = connection
            try:
                yield
            finally:
                del self._local.connection

    def _held(self) -> Connection | None:
        """The connection of this thread's snapshot."""
        held: Connection | None = getattr(self._local, "connection", None)
        return held

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        """A connection in a transaction: that of the snapshot, or a new one."""
        held = self._held()
        if held is not None:
            yield held
            return
        with self._engine.connect() as connection, connection.begin():
            yield connection

    def view_with_items(self, columns: Iterable[str] = ()) -> tuple[CollectionView, ItemTable]:
        """The newest committed revision with all its items, read in one transaction.

        columns: fields that will be looked at; reading them here, in one pass, spares the ItemTable from reading them
        one by one, and from raising CollectionChanged. Searches that need no items do not wait for this. Raises as
        `view` does.
        """
        with self._reading_items, ExitStack() as stack:
            with self._refreshing:
                if self._held() is None:
                    self._reopen_if_replaced()
                connection = stack.enter_context(self._reading())
                view = self._newest(connection)
            reader = partial(self._reading_at, view.database, view.revision)
            table = self._items
            if table is None or table.database != view.database:
                table = ItemTable.load(connection, revision=view.revision, database=view.database, reader=reader)
            elif table.revision < view.revision:
                table = table.refreshed(connection, view.revision, reader)
            table.read(columns, connection)
            self._items = table
            return view, table

    @contextmanager
    def _reading_at(self, database: tuple[int, int], revision: int) -> Iterator[Connection]:
        """A connection in a transaction at this revision of this database. Raises CollectionChanged when it is over."""
        with ExitStack() as stack:
            with self._refreshing:
                if self._held() is None:
                    self._reopen_if_replaced()
                connection = stack.enter_context(self._reading())
                newest = queries.revision(connection)
                changed = newest != revision or _identity(self._status) != database
            if changed:
                raise CollectionChanged(
                    f"{self.folder} was changed while it was searched (revision {newest}, not {revision})",
                    hint="search again",
                )
            yield connection

    def _newest(self, connection: Connection) -> CollectionView:
        revision = queries.revision(connection)
        if connection.engine is not self._engine or (self._view is not None and self._view.revision > revision):
            raise CollectionChanged(f"{self.folder} was changed while it was searched", hint="search again")
        if self._view is None or self._view.revision < revision:
            self._view = self._loaded(connection, revision)
        return self._view

    def _loaded(self, connection: Connection, revision: int) -> CollectionView:
        views = {}
        for modality in queries.MODALITIES:
            if self._view is None:
                views[modality] = VectorView.load(connection, self.folder, modality, self.encoder.dimension)
            else:
                views[modality] = self._view.of(modality).refreshed(connection, self.folder, self._view.revision)
        rules = rules_in_force(connection, NO_RULES if self._view is None else self._view.rules)
        calibrations = self._calibrations.current(connection, self.encoder.dimension)
        return CollectionView(_identity(self._status), revision, views["image"], views["text"], rules, calibrations)

    def _reopen_if_replaced(self) -> None:
        """Follow a collection that was deleted and made again, or changed after being opened on a read-only disk."""
        # The engine keeps a connection open, so the system cannot give the old file's inode to a new one.
        status = database_status(self.folder)
        replaced = _identity(status) != _identity(self._status)
        thawed = is_immutable(self._engine) and _content(status) != _content(self._status)
        if not replaced and not thawed:
            return
        engine, encoder = _opened(self.folder)
        if encoder.fingerprint != self.encoder.fingerprint:
            engine.dispose()
            raise FingerprintMismatch(
                f"{self.folder} was made again with {encoder.name} (fingerprint {encoder.fingerprint}) "
                f"while it was open with {self.encoder.name} (fingerprint {self.encoder.fingerprint})",
                hint="open it anew, with the model that it names now",
            )
        old, self._engine = self._engine, engine
        self.encoder, self._status, self._view = encoder, status, None
        self._calibrations, self._postings, self._counted = Calibrations(), Postings(), None  # known by revision only
        old.dispose()

    def rows(self, modality: Modality, owner_ids: list[int]) -> dict[int, OwnerRow]:
        """What to show for photos or texts by id; those deleted meanwhile are missing."""
        with self._reading() as connection:
            return queries.owner_rows(connection, modality, owner_ids)

    def vectors(self, modality: Modality, owner_ids: list[int]) -> tuple[IdArray, npt.NDArray[np.float16]]:
        """Stored unit vectors: ids [n] ascending and float16 [n, dimension]."""
        with self._reading() as connection:
            return queries.vectors_of(connection, modality, owner_ids, self.encoder.dimension)

    def token_spec(self) -> TokenSpec | None:
        """What the collection keeps tokens for; None if it keeps none."""
        with self._reading() as connection:
            return token_queries.token_spec(connection)

    def tokens(self, modality: Modality, owner_ids: Sequence[int] | IdArray) -> tuple[Tokens, IdArray]:
        """Tokens of photos or texts with their stored vectors, rows in the order asked for.

        Second the ids of those whose tokens are missing or damaged: their rows have the length 0 and a vector. A photo
        or text that was deleted meanwhile has neither, and is not among them.
        """
        with self._reading() as connection:
            spec = token_queries.token_spec(connection)
            return token_queries.tokens_of(connection, modality, owner_ids, spec=spec, dimension=self.encoder.dimension)

    def item_keys(self, modality: Modality, owner_ids: list[int]) -> dict[int, int]:
        """The item of each photo or text; those deleted meanwhile are missing."""
        with self._reading() as connection:
            return queries.item_keys_of(connection, modality, owner_ids)

    def items(self, item_keys: list[int]) -> dict[int, ItemRow]:
        """What to show of items by key; those deleted meanwhile are missing."""
        with self._reading() as connection:
            return queries.item_rows(connection, item_keys)

    def lexical_matches(self, terms: Sequence[Term], limit: int | None, allowed: IdMask | None = None) -> Matches:
        """Items that have any of the words, best first; see `retrieval.catalogue.lexical`.

        limit: None for all. allowed: keys of items.
        """
        with self._reading() as connection:
            return lexical.lexical_matches(connection, terms, limit, allowed, self._postings)

    def countable(self, view: CollectionView, modalities: tuple[Modality, ...]) -> int:
        """How many items have a photo, a text, or either: counted once for each view, in its snapshot."""
        counted = self._counted
        if counted is None or counted[0] is not view:
            counted = self._counted = (view, {})
        if modalities not in counted[1]:
            with self._reading() as connection:
                counted[1][modalities] = queries.items_with(connection, modalities)
        return counted[1][modalities]

    def item_key(self, item_id: str) -> int:
        """The key of an item. Raises QueryError, with ids that look like it, when there is none of that id."""
        with self._reading() as connection:
            key = queries.item_key(connection, item_id)
            if key is not None:
                return key
            near = get_close_matches(item_id, queries.item_ids(connection, IDS_COMPARED), n=3)
        raise QueryError(
            f"there is no item '{item_id[:200]}' in {self.folder}",
            hint=f"is it one of these: {', '.join(near)}" if near else "ids are those that a search prints",
        )

    def has_any(self, item_key: int, modalities: tuple[Modality, ...]) -> bool:
        """Does an item have a photo, or a text, or either?"""
        with self._reading() as connection:
            return any(queries.owners_of_item(connection, modality, item_key) for modality in modalities)

    def first_photos(self, item_keys: list[int]) -> dict[int, int]:
        """The id of each item's first photo; items without one are missing."""
        with self._reading() as connection:
            return queries.first_photos(connection, item_keys)

    def item_vectors(self, item_key: int, modality: Modality) -> npt.NDArray[np.float16]:
        """Stored unit vectors of an item's photos or texts, float16 [n, dimension]; n may be 0."""
        with self._reading() as connection:
            owners = queries.owners_of_item(connection, modality, item_key)
            return queries.vectors_of(connection, modality, owners, self.encoder.dimension)[1]

    def vector_blocks(
        self, view: CollectionView, modality: Modality, rows: int = BLOCK_ROWS
    ) -> Iterator[tuple[IdArray, npt.NDArray[np.float16]]]:
        """All stored vectors at a view's revision, in ascending order of id: ids [n] and float16 [n, dimension].

        Raises CollectionChanged when that revision is over.
        """
        with self._reading_at(view.database, view.revision) as connection:
            last = 0
            while True:
                ids, vectors = queries.vectors_after(connection, modality, last, self.encoder.dimension, rows)
                if not len(ids):
                    return
                yield ids, vectors
                last = int(ids[-1])

    def status(self) -> dict[str, Any]:
        """Counts, model, revision and index as JSON values; the keys are those of `catalens status --json`."""
        with self._engine.connect() as connection, connection.begin():
            numbers = queries.counts(connection)
            index = {}
            for modality in queries.MODALITIES:
                kept = queries.kept_generations(connection, modality)
                index[modality] = {
                    "kind": kept[0].kind if kept else "none",
                    "rows": kept[0].rows if kept else 0,
                    "newer_rows": queries.rows_after(connection, modality, kept[0].max_owner_id if kept else 0),
                    "deleted_rows": len(
                        queries.tombstones_after(connection, modality, kept[0].revision if kept else 0)
                    ),
                    "file": kept[0].file if kept else None,
                    "revision": kept[0].revision if kept else 0,
                    "nprobe": kept[0].nprobe if kept else 0,
                    "recall": kept[0].recall if kept else 1.0,
                }
            return {
                "collection": str(self.folder),
                **numbers,
                "model": self.encoder.name,
                "fingerprint": self.encoder.fingerprint,
                "dimension": self.encoder.dimension,
                "revision": queries.revision(connection),
                "sources": queries.source_locations(connection),
                "index": index,
                "tokens": token_queries.token_counts(connection),
            }

    def stored_rules(self, version: int | None = None) -> StoredRules | None:
        """A version of the rules as it was written, the newest if none is named; None when there is no such."""
        with self._engine.connect() as connection, connection.begin():
            wanted = rule_queries.newest_version(connection) if version is None else version
            return rule_queries.stored_rules(connection, wanted)

    def rules_history(self) -> list[StoredRules]:
        """All versions of the rules, newest first."""
        with self._engine.connect() as connection:
            return rule_queries.history(connection)

    def problems(self, locations: Sequence[str] | None = None) -> list[Problem]:
        """What failed, then what was skipped; only of the sources at these locations, if any are given."""
        with self._engine.connect() as connection:
            return queries.problems(connection, locations)


def _opened(folder: Path) -> tuple[Engine, EncoderRow]:
    engine = reading_engine(folder)
    try:
        with engine.connect() as connection:
            require_head(connection, folder)
            encoder = queries.encoder_row(connection)
        if encoder is None:
            raise unfinished(folder)
    except BaseException:
        engine.dispose()
        raise
    return engine, encoder


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _content(status: os.stat_result) -> tuple[int, int]:
    return status.st_size, status.st_mtime_ns
