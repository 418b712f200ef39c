"""Tensor fusion of low rank (Liu et al. 2018, arXiv:1806.00064, equation 6).

Every product of a number of the text with a number of the photo counts, by a weight tensor of rank `RANK`. Their
appended 1 is the bias of each side, which keeps what one side says alone.
"""

from torch import Tensor, nn

from retrieval.rerankers.modules.pair import MeansModule, MeanToken, Sides
from retrieval.tokens.value import TokenSpec

RANK = 4


class Bilinear(MeansModule):
    """hidden: numbers that come out of the fusion."""

    contrast_batch = 1024

    def __init__(self, tokens: TokenSpec, dimension: int, hidden: int) -> None:
        super().__init__(tokens, dimension)
        self.text = MeanToken(tokens.text_width, RANK * hidden)
        self.photo = MeanToken(tokens.image_width, RANK * hidden)
        self.out = nn.Linear(hidden, 1)

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
        product = self.text(text_tokens, text_lengths) * self.photo(photo_tokens, photo_lengths)
        fused = product.unflatten(-1, (RANK, -1)).sum(1)
        result: Tensor = self.out(fused)[:, 0]
        return result

    def all_pairs(self, texts: Sides, photos: Sides) -> Tensor:
        """See `PairModule.all_pairs`: with the last layer's weights on the texts, all sums are one product."""
        weighted = self.text(*texts[:2]) * self.out.weight.repeat(1, RANK)
        logits: Tensor = weighted @ self.photo(*photos[:2]).T + self.out.bias
        return logits
