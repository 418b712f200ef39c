"""What a filter asks for that no item has: no error, but most likely not what was meant."""

from dataclasses import replace
from difflib import get_close_matches

import numpy as np

from retrieval.filters.check import known
from retrieval.filters.evaluation import leaf_matching
from retrieval.filters.expression import Comparison, In, Leaf, name_text, value_text
from retrieval.filters.filter import Filter
from retrieval.items import ItemTable
from retrieval.items.columns import Column, ListColumn, NumberColumn, TextColumn

MAX_NOTES = 5
COMPARED_WORDS = 2_000  # different texts up to which a misspelt one is looked for: 20 ms
FEW_WORDS = 4  # so many are all named


def notes(asked: Filter, table: ItemTable) -> list[str]:
    """A sentence for each value or comparison that no item has, with what there is instead; at most 5.

    Takes as long as `matching`, so ask where few items or none were found. Raises FilterError as `matching` does.
    """
    found: list[str] = []
    for leaf in dict.fromkeys(asked.root.comparisons):
        column = known(leaf.field, table)
        if len(table) and len(found) < MAX_NOTES:
            found.extend(_notes(leaf, column))
    return found[:MAX_NOTES]


def _notes(leaf: Leaf, column: Column) -> list[str]:
    asked = _positive(leaf)
    if isinstance(column, TextColumn | ListColumn) and _names_values(asked):
        return _missing_words(asked, column)
    if not asked.operands or leaf_matching(asked, column).any():
        return []
    extent = ""
    if isinstance(column, NumberColumn):
        low, high = float(np.nanmin(column.values)), float(np.nanmax(column.values))
        extent = f"; the smallest is {value_text(low)}, the largest {value_text(high)}"
    return [f"no item has {asked}{extent}"]


def _positive(leaf: Leaf) -> Leaf:
    if isinstance(leaf, In):
        return replace(leaf, negated=False)
    return replace(leaf, operator="=") if isinstance(leaf, Comparison) and leaf.operator == "!=" else leaf


def _names_values(leaf: Leaf) -> bool:
    return isinstance(leaf, In) or (isinstance(leaf, Comparison) and leaf.operator == "=")


def _missing_words(leaf: Leaf, column: TextColumn | ListColumn) -> list[str]:
    import pyarrow as pa

    counts = np.bincount(column.codes[column.codes >= 0], minlength=len(column.words))
    values = pa.array([str(value) for value in dict.fromkeys(leaf.operands)], pa.large_string())
    codes = column.words.codes_of(values)
    missing = (np.append(counts, 0)[codes] == 0).nonzero()[0][:MAX_NOTES]
    return [
        f"no item has {name_text(leaf.field)} = {value_text(values[int(place)].as_py())}"
        f"{_instead(values[int(place)].as_py(), column, counts)}"
        for place in missing
    ]


def _instead(asked: str, column: TextColumn | ListColumn, counts: "np.typing.NDArray[np.intp]") -> str:
    import pyarrow.compute as pc

    used = np.flatnonzero(counts)
    words = column.words.array
    same = pc.equal(column.words.folded, asked.casefold()).to_numpy(zero_copy_only=False)
    near = words.take(np.flatnonzero(same & (counts > 0))).to_pylist()
    if not near and len(used) <= COMPARED_WORDS:
        near = get_close_matches(asked, words.take(used).to_pylist(), n=2)
        if not near and len(used) <= FEW_WORDS:
            near = words.take(used).to_pylist()
    return f"; there is {' and '.join(map(value_text, sorted(near)[:FEW_WORDS]))}" if near else ""
