"""Tensor fusion of low rank (Liu et al. 2018, arXiv:1806.00064, equation 6).

Every product of a number of the text with a number of the photo counts, by a weight tensor of rank `RANK`. Their
appended 1 is the bias of each side, which keeps what one side says alone.
"""

from torch import Tensor, nn

from retrieval.rerankers.modules.pair import MeansModule, Summaries
from retrieval.tokens.value import TokenSpec

RANK = 4


class Bilinear(MeansModule):
    """hidden: numbers that come out of the fusion."""

    def __init__(self, tokens: TokenSpec, dimension: int, hidden: int) -> None:
        super().__init__(tokens, dimension)
        self.text = Summaries(dimension, tokens.text_width, RANK * hidden)
        self.photo = Summaries(dimension, tokens.image_width, RANK * hidden)
        self.out = nn.Linear(hidden, 1)

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
        text, photo = (text_tokens, text_lengths, text_vectors), (photo_tokens, photo_lengths, photo_vectors)
        product = self.text(*text) * self.photo(*photo)
        fused = product.unflatten(-1, (RANK, -1)).sum(1)
        result: Tensor = self.out(fused)[:, 0]
        return result
