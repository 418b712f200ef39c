"""Which rows stand in which inverted list, and how far a search under a filter has to go."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from retrieval.arrays import IdArray
from retrieval.index.base import IdMask

FIRST_LOOK = 64  # lists; most searches need no more


@dataclass(frozen=True)
class Lists:
    """ids: int64 [rows], list after list; starts: int64 [lists + 1], where each list begins and the last one ends."""

    ids: IdArray
    starts: IdArray

    @classmethod
    def of(cls, held: list[IdArray]) -> "Lists":
        """From the ids of each list."""
        starts = np.cumsum([0, *(len(ids) for ids in held)], dtype=np.int64)
        return cls(np.concatenate([np.empty(0, np.int64), *held]), starts)

    @cached_property
    def list_of(self) -> npt.NDArray[np.int32]:
        """The list that each id stands in, -1 for ids that stand in none."""
        lists = np.full(int(self.ids.max(initial=-1)) + 1, -1, np.int32)
        lists[self.ids] = np.repeat(np.arange(len(self.starts) - 1, dtype=np.int32), np.diff(self.starts))
        return lists

    def holding(self, allowed: IdMask) -> npt.NDArray[np.bool_]:
        """Which lists hold at least one permitted row, bool [lists]."""
        holds = np.zeros(len(self.starts), np.bool_)
        holds[self.list_of[np.flatnonzero(allowed.allowed[: len(self.list_of)])]] = True  # the last one for -1
        return holds[:-1]

    def permitted(self, lists: npt.NDArray[np.int64], allowed: IdMask | None) -> npt.NDArray[np.int64]:
        """How many permitted rows each of these lists holds."""
        sizes = self.starts[lists + 1] - self.starts[lists]
        if allowed is None:
            return sizes
        rows = np.concatenate([self.ids[self.starts[one] : self.starts[one + 1]] for one in lists])
        seen = np.concatenate([[0], np.cumsum(allowed.permits(rows))])
        ends = np.cumsum(sizes)
        return np.asarray(seen[ends] - seen[ends - sizes], np.int64)

    def needed(self, order: npt.NDArray[np.int64], rows: int, least: int, allowed: IdMask | None) -> int:
        """How many lists, taken in this order, hold `rows` permitted rows, `least` of them at least one each.

        All, where there are not so many. Only the lists that it takes are counted, and at most as many again.
        """
        counts = np.empty(0, np.int64)
        while len(counts) < len(order):
            further = order[len(counts) : max(FIRST_LOOK, 2 * len(counts))]
            counts = np.concatenate([counts, self.permitted(further, allowed)])
            enough = (np.cumsum(counts) >= rows) & (np.cumsum(counts > 0) >= least)
            if enough.any():
                return int(enough.argmax()) + 1
        return len(order)
