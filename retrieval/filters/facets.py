"""Counts of the values of a field among some items: what a page offers for narrowing a search down."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from retrieval.errors import FilterError
from retrieval.filters.check import known
from retrieval.filters.expression import Comparison, join, name_text
from retrieval.filters.facet_request import FacetRequest
from retrieval.items import ItemTable
from retrieval.items.columns import BoolArray, BooleanColumn, Column, Kind, ListColumn, NumberColumn, Words

SAMPLE = 10_000  # numbers that are looked at to choose edges; all are counted
EXTREME = 1e300  # beyond, and beneath its inverse, powers of ten are no doubles
NICE = np.array([1, 1.5, 2, 2.5, 3, 4, 5, 6, 7.5, 8, 10])  # of these, times a power of ten, are edges


@dataclass(frozen=True)
class FacetValue:
    """One value and how many items have it."""

    value: str | bool
    count: int

    def filter(self, field: str) -> str:
        """The filter that leaves just these items."""
        return str(Comparison(field, "=", self.value))


@dataclass(frozen=True)
class FacetRange:
    """How many items have a number of at least `low` and below `high`; None where the range is open."""

    low: float | None
    high: float | None
    count: int

    def filter(self, field: str) -> str:
        """The filter that leaves just these items; that of a range open to both sides leaves those with a number."""
        ends: list[tuple[Any, float | None]] = [(">=", self.low), ("<", self.high)]
        parts = [Comparison(field, operator, end) for operator, end in ends if end is not None]
        return str(join("and", parts)) if parts else f"{name_text(field)} is not null"


@dataclass(frozen=True)
class Facet:
    """One field of the selected items.

    values: the most frequent first, ties in order of value; of a list each element counts. distinct: how many different
    values there are in all. ranges, low, high: for numbers, in ascending order; the smallest and the largest number.
    missing: items without a value.
    """

    field: str
    kind: Kind
    missing: int
    values: tuple[FacetValue, ...] = ()
    distinct: int = 0
    ranges: tuple[FacetRange, ...] = ()
    low: float | None = None
    high: float | None = None

    def to_json(self) -> dict[str, Any]:
        """As JSON values; each value and range with the filter that leaves just its items."""
        head = {"field": self.field, "kind": self.kind, "missing": self.missing}
        if self.kind == "number":
            ranges = [
                {"low": each.low, "high": each.high, "count": each.count, "filter": each.filter(self.field)}
                for each in self.ranges
            ]
            return {**head, "low": self.low, "high": self.high, "ranges": ranges}
        values = [{"value": each.value, "count": each.count, "filter": each.filter(self.field)} for each in self.values]
        return {**head, "distinct": self.distinct, "values": values}


def facets(table: ItemTable, selected: BoolArray, requests: Iterable[FacetRequest | str]) -> list[Facet]:
    """One facet for each request, over the items selected (bool [n]).

    A request is a FacetRequest or its text, such as `category`, `category:20` or `price:0,25,50`. Raises FilterError.
    """
    return [_facet(table, selected, FacetRequest.parse(each) if isinstance(each, str) else each) for each in requests]


def _facet(table: ItemTable, selected: BoolArray, request: FacetRequest) -> Facet:
    column = known(request.field, table)
    if isinstance(column, NumberColumn):
        return _numeric(column, selected, request)
    if request.edges:
        raise FilterError(
            f"{name_text(request.field)} has no ranges: its values are no numbers",
            hint=f"ask for its values: {name_text(request.field)}",
        )
    counts = _counts(column, selected)
    values = _most_frequent(column, counts, request.limit)
    missing = int(np.count_nonzero(selected & ~column.present))
    return Facet(request.field, column.kind, missing, values, distinct=int(np.count_nonzero(counts)))


def _counts(column: Column, selected: BoolArray) -> npt.NDArray[np.intp]:
    """How many selected items have each word, or false and true."""
    if isinstance(column, NumberColumn | BooleanColumn):
        return np.bincount(column.values[selected & column.present], minlength=2)
    if isinstance(column, ListColumn):
        return np.bincount(column.codes[selected[column.owners]], minlength=len(column.words))
    # One more than the codes, so that -1 is no negative number: faster than leaving the missing ones out.
    return np.bincount(column.codes[selected].astype(np.intp) + 1, minlength=len(column.words) + 1)[1:]


def _most_frequent(column: Column, counts: npt.NDArray[np.intp], limit: int) -> tuple[FacetValue, ...]:
    places = np.flatnonzero(counts)
    if len(places) > limit:
        least = np.partition(counts[places], len(places) - limit)[len(places) - limit]
        above, ties = places[counts[places] > least], places[counts[places] == least]
        if isinstance(column, NumberColumn | BooleanColumn):
            places = np.concatenate([above, ties[: limit - len(above)]])
        else:
            places = np.concatenate([above, ties[_first_words(column.words, ties, limit - len(above))]])
    values: Sequence[str | bool]
    if isinstance(column, NumberColumn | BooleanColumn):
        values = [bool(place) for place in places]
    else:
        values = column.words.array.take(places).to_pylist()
    found = [FacetValue(value, int(counts[place])) for value, place in zip(values, places.tolist(), strict=True)]
    return tuple(sorted(found, key=lambda each: (-each.count, each.value)))


def _first_words(words: Words, places: npt.NDArray[np.intp], limit: int) -> npt.NDArray[np.int64]:
    import pyarrow.compute as pc

    found: npt.NDArray[np.int64] = pc.bottom_k_unstable(words.array.take(places), limit).to_numpy().astype(np.int64)
    return found


def _numeric(column: NumberColumn, selected: BoolArray, request: FacetRequest) -> Facet:
    chosen = column.values[selected]
    numbers = chosen[~np.isnan(chosen)]
    missing = len(chosen) - len(numbers)
    if not len(numbers):
        return Facet(request.field, "number", missing)
    edges = request.edges or nice_edges(numbers, request.ranges)
    below = [0, *(int(np.count_nonzero(numbers < edge)) for edge in edges), len(numbers)]
    ends: list[float | None] = [None, *edges, None]
    ranges = [
        FacetRange(low, high, upto - before)
        for low, high, before, upto in zip(ends[:-1], ends[1:], below[:-1], below[1:], strict=True)
    ]
    # The open ranges at both ends are there for what the edges leave out.
    ranges = [each for each in ranges if each.count or (each.low is not None and each.high is not None)]
    return Facet(
        request.field, "number", missing, ranges=tuple(ranges), low=float(numbers.min()), high=float(numbers.max())
    )


def nice_edges(numbers: npt.NDArray[np.float64], ranges: int) -> tuple[float, ...]:
    """Up to `ranges` - 1 ascending round numbers that part the numbers [m > 0] into about equally many.

    Prices are skewed: ranges of equal width would have nearly all of them in the first.
    """
    sample = numbers[:: -(-len(numbers) // SAMPLE)]
    sample = sample[np.abs(sample) < EXTREME]
    if not len(sample):
        return ()
    wanted = np.quantile(sample, np.arange(1, ranges) / ranges, method="higher")
    whole = bool((sample == np.round(sample)).all())
    low, high = float(sample.min()), float(sample.max())
    rounded = {_nice(float(edge), whole=whole) for edge in wanted}
    useful = sorted(edge for edge in rounded if low < edge <= high)
    if whole and len(useful) < ranges // 2:  # years: all of them round to one number
        useful = max(useful, sorted({float(edge) for edge in wanted if edge > low}), key=len)
    return tuple(useful)


def _nice(number: float, *, whole: bool) -> float:
    """The round number that is nearest; whole: a whole one."""
    if abs(number) < 1 / EXTREME:
        return 0.0
    power = 10.0 ** np.floor(np.log10(abs(number)))
    nearest = NICE[np.abs(NICE - abs(number) / power).argmin()] * power
    nearest = float(f"{nearest:.12g}")  # 0.30000000000000004 is 0.3
    nearest = float(np.round(nearest)) if whole else nearest
    return nearest if number > 0 else -nearest
