"""Ranked items before they are hits: from rows to items, and longer and longer rankings that begin alike."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from retrieval.arrays import FloatArray, IdArray
from retrieval.index.base import NO_ID

GROWTH = 4  # each ranking is so many times as long as the one before: all together cost a third more than the last

NOT_LISTED = np.array([0, np.nan, 0], np.float32)
COLUMNS = ("keys", "scores", "photos", "texts", "cosines")

Ranking = Callable[[int], "Candidates"]
"""Gives the best n items for n, or all there are."""


@dataclass(frozen=True)
class Candidates:
    """Items, best first, each once.

    keys: int64 [n], the items; scores: float32 [n], what they are ranked by, NaN where nothing was asked.
    photos, texts: int64 [n], the row that won, NO_ID where none was compared.
    cosines: float32 [n], NaN where no vector was compared.
    legs: float32 [n, 3] by leg of a hybrid search: rank there (0 where it did not list the item), score there (NaN),
    and what that added to the score.
    complete: no further item could follow.
    ceiling: the score of an item that fits perfectly, where that is known.
    """

    keys: IdArray
    scores: FloatArray
    photos: IdArray
    texts: IdArray
    cosines: FloatArray
    complete: bool
    legs: Mapping[str, FloatArray] = field(default_factory=dict)
    ceiling: float | None = None

    @classmethod
    def of_rows(cls, keys: IdArray, owners: IdArray, scores: FloatArray, modality: str, complete: bool) -> "Candidates":
        """Items from the best rows of one modality, best first: an item counts once, with its best row."""
        _, first = np.unique(keys, return_index=True)
        first.sort()
        none = np.full(len(first), NO_ID, np.int64)
        photos, texts = (owners[first], none) if modality == "image" else (none, owners[first])
        return cls(keys[first], scores[first], photos, texts, scores[first], complete)

    def __len__(self) -> int:
        return len(self.keys)

    def take(self, chosen: npt.NDArray[Any]) -> "Candidates":
        """Those at these positions, or where a bool array is true, in that order."""
        columns: dict[str, Any] = {name: getattr(self, name)[chosen] for name in COLUMNS}
        return replace(self, **columns, legs={name: values[chosen] for name, values in self.legs.items()})

    def followed_by(self, longer: "Candidates") -> "Candidates":
        """These, then those of a longer ranking that are not among them."""
        further = longer.take(~np.isin(longer.keys, self.keys))
        columns: dict[str, Any] = {
            name: np.concatenate([getattr(self, name), getattr(further, name)]) for name in COLUMNS
        }
        names = dict.fromkeys((*self.legs, *further.legs))
        legs = {name: np.concatenate([_leg_of(self, name), _leg_of(further, name)]) for name in names}
        return replace(longer, **columns, legs=legs)


def _leg_of(candidates: Candidates, name: str) -> FloatArray:
    """What a leg said of the candidates; of those that it was not asked for, that it did not list them."""
    return candidates.legs.get(name, np.tile(NOT_LISTED, (len(candidates), 1)))


def items_of_rows(
    rows: Callable[[int], tuple[IdArray, FloatArray]],
    keys_of: Callable[[IdArray], IdArray],
    total: int,
    modality: str,
) -> Ranking:
    """The ranking of items by their best row.

    rows: gives the ids and scores of the best n rows, or of all that may be found; keys_of: the item of each row,
    NO_ID for one that is gone; total: how many rows there are at most.
    """

    def ranking(wanted: int) -> Candidates:
        asked = wanted
        while True:
            # An item with several photos takes several places: ask for more until there are enough, or all is seen.
            asked = min(asked, total)
            ids, scores = rows(asked) if asked else (np.empty(0, np.int64), np.empty(0, np.float32))
            keys = keys_of(ids)
            alive = keys != NO_ID
            complete = len(ids) < asked or asked == total
            found = Candidates.of_rows(keys[alive], ids[alive], scores[alive], modality, complete)
            if len(found) >= wanted or found.complete:
                cut = found.take(np.arange(min(wanted, len(found))))
                return replace(cut, complete=found.complete and len(found) <= wanted)
            asked *= GROWTH

    return ranking


def growing(ranking: Ranking, first: int) -> Iterator[Candidates]:
    """Rankings of the best `first` items, four times as many, and so on until all are there.

    Each begins with the one before it, whatever an approximate index says when it is asked for more, or whichever of
    several equal scores it gives: so pages of one size never show an item twice and never skip one.
    """
    before: Candidates | None = None
    wanted = first
    while True:
        found = ranking(wanted)
        before = found if before is None else before.followed_by(found)
        yield before
        if before.complete:
            return
        wanted *= GROWTH


def listed(keys: Sequence[int] | IdArray) -> Candidates:
    """Items in a given order, when nothing was asked that they could be ranked by."""
    n = len(keys)
    none, nan = np.full(n, NO_ID, np.int64), np.full(n, np.nan, np.float32)
    return Candidates(np.asarray(keys, np.int64), nan, none, none, nan, complete=True)
