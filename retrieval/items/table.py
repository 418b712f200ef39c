"""All items of a collection at one revision, as arrays: what filters, facets and sorting work on.

An item is known by its *position*, its place in ascending order of key. A boolean array over positions becomes a mask
of photo or text ids for vector search; ids that a vector search found become positions.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt
from sqlalchemy import Connection

from retrieval.arrays import IdArray
from retrieval.catalogue import item_queries, queries
from retrieval.catalogue.item_queries import ITEM_ID, TITLE
from retrieval.catalogue.queries import MODALITIES, Modality
from retrieval.catalogue.tag_queries import tag_fields
from retrieval.index.base import IdMask
from retrieval.items.builder import ColumnBuilder, kind_of, typed
from retrieval.items.columns import BoolArray, Column, Kind, Move, NumberColumn, empty_text
from retrieval.items.field_types import attribute_types

PHOTOS = "photos"
OWN_FIELDS: dict[str, Kind] = {ITEM_ID: "text", TITLE: "text", PHOTOS: "number"}  # what every item has
NO_ITEM = -1
REREAD_SHARE = 0.3  # where more of the rows changed, columns are read anew in one pass

Positions = npt.NDArray[np.int32]
Reader = Callable[[], AbstractContextManager[Connection]]


class ItemTable:
    """The items at one revision. Columns are read when they are first asked for; all else never changes.

    keys: int64 [n], ascending: items.id. database: device and inode of the database file that gave them.
    photo_items, text_items: int32, item position by photo id or text id, -1 where there is none.
    """

    def __init__(
        self,
        keys: IdArray,
        photo_items: Positions,
        text_items: Positions,
        *,
        revision: int = 0,
        database: tuple[int, int] = (0, 0),
        reader: Reader | None = None,
        columns: Mapping[str, Column | None] | None = None,
        from_texts: Iterable[str] = (),
    ) -> None:
        """reader: a connection in a transaction at this table's own revision; None if all fields are in `columns`.

        from_texts: those of the columns that are text fields, not attributes.
        """
        self.keys = keys
        self.photo_items = photo_items
        self.text_items = text_items
        self.revision = revision
        self.database = database
        self._reader = reader
        self._reading = Lock()
        self._naming = Lock()  # its own: a misspelt field keeps nobody from reading a column
        self._columns: dict[str, Column | None] = {}
        photos = np.bincount(photo_items[photo_items >= 0], minlength=len(keys))
        self._columns[PHOTOS] = NumberColumn(photos.astype(np.float64))
        self._columns.update(columns or {})
        self._from_texts = set(from_texts)
        self._fields: dict[str, Kind] | None = None
        self._having: dict[Modality, BoolArray] = {}

    @classmethod
    def load(
        cls, connection: Connection, *, revision: int, database: tuple[int, int], reader: Reader | None
    ) -> "ItemTable":
        """Read keys and owners in the connection's transaction; no column yet."""
        keys = item_queries.item_keys(connection)
        owners = {}
        for modality in MODALITIES:
            ids, item_keys = item_queries.owned(connection, modality)
            owners[modality] = np.full(ids.max(initial=0) + 1, NO_ITEM, dtype=np.int32)
            owners[modality][ids] = np.searchsorted(keys, item_keys)
        return cls(keys, owners["image"], owners["text"], revision=revision, database=database, reader=reader)

    @classmethod
    def of_rows(cls, rows: Sequence[Mapping[str, Any]]) -> "ItemTable":
        """A table of items that no collection holds, by their fields; item i has key i + 1, photo i and text i."""
        owners = np.arange(len(rows), dtype=np.int32)
        names = dict.fromkeys(name for row in rows for name in row)
        columns = {name: typed([row.get(name) for row in rows]) for name in names}
        for name in (ITEM_ID, TITLE):
            columns[name] = columns.get(name) or empty_text(len(rows))
        return cls(owners.astype(np.int64) + 1, owners, owners, columns=columns)

    def __len__(self) -> int:
        return len(self.keys)

    def mask(self, modality: Modality, allowed: BoolArray) -> IdMask:
        """The photos or texts of the allowed items (bool [n])."""
        return IdMask(np.append(allowed, False)[self._owners(modality)])  # -1 is the last

    def items_of(self, modality: Modality, owner_ids: IdArray) -> Positions:
        """Item positions of photos or texts, int32 of the same shape; -1 for an id that this revision has not."""
        owners = self._owners(modality)
        known = (owner_ids >= 0) & (owner_ids < len(owners))
        return np.where(known, owners[np.where(known, owner_ids, 0)], np.int32(NO_ITEM))

    def having(self, modality: Modality) -> BoolArray:
        """Which items have a photo, or a text: bool [n], not to be written to. Made once: 3 ms for a million photos."""
        if modality not in self._having:
            having = np.zeros(len(self) + 1, np.bool_)  # -1 is the last
            having[self._owners(modality)] = True
            self._having[modality] = having[:-1]
        return self._having[modality]

    def _owners(self, modality: Modality) -> Positions:
        return self.photo_items if modality == "image" else self.text_items

    def column(self, name: str) -> Column | None:
        """The values of a field; None where no item has any. Raises CollectionChanged when they would be newer ones."""
        if name not in self._columns and self._reader is not None and self._may_have(name):
            with self._reading:
                if name not in self._columns:
                    with self._reader() as connection:
                        self.read([name], connection)
        return self._columns.get(name)

    def fields(self) -> dict[str, Kind]:
        """All fields that any item has, with their types, by name. Looks at all attributes the first time."""
        with self._naming:
            if self._fields is None:
                if self._reader is None:
                    self._fields = {name: column.kind for name, column in self._columns.items() if column is not None}
                else:
                    with self._reader() as connection:
                        self._fields = _fields(connection)
            return dict(self._fields)

    def read(self, names: Iterable[str], connection: Connection) -> None:
        """Read the columns of these fields that are not here yet, in one pass; the connection is at this revision."""
        wanted = [name for name in dict.fromkeys(names) if name not in self._columns and self._may_have(name)]
        columns = _attribute_columns(connection, wanted, self.keys)
        for name in wanted:
            if columns[name] is None:
                columns[name] = _text_column(connection, name, self.keys)
                self._from_texts.add(name)
        self._columns.update(columns)

    def _may_have(self, name: str) -> bool:
        """Whether it must be looked for: once all fields are known, one that no item has costs nothing more."""
        return self._fields is None or name in self._fields

    def refreshed(self, connection: Connection, revision: int, reader: Reader | None) -> "ItemTable":
        """This table at the connection's revision. Reads what was written since, not what was here before."""
        if self.revision < queries.counter(connection, "forgotten"):
            return ItemTable.load(connection, revision=revision, database=self.database, reader=reader)
        written = item_queries.item_keys(connection, self.revision)
        gone = queries.tombstones_after(connection, "item", self.revision)
        photos = item_queries.photos_written(connection, self.revision)
        texts = item_queries.texts_after(connection, len(self.text_items) - 1)
        dead = {name: queries.tombstones_after(connection, name, self.revision) for name in MODALITIES}
        stays = np.isin(self.keys, gone, invert=True) if len(gone) else np.ones(len(self), dtype=np.bool_)
        keys = _merged(self.keys[stays] if len(gone) else self.keys, written)
        move = Move(
            kept=np.flatnonzero(stays) if len(gone) else slice(None),
            to=np.searchsorted(keys, self.keys[stays]) if len(gone) else slice(0, len(self)),
            changed=np.searchsorted(keys, written),
            size=len(keys),
        )
        return ItemTable(
            keys,
            _moved_owners(
                self.photo_items, move, len(self), photos[0], np.searchsorted(keys, photos[1]), dead["image"]
            ),
            _moved_owners(self.text_items, move, len(self), texts[0], np.searchsorted(keys, texts[1]), dead["text"]),
            revision=revision,
            database=self.database,
            reader=reader,
            columns=self._moved_columns(connection, move, written),
            from_texts=set(self._from_texts),
        )

    def _moved_columns(self, connection: Connection, move: Move, written: IdArray) -> dict[str, Column | None]:
        """Those of the columns that can be carried over; the others are read anew when they are asked for."""
        columns = {name: column for name, column in list(self._columns.items()) if name != PHOTOS}
        if not len(written) and isinstance(move.kept, slice):
            return columns
        if len(written) > REREAD_SHARE * move.size:
            return {}
        of_texts = [name for name in columns if name in self._from_texts or columns[name] is None]
        fresh = _attribute_columns(connection, list(columns), written, only=True)
        fresh_texts = {name: _text_column(connection, name, written, only=True) for name in of_texts}
        moved: dict[str, Column | None] = {}
        for name, column in columns.items():
            if name in of_texts and fresh[name] is not None:
                continue  # now the field is an attribute
            new = fresh_texts[name] if name in of_texts else fresh[name]
            if column is not None:
                carried = column.moved(move, new)
                if carried is not None and (name in OWN_FIELDS or carried.present.any()):
                    moved[name] = carried
            elif new is None:
                moved[name] = None
        return moved


def _merged(keys: IdArray, others: IdArray) -> IdArray:
    """Both in ascending order, each once; both ascend already, so that nothing is sorted."""
    at = np.searchsorted(keys, others)
    new = np.append(keys, NO_ITEM)[at] != others  # no key is -1
    return np.insert(keys, at[new], others[new]) if new.any() else keys


def _moved_owners(
    old: Positions, move: Move, items: int, ids: IdArray, owners: npt.NDArray[np.intp], dead: IdArray
) -> Positions:
    """ids, owners: photos or texts written since, and their items' new positions; dead: ids deleted since."""
    if not len(ids) and not len(dead) and isinstance(move.kept, slice):
        return old
    place = np.full(items + 1, NO_ITEM, dtype=np.int32)  # the last is for owners without an item
    place[:items][move.kept] = np.arange(move.size, dtype=np.int32)[move.to]
    out = np.full(max(len(old), ids.max(initial=0) + 1), NO_ITEM, dtype=np.int32)
    out[: len(old)] = place[old]
    out[ids] = owners
    out[dead[dead < len(out)]] = NO_ITEM
    return out


def _attribute_columns(
    connection: Connection, names: Sequence[str], keys: IdArray, *, only: bool = False
) -> dict[str, Column | None]:
    """Fields of the items' rows, for the items with these keys; only: that these are not all there are."""
    builders = {name: ColumnBuilder(len(keys)) for name in names}
    for found, values in item_queries.item_values(connection, names, keys if only else None) if names else ():
        at = np.searchsorted(keys, found)
        for name, builder in builders.items():
            builder.add(at, values[name])
    return {
        name: builder.column() or (empty_text(len(keys)) if name in OWN_FIELDS else None)
        for name, builder in builders.items()
    }


def _text_column(connection: Connection, name: str, keys: IdArray, *, only: bool = False) -> Column | None:
    """A text field of the items with these keys; only: that these are not all there are."""
    builder = ColumnBuilder(len(keys))
    for found, contents in item_queries.text_values(connection, name, keys if only else None):
        builder.add(np.searchsorted(keys, found), contents)
    return builder.column()


def _fields(connection: Connection) -> dict[str, Kind]:
    types = attribute_types(item_queries.attribute_lines(connection))
    texts: dict[str, Kind] = dict.fromkeys(item_queries.text_fields(connection), "text")
    tags: dict[str, Kind] = dict.fromkeys(tag_fields(connection), "list")
    return texts | {name: kind_of(found) for name, found in types.items()} | tags | OWN_FIELDS
