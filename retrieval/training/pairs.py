"""Which text goes with which picture: drawing a batch, and knowing every true pair inside it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]
_NONE = -1


@dataclass(frozen=True)
class Pairs:
    """For n pictures, the texts that describe each; texts are numbered once however often they occur.

    texts: the distinct texts.
    described_by: int64 [n, width], numbers of a picture's texts, filled up with -1.
    reach: float64 [n, width], cumulated chance of drawing each of them.
    """

    texts: tuple[str, ...]
    described_by: IntArray
    reach: npt.NDArray[np.float64]

    def draw(self, pictures: IntArray, rng: np.random.Generator) -> IntArray:
        """One text for each picture: a group evenly, then a text of the group evenly."""
        slots = (rng.random((len(pictures), 1)) >= self.reach[pictures]).sum(axis=1)
        drawn: IntArray = self.described_by[pictures, slots]
        return drawn

    def positives(self, pictures: IntArray, texts: IntArray) -> npt.NDArray[np.bool_]:
        """bool [len(pictures), len(texts)]: whether the text describes the picture, drawn for it or not."""
        distinct, column = np.unique(texts, return_inverse=True)
        place = np.full(len(self.texts) + 1, len(distinct))  # the last entry answers for -1
        place[distinct] = np.arange(len(distinct))
        found = np.zeros((len(pictures), len(distinct) + 1), dtype=np.bool_)
        found[np.arange(len(pictures))[:, None], place[self.described_by[pictures]]] = True
        return found[:, column]


def pair(groups: Sequence[Mapping[str, Sequence[str]]]) -> Pairs:
    """For each picture its texts by group, such as by language; each picture needs at least one text."""
    numbers: dict[str, int] = {}
    rows = []
    for texts_of in groups:
        kept = [texts for texts in texts_of.values() if texts]
        rows.append(
            [(numbers.setdefault(text, len(numbers)), 1 / len(kept) / len(texts)) for texts in kept for text in texts]
        )
    width = max(map(len, rows))
    described_by = np.full((len(rows), width), _NONE, dtype=np.int64)
    chance = np.zeros((len(rows), width))
    for i, row in enumerate(rows):
        described_by[i, : len(row)], chance[i, : len(row)] = zip(*row, strict=True)
    reach = chance.cumsum(axis=1)
    # Rounding must not leave a sliver above the last real text.
    reach[np.arange(width) >= (described_by != _NONE).sum(axis=1, keepdims=True) - 1] = 1
    return Pairs(texts=tuple(numbers), described_by=described_by, reach=reach)
