"""Fusion by concatenation: an MLP on the joint vectors and mean tokens of both sides."""

from torch import Tensor, nn

from retrieval.rerankers.modules.pair import MeansModule, Summaries
from retrieval.tokens.value import TokenSpec


class ConcatMlp(MeansModule):
    """hidden: of both hidden layers."""

    def __init__(self, tokens: TokenSpec, dimension: int, hidden: int) -> None:
        super().__init__(tokens, dimension)
        self.text = Summaries(dimension, tokens.text_width, hidden)
        self.photo = Summaries(dimension, tokens.image_width, hidden, bias=False)  # the sum needs one
        self.mlp = nn.Sequential(nn.GELU(), nn.Linear(hidden, hidden), nn.GELU(), nn.Linear(hidden, 1))

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
        result: Tensor = self.mlp(self.text(*text) + self.photo(*photo))[:, 0]
        return result
