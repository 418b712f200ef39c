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
        self.text, self.photo = (Projections(width, hidden) for width in (tokens.text_width, tokens.image_width))
        self.weights = nn.Parameter(torch.full((COSINES,), SCALE / COSINES))
        self.offset = nn.Parameter(torch.tensor(0.0))

    def forward(
        self,
        text_tokens: Tensor,
        text_lengths: Tensor,
        text_vectors: Tensor,  # noqa: ARG002 (the seam's)
        photo_tokens: Tensor,
        photo_lengths: Tensor,
        photo_vectors: Tensor,  # noqa: ARG002
    ) -> Tensor:
        """Logits [n]."""
        text, photo = self.text(text_tokens, text_lengths), self.photo(photo_tokens, photo_lengths)
        cosines = [(said * shown).sum(-1) for said, shown in zip(text, photo, strict=True)]
        return self.offset + torch.stack(cosines, -1) @ self.weights

    def all_pairs(self, texts: Sides, photos: Sides) -> Tensor:
        """See `PairModule.all_pairs`: each side is projected once."""
        text, photo = self.text(*texts[:2]), self.photo(*photos[:2])
        cosines = [said @ shown.T for said, shown in zip(text, photo, strict=True)]
        return self.offset + torch.stack(cosines, -1) @ self.weights


class Projections(nn.Module):
    """`COSINES` unit vectors [n, WIDTH] of one side's mean token."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.mean = MeanToken(width, hidden)
        self.project = nn.Sequential(nn.GELU(), nn.Linear(hidden, COSINES * WIDTH))

    def forward(self, tokens: Tensor, lengths: Tensor) -> list[Tensor]:
        """tokens [n, length, width], lengths [n]."""
        return [unit(each) for each in self.project(self.mean(tokens, lengths)).chunk(COSINES, -1)]
