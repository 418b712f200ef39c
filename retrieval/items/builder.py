"""Makes a typed column of values that come in blocks, keeping each block in compact form."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from retrieval.items.columns import (
    NO_VALUE,
    SORTED_WORDS,
    BooleanColumn,
    Column,
    Kind,
    ListColumn,
    NumberColumn,
    TextColumn,
    Words,
    narrow,
)

EXACT_FLOAT = 2**53  # a double holds whole numbers up to here
NUMBERS, BOOLEANS, TEXTS = {int, float}, {bool}, {str}


@dataclass(frozen=True)
class _Block:
    """at: positions [n] of values that are not missing, or of the owners of list elements. values: n of them.

    Numbers and booleans are NumPy arrays, text and list elements pyarrow arrays, mixed ones a list. listed: positions
    of values that are lists indeed. mixed: some values were neither lists nor text.
    """

    at: npt.NDArray[np.int64]
    kind: Kind | Literal["mixed"]
    values: Any
    listed: npt.NDArray[np.int64] = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    mixed: bool = False

    def texts(self) -> Any:
        """The values as pyarrow array of text."""
        if self.kind in {"text", "list"}:
            return self.values
        values = self.values if isinstance(self.values, list) else self.values.tolist()
        return _arrow([as_text(bool(value) if self.kind == "boolean" else value) for value in values])


class ColumnBuilder:
    """Takes the values of one field, each position at most once."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._blocks: list[_Block] = []

    def add(self, at: npt.NDArray[np.int64], values: Any) -> None:
        """Values for the positions `at`; None, NaN, and empty text and lists are no value.

        values: a sequence of Python values, or a pyarrow array of float64, bool, large_string, or lists of it.
        """
        block = _of_python(at, values) if isinstance(values, list | tuple) else _of_arrow(at, values)
        if len(block.at):
            self._blocks.append(block)

    def column(self) -> Column | None:
        """The column of all that was added; None if there was no value."""
        kinds = {block.kind for block in self._blocks}
        if not kinds:
            return None
        at = np.concatenate([block.at for block in self._blocks])
        if kinds == {"number"}:
            numbers = np.full(self._size, np.nan)
            numbers[at] = np.concatenate([block.values for block in self._blocks])
            return NumberColumn(numbers)
        if kinds == {"boolean"}:
            truths = np.full(self._size, NO_VALUE, dtype=np.int8)
            truths[at] = np.concatenate([block.values for block in self._blocks])
            return BooleanColumn(truths)
        codes, words = _encoded([block.texts() for block in self._blocks])
        if "list" not in kinds:
            placed = np.full(self._size, NO_VALUE, dtype=codes.dtype)
            placed[at] = codes
            return TextColumn(placed, words, mixed=kinds != {"text"})
        listed = np.zeros(self._size, dtype=np.bool_)
        listed[np.concatenate([block.listed for block in self._blocks])] = True
        mixed = any(block.mixed for block in self._blocks) or not kinds <= {"text", "list"}
        order = _each_once(at, codes, len(words))
        return ListColumn(codes[order], at[order].astype(np.int32), listed, words, mixed)


def _of_python(at: npt.NDArray[np.int64], values: Sequence[Any]) -> _Block:
    found = set(map(type, values))
    if found != {int} and (found != TEXTS or "" in values):
        present = np.fromiter((is_value(value) for value in values), dtype=np.bool_, count=len(values))
        at, values = at[present], [value for value, there in zip(values, present.tolist(), strict=True) if there]
        found = set(map(type, values))
    if found <= NUMBERS:
        return _Block(at, "number", _numbers(values))
    if found == BOOLEANS:
        return _Block(at, "boolean", np.array(values, dtype=np.int8))
    if found == TEXTS:
        return _Block(at, "text", _arrow(values))
    if list not in found:
        return _Block(at, "mixed", list(values))
    are_lists = [isinstance(value, list) for value in values]
    parts = [
        [as_text(part) for part in value if is_value(part)] if is_list else [as_text(value)]
        for value, is_list in zip(values, are_lists, strict=True)
    ]
    owners = np.repeat(at, [len(part) for part in parts])
    elements = _arrow([text for part in parts for text in part])
    return _Block(owners, "list", elements, listed=at[are_lists], mixed=not found <= {list, str})


def _of_arrow(at: npt.NDArray[np.int64], values: Any) -> _Block:
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_list(values.type):
        lengths = pc.fill_null(pc.list_value_length(values), 0).to_numpy()
        block = _of_arrow(np.repeat(at, lengths), values.flatten())
        return _Block(block.at, "list", block.values, listed=block.at)
    if pa.types.is_floating(values.type):
        numbers = values.to_numpy(zero_copy_only=False)  # null is NaN
        present = ~np.isnan(numbers)
        return _Block(at[present], "number", numbers[present])
    there = values.is_valid()
    if pa.types.is_boolean(values.type):
        truths = values.filter(there).to_numpy(zero_copy_only=False).astype(np.int8)
        return _Block(at[there.to_numpy(zero_copy_only=False)], "boolean", truths)
    there = pc.and_(there, pc.fill_null(pc.not_equal(values, ""), False))
    return _Block(at[there.to_numpy(zero_copy_only=False)], "text", values.filter(there))


def _each_once(owners: npt.NDArray[np.int64], codes: npt.NDArray[Any], words: int) -> npt.NDArray[np.intp]:
    """Places of the elements in ascending order of owner, without those that a list had before."""
    _, first = np.unique(owners * words + codes, return_index=True)
    first = np.sort(first)
    order: npt.NDArray[np.intp] = first[np.argsort(owners[first], kind="stable")]
    return order


def typed(values: Sequence[Any]) -> Column | None:
    """The column of these values; None where all are missing."""
    builder = ColumnBuilder(len(values))
    builder.add(np.arange(len(values)), values)
    return builder.column()


def kind_of(types: set[type]) -> Kind:
    """What a field with values of these Python types (NoneType aside) becomes."""
    if list in types:
        return "list"
    if types <= NUMBERS:
        return "number"
    return "boolean" if types == BOOLEANS else "text"


def is_value(value: Any) -> bool:
    """Is there anything? None, NaN, empty text and lists without a value are nothing."""
    if isinstance(value, list):
        return any(is_value(part) for part in value)
    return value is not None and value != "" and not (isinstance(value, float) and math.isnan(value))


def as_text(value: Any) -> str:
    """A value of any type as the text by which a column of mixed types knows it."""
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case int() | float():
            return number_text(value)
        case _:
            return json.dumps(value, ensure_ascii=False)


def number_text(value: float) -> str:
    """A number as people write it: 7 for 7.0."""
    if isinstance(value, int):
        return str(value)
    return str(int(value)) if value.is_integer() and abs(value) <= EXACT_FLOAT else repr(value)


def _numbers(values: Sequence[Any]) -> npt.NDArray[Any]:
    array = np.array(values)
    # Whole numbers beyond 64 bits make an array of objects.
    return array if array.dtype.kind in "if" else np.array([_double(value) for value in values])


def _double(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _encoded(parts: Sequence[Any]) -> tuple[npt.NDArray[Any], Words]:
    """Codes of the texts of all these pyarrow arrays, and the different ones, sorted if they are not too many."""
    import pyarrow as pa
    import pyarrow.compute as pc

    whole = pa.concat_arrays(parts).dictionary_encode()  # chunk by chunk it takes time that grows with their square
    words, codes = whole.dictionary, whole.indices.to_numpy()
    if len(words) <= SORTED_WORDS:
        order = pc.array_sort_indices(words).to_numpy()
        words = words.take(pa.array(order))
        rank = np.empty(len(order), dtype=np.int64)
        rank[order] = np.arange(len(order))
        codes = rank[codes]
    return narrow(codes, len(words)), Words(words)


def _arrow(texts: Sequence[str]) -> Any:
    import pyarrow as pa

    try:
        return pa.array(texts, pa.large_string())
    except UnicodeEncodeError:  # half of a surrogate pair, which JSON can hold and UTF-8 cannot
        return pa.array([text.encode("utf-8", "replace").decode() for text in texts], pa.large_string())
