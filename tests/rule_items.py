"""Items for tests of rules: rows of attributes, looked at one by one, and conditions that are Python functions."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from retrieval.errors import QueryError
from retrieval.rules.model import Items


class RowItems:
    """The slow twin of a collection's columns. `id` is the item's id."""

    def __init__(self, rows: Sequence[Mapping[str, Any]]) -> None:
        self.rows = list(rows)

    def __len__(self) -> int:
        return len(self.rows)

    def numbers(self, name: str) -> npt.NDArray[np.float64]:
        found = [row.get(name) for row in self.rows]
        return np.array([float(one) if isinstance(one, int | float) else np.nan for one in found], dtype=np.float64)

    def is_text(self, name: str, text: str) -> npt.NDArray[np.bool_]:
        return np.array([row.get(name) == text for row in self.rows], dtype=np.bool_)

    def positions(self, item_ids: Sequence[str]) -> npt.NDArray[np.int64]:
        places = {row.get("id"): place for place, row in enumerate(self.rows)}
        return np.array([places.get(one, -1) for one in item_ids], dtype=np.int64)


@dataclass(frozen=True)
class RowCondition:
    """`name = value`, compared as text."""

    name: str
    value: str

    @property
    def fields(self) -> frozenset[str]:
        return frozenset({self.name})

    def matching(self, items: Items) -> npt.NDArray[np.bool_]:
        assert isinstance(items, RowItems)
        return np.array([str(row.get(self.name)) == self.value for row in items.rows], dtype=np.bool_)


def read_condition(text: str) -> RowCondition:
    name, sign, value = (part.strip() for part in text.partition("="))
    if not (name and sign and value):
        raise QueryError(f"the filter {text!r} cannot be read", hint="write name = value")
    return RowCondition(name, value)


ReadRow = Callable[[str], RowCondition]
