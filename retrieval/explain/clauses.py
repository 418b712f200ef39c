"""Which parts of a filter an item passes, with the values it has."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from retrieval.filters import Filter, matching
from retrieval.filters.expression import Expression, Joined
from retrieval.items import ItemTable


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
    """An item's value of a field, None if it has none."""
    column = table.column(name)
    if column is None or not column.present[position]:
        return None
    value = column.tolist()[position]
    return int(value) if isinstance(value, float) and value.is_integer() else value
