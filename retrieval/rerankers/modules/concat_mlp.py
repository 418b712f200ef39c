"""Fusion by concatenation: an MLP on the mean tokens of both sides."""

from torch import Tensor, nn

from retrieval.rerankers.modules.pair import MeansModule, MeanToken
from retrieval.tokens.value import TokenSpec


class ConcatMlp(MeansModule):
    """hidden: of both hidden layers."""

    def __init__(self, tokens: TokenSpec, dimension: int, hidden: int) -> None:
        super().__init__(tokens, dimension)
        self.text = MeanToken(tokens.text_width, hidden)
        self.photo = MeanToken(tokens.image_width, hidden, bias=False)  # the sum needs one
        self.mlp = nn.Sequential(nn.GELU(), nn.Linear(hidden, hidden), nn.GELU(), nn.Linear(hidden, 1))

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
        both = self.text(text_tokens, text_lengths) + self.photo(photo_tokens, photo_lengths)
        result: Tensor = self.mlp(both)[:, 0]
        return result
