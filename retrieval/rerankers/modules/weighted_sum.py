"""Fusion of scores: a weighted sum of cosines, the joint vectors' own and those of projections."""

import torch
from torch import Tensor, nn

from retrieval.rerankers.modules.pair import MeansModule, mean_of_real, real_tokens, unit
from retrieval.tokens.value import TokenSpec


class WeightedSum(MeansModule):
    """hidden: numbers in each of the four projections."""

    def __init__(self, tokens: TokenSpec, dimension: int, hidden: int) -> None:
        super().__init__(tokens, dimension)
        self.text_vector = nn.Linear(dimension, hidden)
        self.photo_vector = nn.Linear(dimension, hidden)
        self.text_mean = nn.Linear(tokens.text_width, hidden)
        self.photo_mean = nn.Linear(tokens.image_width, hidden)
        self.weights = nn.Parameter(torch.ones(5))
        self.offset = nn.Parameter(torch.tensor(0.0))

    def forward(
        self,
        text_tokens: Tensor,
        text_lengths: Tensor,
        text_vectors: Tensor,
        photo_tokens: Tensor,
        photo_lengths: Tensor,
        photo_vectors: Tensor,
    ) -> Tensor:
        """Logits [n]."""
        text_mean = mean_of_real(text_tokens, real_tokens(text_tokens, text_lengths))
        photo_mean = mean_of_real(photo_tokens, real_tokens(photo_tokens, photo_lengths))
        texts = [unit(self.text_vector(text_vectors)), unit(self.text_mean(text_mean))]
        photos = [unit(self.photo_vector(photo_vectors)), unit(self.photo_mean(photo_mean))]
        cosines = [(text * photo).sum(-1) for text in texts for photo in photos]
        scores = torch.stack([(text_vectors * photo_vectors).sum(-1), *cosines], -1)
        return self.offset + (scores * self.weights).sum(-1)
