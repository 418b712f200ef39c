"""Which rows stand in which inverted list, and how far a search under a filter has to go."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from retrieval.index.base import IdArray, IdMask

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

    def of_rows(self, ids: IdArray) -> IdArray:
        """The list that each of these ids stands in."""
        order = np.argsort(self.ids)
        places = order[np.searchsorted(self.ids, ids, sorter=order)]
        return np.asarray(np.searchsorted(self.starts, places, side="right") - 1, np.int64)

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
