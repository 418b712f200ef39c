"""Which items a filter lets through, computed on whole columns.

Text is compared once for each different text of the field; the items follow by the codes of their values.
"""

import operator
from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

import numpy as np
import numpy.typing as npt

from retrieval.filters.check import check, known
from retrieval.filters.expression import Between, Comparison, Expression, In, IsNull, Joined, Leaf, Not, Value
from retrieval.filters.filter import Filter
from retrieval.items import ItemTable
from retrieval.items.columns import BoolArray, BooleanColumn, Column, ListColumn, NumberColumn, TextColumn, Words

FEW = 8  # numbers of an `in` that are compared one by one: faster than a binary search up to here

_COMPARED: dict[str, Callable[[Any, Any], Any]] = {
    "=": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_ARROW = {"=": "equal", "<": "less", "<=": "less_equal", ">": "greater", ">=": "greater_equal"}


def matching(asked: Filter, table: ItemTable) -> BoolArray:
    """Which items the filter lets through: bool [n], by position. A new array each time: the caller keeps it.

    Raises FilterError where a field does not exist or is compared with what it cannot be, CollectionChanged where a
    column is not here yet and the collection has moved on.
    """
    check(asked, table)
    return _matching(asked.root, table)


def _matching(expression: Expression, table: ItemTable) -> BoolArray:
    match expression:
        case Joined():
            parts = [_matching(part, table) for part in expression.joined]
            return reduce(np.logical_and if expression.word == "and" else np.logical_or, parts)
        case Not():
            return ~_matching(expression.part, table)
        case Leaf():
            return leaf_matching(expression, known(expression.field, table))
    raise TypeError(expression)


def leaf_matching(leaf: Leaf, column: Column) -> BoolArray:
    """Which items one comparison holds for; the column is that of its field, of a type that it fits."""
    match leaf:
        case IsNull():
            return column.present.copy() if leaf.negated else ~column.present
        case In():
            found = _among(column, leaf.values)
            return ~found if leaf.negated else found
        case Between():
            low, high = Comparison(leaf.field, ">=", leaf.low), Comparison(leaf.field, "<=", leaf.high)
            if isinstance(column, TextColumn | ListColumn):  # one element of a list is between, not one above one below
                return column.where(_words(column.words, low) & _words(column.words, high))
            return _compared(column, low) & _compared(column, high)
        case Comparison(operator="!="):
            return ~_compared(column, Comparison(leaf.field, "=", leaf.value))
        case Comparison():
            return _compared(column, leaf)
    raise TypeError(leaf)


def _compared(column: Column, leaf: Comparison) -> BoolArray:
    if isinstance(column, TextColumn | ListColumn):
        return column.where(_words(column.words, leaf))
    found: BoolArray = _COMPARED[leaf.operator](column.values, leaf.value)  # NaN compares false
    return found


def _words(words: Words, leaf: Comparison) -> BoolArray:
    """Which of the different texts compare true: bool [w]."""
    import pyarrow.compute as pc

    text = str(leaf.value)
    if leaf.operator == "contains":
        found = pc.match_substring(words.folded, text.casefold())
    elif leaf.operator == "starts with":
        found = pc.starts_with(words.folded, text.casefold())
    else:
        found = getattr(pc, _ARROW[leaf.operator])(words.array, text)
    return _bools(found)


def _among(column: Column, values: Sequence[Value]) -> BoolArray:
    if isinstance(column, TextColumn | ListColumn):
        import pyarrow as pa
        import pyarrow.compute as pc

        return column.where(_bools(pc.is_in(column.words.array, value_set=pa.array(values, pa.large_string()))))
    if isinstance(column, BooleanColumn) or len(values) <= FEW:
        return reduce(np.logical_or, [column.values == value for value in dict.fromkeys(values)])
    return _in_sorted(column, np.unique(np.array(values, dtype=np.float64)))


def _in_sorted(column: NumberColumn, wanted: npt.NDArray[np.float64]) -> BoolArray:
    place = np.searchsorted(wanted, column.values)  # NaN comes behind all
    found: BoolArray = wanted[np.minimum(place, len(wanted) - 1)] == column.values
    return found


def _bools(found: Any) -> BoolArray:
    array: BoolArray = found.to_numpy(zero_copy_only=False)
    return array
