"""Where an item stands by exact scores: every stored vector is compared, no index is asked."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from retrieval.arrays import FloatArray, IdArray
from retrieval.catalogue.queries import Modality
from retrieval.collection import Collection
from retrieval.index.base import NO_ID
from retrieval.items import NO_ITEM, ItemTable
from retrieval.revisions import CollectionView


@dataclass(frozen=True)
class BestRows:
    """Every item with its best photo or text, by item position.

    scores: float32 [n], cosines, -inf for an item without a row. owners: int64 [n], the row's id, NO_ID for none.
    """

    scores: FloatArray
    owners: IdArray

    def ranks_before(self, position: int) -> npt.NDArray[np.bool_]:
        """bool [n]: which items stand before the one at a position, equal scores in the order of the rows' ids."""
        score, owner = self.scores[position], self.owners[position]
        before: npt.NDArray[np.bool_] = (self.scores > score) | ((self.scores == score) & (self.owners < owner))
        before &= self.owners != NO_ID
        return before


@dataclass(frozen=True)
class Place:
    """An item's place in one leg.

    score: what the leg gives it; rank: 1 is best, among all items that the leg can compare (`of`); matching_rank: among
    those of them that pass the filter (`matching`), None if the item does not.
    row: id of the photo or text that won, NO_ID where none was compared.
    """

    leg: str
    score: float
    rank: int
    of: int
    matching_rank: int | None
    matching: int
    row: int = NO_ID

    def to_json(self) -> dict[str, Any]:
        """As JSON values, without the row's id."""
        return {
            "score": round(self.score, 6),
            "rank": self.rank,
            "of": self.of,
            "matching_rank": self.matching_rank,
            "matching": self.matching,
        }


def best_rows(
    collection: Collection, view: CollectionView, table: ItemTable, modality: Modality, vector: FloatArray
) -> BestRows:
    """The best row of every item for a unit vector [dimension], read in blocks.

    view, table: of one revision. Raises CollectionChanged when the collection has moved on.
    """
    scores = np.full(len(table), -np.inf, dtype=np.float32)
    owners = np.full(len(table), NO_ID, dtype=np.int64)
    for ids, vectors in collection.vector_blocks(view, modality):
        found = vectors.astype(np.float32) @ vector
        positions = table.items_of(modality, ids)
        order = np.lexsort((-ids, found))  # the best row of an item comes last, of equal ones the oldest
        order = order[positions[order] != NO_ITEM]
        last = np.full(len(table), -1, dtype=np.int64)
        last[positions[order]] = order
        at = np.flatnonzero(last >= 0)
        better = found[last[at]] > scores[at]  # blocks come in ascending order of id, so that equal ones stay
        at = at[better]
        scores[at], owners[at] = found[last[at]], ids[last[at]]
    return BestRows(scores, owners)


def place(rows: BestRows, leg: Modality, position: int, matching: npt.NDArray[np.bool_]) -> Place | None:
    """The place of the item at a position; None if the leg has nothing of it to compare. matching: bool [n]."""
    if rows.owners[position] == NO_ID:
        return None
    before, there = rows.ranks_before(position), rows.owners != NO_ID
    return Place(
        leg=leg,
        score=float(rows.scores[position]),
        rank=1 + int(before.sum()),
        of=int(there.sum()),
        matching_rank=1 + int((before & matching).sum()) if matching[position] else None,
        matching=int((there & matching).sum()),
        row=int(rows.owners[position]),
    )
