"""What a reranker learns from, as arrays."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from retrieval.arrays import FloatArray
from retrieval.rerankers.modules.pair import Sides
from retrieval.tokens.value import Tokens
from retrieval.training.pairs import IntArray


@dataclass(frozen=True)
class TrainingPairs:
    """The training part.

    photos_of: for each text the rows of its photos; texts_of: the reverse; each has at least one.
    sources: int64 [photos], a number for the data set of each; None if all are of one.
    views: further views of all photos, mirrored or cropped, as tokens float32 [photos, places, width].
    """

    photos: Tokens
    texts: Tokens
    photos_of: tuple[IntArray, ...]
    texts_of: tuple[IntArray, ...]
    sources: IntArray | None = None
    views: tuple[FloatArray, ...] = ()


def tensors(side: Tokens) -> Sides:
    """Tokens cut to the longest row, lengths and vectors, as a module takes them."""
    longest = max(1, int(side.lengths.max(initial=1)))
    tokens: Tensor = torch.from_numpy(np.ascontiguousarray(side.tokens[:, :longest], dtype=np.float32))
    return tokens, torch.from_numpy(side.lengths), torch.from_numpy(np.asarray(side.vectors, dtype=np.float32))
