"""Makes a typed column of Python values that come in blocks, keeping each block in compact form."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from retrieval.columns import (
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

EXACT_FLOAT = 1e15  # whole numbers below have at most 15 digits, which a double holds
NUMBERS, BOOLEANS, TEXTS = {int, float}, {bool}, {str}


@dataclass(frozen=True)
class _Block:
    """at: positions [n] of values that are not missing. values: numbers or booleans as a NumPy array, text as one of
    pyarrow, any others as a list."""

    at: npt.NDArray[np.int64]
    kind: Kind | Literal["mixed"]
    values: Any

    def scalars(self) -> list[Any]:
        """The values as Python ones."""
        return self.values if isinstance(self.values, list) else list(self.values.tolist())


class ColumnBuilder:
    """Takes the values of one field, each position at most once, in ascending order."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._blocks: list[_Block] = []

    def add(self, at: npt.NDArray[np.int64], values: Sequence[Any]) -> None:
        """Values for the positions `at`; None, NaN, and empty text and lists are no value."""
        found = set(map(type, values))
        if found != {int} and (found != TEXTS or "" in values):
            present = np.fromiter((is_value(value) for value in values), dtype=np.bool_, count=len(values))
            at, values = at[present], [value for value, there in zip(values, present.tolist(), strict=True) if there]
            found = set(map(type, values))
        if not found:
            return
        if found <= NUMBERS:
            self._blocks.append(_Block(at, "number", _numbers(values)))
        elif found == BOOLEANS:
            self._blocks.append(_Block(at, "boolean", np.array(values, dtype=np.int8)))
        elif found == TEXTS:
            self._blocks.append(_Block(at, "text", _arrow(values)))
        else:
            self._blocks.append(_Block(at, "list" if list in found else "mixed", list(values)))

    def column(self) -> Column | None:
        """The column of all that was added; None if there was no value."""
        kinds = {block.kind for block in self._blocks}
        if not kinds:
            return None
        if kinds == {"number"}:
            numbers = np.full(self._size, np.nan)
            for block in self._blocks:
                numbers[block.at] = block.values
            return NumberColumn(numbers)
        if kinds == {"boolean"}:
            truths = np.full(self._size, NO_VALUE, dtype=np.int8)
            for block in self._blocks:
                truths[block.at] = block.values
            return BooleanColumn(truths)
        return self._lists() if "list" in kinds else self._texts(mixed=kinds != {"text"})

    def _texts(self, *, mixed: bool) -> TextColumn:
        codes, words = _encoded(
            [
                block.values if block.kind == "text" else _arrow([_as_text(v, block.kind) for v in block.scalars()])
                for block in self._blocks
            ]
        )
        out = np.full(self._size, NO_VALUE, dtype=codes.dtype)
        out[np.concatenate([block.at for block in self._blocks])] = codes
        return TextColumn(out, words, mixed)

    def _lists(self) -> ListColumn:
        owners, elements, listed, mixed = [], [], np.zeros(self._size, dtype=np.bool_), False
        for block in self._blocks:
            values = block.scalars()
            lists = [isinstance(value, list) for value in values]
            parts = [
                list(dict.fromkeys(as_text(part) for part in value if is_value(part)))
                if isinstance(value, list)
                else [_as_text(value, block.kind)]
                for value in values
            ]
            mixed |= any(not isinstance(value, list | str) for value in values)
            listed[block.at] = lists
            owners.append(np.repeat(block.at, [len(part) for part in parts]).astype(np.int32))
            elements.append(_arrow([text for part in parts for text in part]))
        codes, words = _encoded(elements)
        return ListColumn(codes, np.concatenate(owners), listed, words, mixed)


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
    return str(int(value)) if value.is_integer() and abs(value) < EXACT_FLOAT else repr(value)


def _as_text(value: Any, kind: str) -> str:
    return as_text(bool(value) if kind == "boolean" else value)


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

    encoded = pa.chunked_array(parts, pa.large_string()).dictionary_encode()
    whole = encoded.unify_dictionaries().combine_chunks()
    whole = whole.chunk(0) if isinstance(whole, pa.ChunkedArray) else whole
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
