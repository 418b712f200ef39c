"""Tensor fusion of low rank (Liu et al. 2018, arXiv:1806.00064, equation 6).

Each number that is fused is a weighted sum of all products of a number of the text with a number of the photo, its
weights a matrix of rank `RANK`. Their appended 1 is the bias of each side, which keeps what one side says alone.
"""

from torch import Tensor, nn

from retrieval.rerankers.modules.pair import MeansModule, MeanToken
from retrieval.tokens.value import TokenSpec

RANK = 4


class Bilinear(MeansModule):
    """hidden: numbers that come out of the fusion."""

    def __init__(self, tokens: TokenSpec, dimension: int, hidden: int) -> None:
        super().__init__(tokens, dimension)
        self.text, self.photo = (MeanToken(w, RANK * hidden) for w in (tokens.text_width, tokens.image_width))
        # Without a bend between, the sum would be one matrix of full rank, and `hidden` would say nothing.
        self.out = nn.Sequential(nn.GELU(), nn.Linear(hidden, 1))

    def fused(self, text: Tensor, photo: Tensor) -> Tensor:
        """Equation 6, one rank after the other."""
        ranks = zip(text.chunk(RANK, -1), photo.chunk(RANK, -1), strict=True)
        logits: Tensor = self.out(sum(said * shown for said, shown in ranks))[..., 0]
        return logits
