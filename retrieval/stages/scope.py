"""Which items may be hits: the filter as one boolean array over items, and as masks of photo and text ids."""

from collections import OrderedDict
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

import numpy as np

from retrieval.arrays import IdArray
from retrieval.catalogue.queries import Modality
from retrieval.errors import QueryError
from retrieval.filters import Filter, matching
from retrieval.filters.check import known
from retrieval.filters.facet_request import FacetRequest
from retrieval.filters.sorting import parse_sort
from retrieval.index.base import NO_ID, IdMask
from retrieval.items import ItemTable
from retrieval.items.columns import BoolArray, BooleanColumn, ListColumn, NumberColumn, TextColumn
from retrieval.query import Query
from retrieval.revisions import CollectionView
from retrieval.rules.ruleset import ActiveRules
from retrieval.stages.rows import RowReader


@dataclass(frozen=True)
class Fields:
    """The fields of items that a query names, parsed. Raises FilterError for what cannot be read."""

    filter: Filter | None
    facets: tuple[FacetRequest, ...]
    names: tuple[str, ...]

    @classmethod
    def of(cls, query: Query) -> "Fields":
        """Parse them all, before anything is loaded."""
        asked = Filter.parse(query.filter) if query.filter is not None else None
        facets = tuple(FacetRequest.parse(text) for text in query.facets)
        sorting = [key.field for text in query.sort for key in parse_sort(text)]
        names = [*(asked.fields if asked else ()), *(facet.field for facet in facets), *sorting]
        return cls(asked, facets, tuple(dict.fromkeys([*names, *([query.group] if query.group is not None else [])])))

    def needed(self, rules: ActiveRules, query: Query) -> bool:
        """Does the query need the items' table at all?"""
        return bool(self.names or rules.active_boosts or rules.active_hides or rules.active_pins or not query.parts)


@dataclass(frozen=True)
class Scope:
    """The items that may be hits of one query, at one revision. Masks are made once; used by many threads.

    table: None where the query names no field and no rule holds: then nothing of the items is read.
    allowed: bool by item position, None for all.
    """

    view: CollectionView
    table: ItemTable | None = None
    allowed: BoolArray | None = None
    _masks: dict[str, IdMask] = field(default_factory=dict, repr=False)
    _making: Lock = field(default_factory=Lock, repr=False)

    @classmethod
    def of(cls, view: CollectionView, table: ItemTable, asked: Filter | None, rules: ActiveRules) -> "Scope":
        """The items that pass the filter and that no rule hides. Raises FilterError, CollectionChanged."""
        allowed = matching(asked, table) if asked else None
        if rules.active_hides:
            shown = ~rules.hidden(table)
            allowed = shown if allowed is None else allowed & shown
        return cls(view, table, allowed)

    def mask(self, modality: Modality) -> IdMask | None:
        """The photos or texts of the items that may be hits; None for all."""
        if self.allowed is None or self.table is None:
            return None
        with self._making:
            if modality not in self._masks:
                self._masks[modality] = self.table.mask(modality, self.allowed)
            return self._masks[modality]

    def key_mask(self) -> IdMask | None:
        """The keys of the items that may be hits; None for all."""
        if self.allowed is None or self.table is None:
            return None
        by_key = np.zeros(int(self.table.keys[-1]) + 1 if len(self.table) else 0, np.bool_)
        by_key[self.table.keys] = self.allowed
        return IdMask(by_key)

    def keys_of(self, reader: RowReader, modality: Modality, owners: IdArray) -> IdArray:
        """The item of each photo or text, NO_ID for one that is gone."""
        if self.table is not None:
            known = np.append(self.table.keys, NO_ID)  # -1 is the last
            return known[self.table.items_of(modality, owners)]
        return reader.item_keys(modality, owners)


class Scopes:
    """The scopes of the filters that were asked for lately, at the newest revision. Thread-safe.

    A page's next one, or the same category with other words, needs no second evaluation: at a million items a filter
    with its masks takes milliseconds, as long as the search itself.
    """

    def __init__(self, size: int = 16) -> None:  # at a million items 3 MB each
        self._size = size
        self._table: ItemTable | None = None
        self._held: OrderedDict[tuple[Any, ...], Scope] = OrderedDict()
        self._changing = Lock()

    def of(self, view: CollectionView, table: ItemTable, asked: Filter | None, rules: ActiveRules) -> Scope:
        """`Scope.of`, or the one that it gave before."""
        key = (asked, rules.active_hides)
        with self._changing:
            if self._table is not table:
                self._table = table
                self._held.clear()
            if key in self._held:
                self._held.move_to_end(key)
                return self._held[key]
        made = Scope.of(view, table, asked, rules)
        with self._changing:
            if self._table is table:
                self._held[key] = made
                while len(self._held) > self._size:
                    self._held.popitem(last=False)
        return made


def positions_of(table: ItemTable, keys: IdArray) -> IdArray:
    """Where items stand in the table, by key; -1 for one that it does not have."""
    if not len(table):
        return np.full(len(keys), -1, np.int64)
    at = np.minimum(np.searchsorted(table.keys, keys), len(table) - 1)
    return np.where(table.keys[at] == keys, at, -1).astype(np.int64)


def groups_of(table: ItemTable, name: str) -> IdArray:
    """int64 by item position, equal for items that have the same value; -1 for those without one.

    Raises FilterError for an unknown field, QueryError for lists.
    """
    column = known(name, table)
    match column:
        case TextColumn():
            return column.codes.astype(np.int64)
        case BooleanColumn():
            return column.values.astype(np.int64)
        case NumberColumn():
            _, inverse = np.unique(column.values, return_inverse=True)
            return np.where(column.present, inverse, -1).astype(np.int64)
        case ListColumn():
            raise QueryError(
                f"{name} is a list: an item could be in several groups", hint="group by a field with one value each"
            )
