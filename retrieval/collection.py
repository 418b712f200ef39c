"""What can be read of a collection: the rows behind hits, vectors, tokens, words, counts, rules and problems."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from retrieval.arrays import IdArray
from retrieval.catalogue import lexical, photo_queries, queries, rule_queries, token_queries, whole_items
from retrieval.catalogue.lexical import Matches, Postings
from retrieval.catalogue.photo_queries import PhotoRow
from retrieval.catalogue.queries import ItemRow, Modality, OwnerRow, Problem
from retrieval.catalogue.rule_queries import StoredRules
from retrieval.catalogue.whole_items import WholeItem
from retrieval.errors import QueryError
from retrieval.index.base import IdMask
from retrieval.lexical import Term
from retrieval.photo_paths import found_here
from retrieval.revisions import CollectionView, Revisions
from retrieval.tokens.value import Tokens, TokenSpec

Row = TypeVar("Row", OwnerRow, ItemRow)

BLOCK_ROWS = 65_536  # 64 MB at 512 numbers
IDS_COMPARED = 20_000  # ids looked at for one like a mistyped one: 0.1 s


class Collection(Revisions):
    """A collection opened for reading, at its newest revision or within a `snapshot` at one."""

    def __init__(self, folder: Path) -> None:
        """Open for reading. Raises CollectionNotFound, or CollectionDamaged when it cannot be read."""
        super().__init__(folder)
        self._home = os.path.abspath(folder)  # noqa: PTH100 (absolute() keeps `..`)
        self._postings = Postings()
        self._counted: tuple[CollectionView, dict[tuple[Modality, ...], int]] | None = None

    @classmethod
    def open(cls, folder: Path) -> "Collection":
        """Open for reading. Raises CollectionNotFound, or CollectionDamaged when it cannot be read."""
        return cls(folder)

    def _forget(self) -> None:
        super()._forget()
        self._postings, self._counted = Postings(), None

    def rows(self, modality: Modality, owner_ids: list[int]) -> dict[int, OwnerRow]:
        """What to show for photos or texts by id; those deleted meanwhile are missing."""
        with self._reading() as connection:
            return self._here(queries.owner_rows(connection, modality, owner_ids))

    def _here(self, rows: dict[int, Row]) -> dict[int, Row]:
        """With photos that the collection keeps itself where it lies now."""
        for key, row in rows.items():
            if row.photo is not None and (path := found_here(self._home, row.photo)) != row.photo:
                rows[key] = replace(row, photo=path)
        return rows

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
            return self._here(queries.item_rows(connection, item_keys))

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

    def whole_item(self, item_id: str) -> WholeItem | None:
        """All that is stored of an item; None when there is none of that id."""
        with self._reading() as connection:
            return whole_items.whole_item(connection, item_id)

    def has_any(self, item_key: int, modalities: tuple[Modality, ...]) -> bool:
        """Does an item have a photo, or a text, or either?"""
        with self._reading() as connection:
            return any(queries.owners_of_item(connection, modality, item_key) for modality in modalities)

    def first_photos(self, item_keys: list[int]) -> dict[int, int]:
        """The id of each item's first photo; items without one are missing."""
        with self._reading() as connection:
            return queries.first_photos(connection, item_keys)

    def item_photos(self, item_key: int) -> list[PhotoRow]:
        """An item's photos, the first first; empty for one that has none, or that was deleted meanwhile."""
        with self._reading() as connection:
            found = photo_queries.photos_of_item(connection, item_key)
        return [replace(photo, path=found_here(self._home, photo.path)) for photo in found]

    def owners(self, modality: Modality, item_key: int) -> list[int]:
        """Ids of an item's photos or texts, ascending."""
        with self._reading() as connection:
            return queries.owners_of_item(connection, modality, item_key)

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
