"""Which parts of a filter an item passes, with the values it has."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from retrieval.arrays import IdArray
from retrieval.catalogue.item_queries import ITEM_ID
from retrieval.filters import Filter, matching
from retrieval.filters.expression import Expression, Joined
from retrieval.index.base import NO_ID
from retrieval.items import ItemTable
from retrieval.items.columns import NO_VALUE, BooleanColumn, ListColumn, NumberColumn, TextColumn


@dataclass(frozen=True)
class Clause:
    """One part of a filter that all hits must pass. values: what the item has in the fields it names, None for none."""

    text: str
    passed: bool
    values: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return {"clause": self.text, "passed": self.passed, "values": dict(self.values)}


def clauses(asked: Filter, table: ItemTable, position: int) -> tuple[Clause, ...]:
    """The parts that a top-level `and` joins, or the whole, for the item at a position. Raises FilterError."""
    return tuple(_clause(Filter(part), table, position) for part in _joined(asked.root))


def _joined(root: Expression) -> tuple[Expression, ...]:
    return tuple(root.joined) if isinstance(root, Joined) and root.word == "and" else (root,)


def _clause(part: Filter, table: ItemTable, position: int) -> Clause:
    passed = bool(matching(part, table)[position])
    return Clause(str(part), passed, {name: value_at(table, name, position) for name in part.fields})


def value_at(table: ItemTable, name: str, position: int) -> Any:
    """An item's value of a field, None if it has none. Looks at no other item's."""
    match table.column(name):
        case NumberColumn(values=numbers) if not np.isnan(numbers[position]):
            number = float(numbers[position])
            return int(number) if number.is_integer() else number
        case BooleanColumn(values=truths) if truths[position] != NO_VALUE:
            return bool(truths[position])
        case TextColumn(codes=codes, words=words) if codes[position] != NO_VALUE:
            return words.array[int(codes[position])].as_py()
        case ListColumn(codes=codes, owners=owners, words=words):
            first, end = np.searchsorted(owners, [position, position + 1])  # owners ascend
            return [words.array[int(code)].as_py() for code in codes[first:end]] or None
    return None


def places_of(table: ItemTable, item_ids: Sequence[str]) -> IdArray:
    """Where items stand in the table, by the caller's id: int64 [n]; NO_ID for one that it does not have."""
    import pyarrow as pa

    column = table.column(ITEM_ID)
    if not isinstance(column, TextColumn) or not item_ids:
        return np.full(len(item_ids), NO_ID, np.int64)
    distinct, which = np.unique(np.array(item_ids, dtype=object), return_inverse=True)
    codes = column.words.codes_of(pa.array(distinct, pa.large_string()))[which]
    owners = np.full(len(column.words) + 1, NO_ID, np.int64)  # the last is for an id that is no word
    owners[column.codes] = np.arange(len(table))
    owners[NO_VALUE] = NO_ID
    return owners[codes]
