"""Typed columns: the values of one field of all items, in memory, by item position.

What a field is follows from its values: numbers, booleans and text are themselves. Where some values are lists it is a
`list` (a single value is a list of one), and where types are mixed without lists it is `text` (7.0 is `7`, True is
`true`). Empty text, empty lists, NaN and null are no value.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import pyarrow as pa

Kind = Literal["number", "boolean", "text", "list"]
BoolArray = npt.NDArray[np.bool_]
CodeArray = npt.NDArray[np.signedinteger[Any]]
NO_VALUE = -1  # the code of a missing value
FEW_CODES = 6  # compared one by one: faster than looking each row's code up

SORTED_WORDS = (
    65_536  # dictionaries up to this are sorted when they are made, so that ranges of text are ranges of codes
)


@dataclass(frozen=True)
class Move:
    """How a table's rows became a newer table's.

    kept: old positions [k], or all, of the rows that are still there; to: their new positions [k], or a slice.
    changed: new positions [m] of rows that are new or were written again. size: rows of the new table.
    """

    kept: npt.NDArray[np.intp] | slice
    to: npt.NDArray[np.intp] | slice
    changed: npt.NDArray[np.intp]
    size: int

    def scattered(self, old: npt.NDArray[Any], fresh: npt.NDArray[Any] | None, missing: Any) -> npt.NDArray[Any]:
        """The new table's array, from the old one's and the values of the changed rows (None: all are missing)."""
        out = np.full(self.size, missing, dtype=old.dtype if fresh is None else np.result_type(old, fresh))
        out[self.to] = old[self.kept]
        out[self.changed] = missing if fresh is None else fresh
        return out


@dataclass(frozen=True)
class NumberColumn:
    """values: float64 [n], NaN where missing. Whole numbers beyond 2^53 are rounded."""

    values: npt.NDArray[np.float64]
    kind: Kind = "number"

    @cached_property
    def present(self) -> BoolArray:
        """Which items have a value: bool [n]."""
        return ~np.isnan(self.values)

    def tolist(self) -> list[Any]:
        """The values as Python ones, None where missing."""
        return [None if value != value else value for value in self.values.tolist()]  # noqa: PLR0124 (NaN)

    def moved(self, move: Move, fresh: "Column | None") -> "NumberColumn | None":
        """This column for the newer table; None where it must be read anew. fresh: values of the changed rows."""
        if fresh is not None and not isinstance(fresh, NumberColumn):
            return None
        return NumberColumn(move.scattered(self.values, fresh.values if fresh else None, np.nan))


@dataclass(frozen=True)
class BooleanColumn:
    """values: int8 [n], 1 true, 0 false, -1 missing."""

    values: npt.NDArray[np.int8]
    kind: Kind = "boolean"

    @cached_property
    def present(self) -> BoolArray:
        """Which items have a value: bool [n]."""
        return self.values >= 0

    def tolist(self) -> list[Any]:
        """The values as Python ones, None where missing."""
        return [None if value < 0 else bool(value) for value in self.values.tolist()]

    def moved(self, move: Move, fresh: "Column | None") -> "BooleanColumn | None":
        """This column for the newer table; None where it must be read anew. fresh: values of the changed rows."""
        if fresh is not None and not isinstance(fresh, BooleanColumn):
            return None
        return BooleanColumn(move.scattered(self.values, fresh.values if fresh else None, NO_VALUE))


@dataclass(frozen=True)
class Words:
    """The different texts of a column: pyarrow large_string [w]. Some may belong to no item any more."""

    array: "pa.LargeStringArray"

    def __len__(self) -> int:
        return len(self.array)

    @cached_property
    def folded(self) -> "pa.LargeStringArray":
        """The texts with case folded, for comparing without regard to it."""
        import pyarrow as pa

        return pa.array([word.casefold() for word in self.array.to_pylist()], pa.large_string())

    @cached_property
    def ranks(self) -> npt.NDArray[np.float64]:
        """Place [w] of each text in alphabetical order: without regard to case, then by code point."""
        import pyarrow as pa
        import pyarrow.compute as pc

        both = pa.table({"folded": self.folded, "plain": self.array})
        order = pc.sort_indices(both, sort_keys=[("folded", "ascending"), ("plain", "ascending")]).to_numpy()
        ranks = np.empty(len(order))
        ranks[order] = np.arange(len(order))
        return ranks

    def codes_of(self, texts: "pa.LargeStringArray") -> npt.NDArray[np.int64]:
        """Places [n] of these different texts; -1 for one that is not here."""
        import pyarrow.compute as pc

        # The few are hashed and the many looked up: the other way takes 30 times as long at a million words.
        found = pc.index_in(self.array, value_set=texts)
        places = np.flatnonzero(found.is_valid().to_numpy(zero_copy_only=False))
        codes = np.full(len(texts), NO_VALUE, dtype=np.int64)
        codes[found.drop_null().to_numpy()] = places
        return codes

    def extended(self, fresh: "Words") -> tuple["Words", npt.NDArray[np.int64]]:
        """These texts with those others that are new behind them, and the codes [len(fresh)] of the others."""
        import pyarrow as pa

        codes = self.codes_of(fresh.array)
        new = codes == NO_VALUE
        if not new.any():
            return self, codes
        codes[new] = len(self) + np.arange(np.count_nonzero(new))
        return Words(pa.concat_arrays([self.array, fresh.array.filter(pa.array(new))])), codes


@dataclass(frozen=True)
class TextColumn:
    """codes: int8, int16 or int32 [n], places in `words`, -1 where missing. mixed: some values were no text."""

    codes: CodeArray
    words: Words
    mixed: bool = False
    kind: Kind = "text"

    @cached_property
    def present(self) -> BoolArray:
        """Which items have a value: bool [n]."""
        return self.codes >= 0

    def where(self, wanted: BoolArray) -> BoolArray:
        """Which items have one of the wanted words: bool [w] to bool [n]."""
        return among(self.codes, wanted)

    def tolist(self) -> list[Any]:
        """The values as Python ones, None where missing."""
        words = [*self.words.array.to_pylist(), None]
        return [words[code] for code in self.codes.tolist()]

    def moved(self, move: Move, fresh: "Column | None") -> "TextColumn | None":
        """This column for the newer table; None where it must be read anew. fresh: values of the changed rows."""
        if self.mixed or len(self.words) > 2 * move.size + 1000:  # more than half of the words are of the past
            return None
        if fresh is None:
            return TextColumn(move.scattered(self.codes, None, NO_VALUE), self.words)
        if not isinstance(fresh, TextColumn) or fresh.mixed:
            return None
        words, codes = self.words.extended(fresh.words)
        recoded = narrow(np.append(codes, NO_VALUE)[fresh.codes], len(words))
        return TextColumn(move.scattered(self.codes, recoded, NO_VALUE), words)


@dataclass(frozen=True)
class ListColumn:
    """Elements of all lists in ascending order of their owner, each once a list.

    codes: int8, int16 or int32 [m], places in `words`. owners: int32 [m], item positions. listed: bool [n], where the
    value is a list indeed. mixed: some values were neither lists nor text.
    """

    codes: CodeArray
    owners: npt.NDArray[np.int32]
    listed: BoolArray
    words: Words
    mixed: bool = False
    kind: Kind = "list"

    @cached_property
    def present(self) -> BoolArray:
        """Which items have a value: bool [n]."""
        return self._owning(self.owners)

    def where(self, wanted: BoolArray) -> BoolArray:
        """Which items have an element among the wanted words: bool [w] to bool [n]."""
        return self._owning(self.owners[among(self.codes, wanted)])

    def _owning(self, owners: npt.NDArray[np.int32]) -> BoolArray:
        out = np.zeros(len(self.listed), dtype=np.bool_)
        out[owners] = True
        return out

    def tolist(self) -> list[Any]:
        """The values as lists of text, None where missing."""
        values: list[list[str] | None] = [None] * len(self.listed)
        words = self.words.array.to_pylist()
        for owner, code in zip(self.owners.tolist(), self.codes.tolist(), strict=True):
            values[owner] = [*(values[owner] or ()), words[code]]
        return values

    def moved(self, move: Move, fresh: "Column | None") -> "ListColumn | None":
        """This column for the newer table; None where it must be read anew. fresh: values of the changed rows."""
        if isinstance(fresh, TextColumn) and not fresh.mixed:
            fresh = _as_lists(fresh)
        if self.mixed or (fresh is not None and (not isinstance(fresh, ListColumn) or fresh.mixed)):
            return None
        place = np.full(len(self.listed), NO_VALUE, dtype=np.int32)
        place[move.kept] = np.arange(move.size, dtype=np.int32)[move.to]
        overwritten = np.zeros(move.size + 1, dtype=np.bool_)
        overwritten[move.changed] = True
        overwritten[NO_VALUE] = True
        owners = place[self.owners]
        stays = ~overwritten[owners]
        owners, codes, words = owners[stays], self.codes[stays], self.words
        if fresh is not None:
            words, new_codes = words.extended(fresh.words)
            owners = np.concatenate([owners, move.changed[fresh.owners].astype(np.int32)])
            codes = np.concatenate([codes, narrow(new_codes[fresh.codes], len(words))])
            order = np.argsort(owners, kind="stable")
            owners, codes = owners[order], codes[order]
        listed = move.scattered(self.listed, fresh.listed if fresh else None, False)
        # Without a list left the field is text; with words of the past outnumbering the others it is read anew too.
        if not listed.any() or len(words) > 2 * len(codes) + 1000:
            return None
        return ListColumn(codes, owners, listed, words)


Column = NumberColumn | BooleanColumn | TextColumn | ListColumn


def narrow(codes: npt.NDArray[np.integer[Any]], words: int) -> CodeArray:
    """The codes in the smallest type that holds them: comparing 1 byte a row takes an eighth of the time of 8."""
    return codes.astype(np.min_scalar_type(-max(words, 1)))


def among(codes: CodeArray, wanted: BoolArray) -> BoolArray:
    """Which codes [n] are wanted (bool [w]); no missing one is. Comparisons where few or neighbouring codes are."""
    chosen = np.flatnonzero(wanted)
    if not len(chosen):
        return np.zeros(len(codes), dtype=np.bool_)
    low, high = codes.dtype.type(chosen[0]), codes.dtype.type(chosen[-1])
    found: BoolArray
    if int(high) - int(low) + 1 == len(chosen) > 1:
        found = (codes >= low) & (codes <= high)
    elif len(chosen) <= FEW_CODES:
        found = codes == low
        for code in chosen[1:]:
            found |= codes == codes.dtype.type(code)
    else:
        found = np.append(wanted, False)[codes]  # -1 is the last
    return found


def _as_lists(column: TextColumn) -> ListColumn:
    owners = np.flatnonzero(column.present).astype(np.int32)
    return ListColumn(column.codes[owners], owners, np.zeros(len(column.codes), dtype=np.bool_), column.words)


def empty_text(size: int) -> TextColumn:
    """A column of text that no item has."""
    import pyarrow as pa

    return TextColumn(np.full(size, NO_VALUE, dtype=np.int8), Words(pa.array([], pa.large_string())))
