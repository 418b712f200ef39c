"""The order of items by fields: `price`, `-price` for descending, `-in_stock,price` for several."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from retrieval.errors import FilterError
from retrieval.filters.check import known
from retrieval.filters.expression import checked_text, name_text
from retrieval.filters.pointing import pointed
from retrieval.items import ItemTable
from retrieval.items.columns import Column, ListColumn, NumberColumn, TextColumn

MAX_KEYS = 8
RANKED_SHARE = 0.1  # where a larger share of a field's texts is looked at, all are ranked, once

Order = npt.NDArray[np.intp]
_key = re.compile(r"\s*([+-]?)\s*(?:`((?:``|[^`])+)`|([^`,+\-\s][^`,]*?))\s*(?:,|\Z)", re.DOTALL)


@dataclass(frozen=True)
class SortKey:
    """A field to sort by."""

    field: str
    descending: bool = False

    def __str__(self) -> str:
        return f"{'-' if self.descending else ''}{name_text(self.field)}"


def parse_sort(text: str) -> tuple[SortKey, ...]:
    """Fields, separated by commas, each with `-` before it for descending; odd names in backticks. Raises FilterError.

    The first decides, the next where it is equal, and so on.
    """
    checked_text(text)
    keys: list[SortKey] = []
    at = 0
    while at < len(text) or not keys:
        found = _key.match(text, at)
        if found is None or len(keys) == MAX_KEYS:
            said = "expected a field" if found is None else f"at most {MAX_KEYS} fields are allowed"
            raise FilterError(
                f"the sorting cannot be read: {said}\n{pointed(text, at)}",
                hint="write FIELD, or -FIELD for descending, such as -price or -in_stock,price",
            )
        sign, quoted, bare = found.groups()
        keys.append(SortKey(quoted.replace("``", "`") if quoted else bare, sign == "-"))
        at = found.end()
    if text.rstrip().endswith(","):
        raise FilterError(
            f"the sorting cannot be read: expected a field\n{pointed(text, len(text))}", hint="leave out the last comma"
        )
    return tuple(keys)


def order(
    table: ItemTable,
    by: str | Sequence[SortKey],
    positions: npt.NDArray[np.integer[Any]] | None = None,
    limit: int | None = None,
) -> Order:
    """The given item positions, or all, in order: int [m], or the first `limit` of them.

    Items without a value stand last in both directions, ties in ascending order of key. Text is ordered without regard
    to case, then by code point. Raises FilterError for a field that does not exist or is a list.
    """
    keys = parse_sort(by) if isinstance(by, str) else tuple(by)
    columns = [_sortable(key, table) for key in keys]
    chosen = np.arange(len(table)) if positions is None else np.sort(positions).astype(np.intp)
    first = _ranks(columns[0], chosen, keys[0])
    if limit is not None and 0 < limit < len(chosen):
        last = np.partition(first, limit - 1)[limit - 1]
        if not np.isnan(last):  # what stands behind the last of the first key needs no sorting by the others
            near = first <= last
            chosen, first = chosen[near], first[near]
    ranks = [first, *(_ranks(column, chosen, key) for column, key in zip(columns[1:], keys[1:], strict=True))]
    return chosen[np.lexsort(ranks[::-1])[:limit]]  # stable, and `chosen` ascends


def _sortable(key: SortKey, table: ItemTable) -> Column:
    column = known(key.field, table)
    if isinstance(column, ListColumn):
        raise FilterError(
            f"{name_text(key.field)} is a list, and lists have no order",
            hint="sort by a number or a text, such as -price",
        )
    return column


def _seen(codes: npt.NDArray[Any], words: int) -> npt.NDArray[np.bool_]:
    """Which of the words occur: bool [words]."""
    seen = np.zeros(words + 1, dtype=np.bool_)
    seen[codes] = True  # -1 is the last
    return seen[:-1]


def _ranks(column: Column, positions: Order, key: SortKey) -> npt.NDArray[np.float64]:
    """Numbers [m] that ascend in the order asked for, NaN where there is no value."""
    if isinstance(column, NumberColumn):
        ranks = column.values[positions]
    elif isinstance(column, TextColumn):
        codes = column.codes[positions]
        used = np.flatnonzero(_seen(codes, len(column.words)))
        if len(used) > RANKED_SHARE * len(column.words):
            places = column.words.ranks
        else:
            places = np.empty(len(column.words))
            words = column.words.array.take(used).to_pylist()
            places[used[sorted(range(len(used)), key=lambda place: (words[place].casefold(), words[place]))]] = (
                np.arange(len(used))
            )
        ranks = np.append(places, np.nan)[codes]  # -1 is the last
    elif isinstance(column, ListColumn):
        raise TypeError("a list has no order")
    else:
        ranks = np.where(column.present, column.values, np.nan)[positions]
    return -ranks if key.descending else ranks
