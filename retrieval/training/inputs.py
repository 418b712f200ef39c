"""What heads learn from: features of the pictures or texts of a batch, fixed or drawn anew each time."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from retrieval.arrays import FloatArray
from retrieval.training.pairs import IntArray


class Inputs(Protocol):
    """n pictures or texts. tower: what is trained along with the heads, if anything."""

    tower: nn.Module | None

    def __len__(self) -> int: ...

    def sample(self) -> FloatArray:
        """Features of many of them, float32 [m, d], by whose mean and spread new heads standardise."""
        ...

    def batch(self, chosen: IntArray, rng: np.random.Generator) -> Tensor:
        """Features of those chosen, float32 [len(chosen), d]."""
        ...


class Views:
    """Each picture or text as several views (itself, mirrored, cropped), one of which is drawn for each batch.

    views: float32 [n, d] each, all of the same inputs in the same order; the first is the input as it is.
    """

    tower: nn.Module | None = None

    def __init__(self, *views: FloatArray) -> None:
        self._views = views

    def __len__(self) -> int:
        return len(self._views[0])

    def sample(self) -> FloatArray:
        return self._views[0]

    def batch(self, chosen: IntArray, rng: np.random.Generator) -> Tensor:
        return torch.from_numpy(_drawn(self._views, chosen, rng))


class TunedPictures:
    """Views as maps of the frozen part of a tower; the rest of the tower turns them into features, and is trained.

    maps: float16 [·, …] each, such as memory maps. rows: which of their rows are the n pictures.
    tower: takes float32 [b, …], gives float32 [b, d].
    """

    def __init__(self, maps: Sequence[npt.NDArray[np.float16]], rows: IntArray, tower: nn.Module) -> None:
        self._maps = maps
        self._rows = rows
        self.tower: nn.Module | None = tower
        self._features = tower

    def __len__(self) -> int:
        return len(self._rows)

    def sample(self) -> FloatArray:
        with torch.inference_mode():
            features: FloatArray = self._features(torch.from_numpy(self._maps[0][self._rows[:1024]].astype(np.float32)))
        return np.asarray(features)

    def batch(self, chosen: IntArray, rng: np.random.Generator) -> Tensor:
        features: Tensor = self._features(torch.from_numpy(_drawn(self._maps, self._rows[chosen], rng)))
        return features


def _drawn(views: Sequence[npt.NDArray[np.floating]], rows: IntArray, rng: np.random.Generator) -> FloatArray:
    """One view of each row, as float32. A single view costs no draw, so that the seed means what it always did."""
    if len(views) == 1:
        return views[0][rows].astype(np.float32, copy=False)
    drawn = np.empty((len(rows), *views[0].shape[1:]), dtype=np.float32)
    which = rng.integers(len(views), size=len(rows))
    for number, view in enumerate(views):
        places = np.flatnonzero(which == number)
        places = places[np.argsort(rows[places])]  # in the order of a file on disk
        drawn[places] = view[rows[places]]
    return drawn
