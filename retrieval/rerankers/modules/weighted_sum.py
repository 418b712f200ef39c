"""Fusion of scores: a weighted sum of cosines, of several projections of both sides."""

import torch
from torch import Tensor, nn

from retrieval.rerankers.modules.pair import MeansModule, MeanToken, Sides, unit
from retrieval.tokens.value import TokenSpec

COSINES = 4
WIDTH = 128  # of each projection
SCALE = 15.0  # of their sum at the start


class WeightedSum(MeansModule):
    """hidden: of the layer before each side's projections."""

    contrast_batch = 1024

    def __init__(self, tokens: TokenSpec, dimension: int, hidden: int) -> None:
        super().__init__(tokens, dimension)
        self.text, self.photo = (Projections(w, hidden) for w in (tokens.text_width, tokens.image_width))
        self.weights = nn.Parameter(torch.full((COSINES,), SCALE / COSINES))
        self.offset = nn.Parameter(torch.tensor(0.0))

    def fused(self, text: Tensor, photo: Tensor) -> Tensor:
        """A weighted sum of the cosines."""
        return self.offset + (text * self._spread() * photo).sum(-1)

    def all_pairs(self, texts: Sides, photos: Sides) -> Tensor:
        """See `PairModule.all_pairs`: with the weights on one side, all the sums are one product."""
        sums: Tensor = self.text(*texts[:2]) * self._spread() @ self.photo(*photos[:2]).T
        return self.offset + sums

    def _spread(self) -> Tensor:
        return self.weights.repeat_interleave(WIDTH)


class Projections(nn.Module):
    """`COSINES` unit vectors of one side's mean token, one behind the other: [n, COSINES * WIDTH]."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.mean = MeanToken(width, hidden)
        self.project = nn.Sequential(nn.GELU(), nn.Linear(hidden, COSINES * WIDTH))

    def forward(self, tokens: Tensor, lengths: Tensor) -> Tensor:
        """tokens [n, length, width], lengths [n]."""
        return torch.cat([unit(each) for each in self.project(self.mean(tokens, lengths)).chunk(COSINES, -1)], -1)
