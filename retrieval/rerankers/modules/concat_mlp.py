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

    def fused(self, text: Tensor, photo: Tensor) -> Tensor:
        """The sum is the first layer's, on both sides concatenated."""
        logits: Tensor = self.mlp(text + photo)[..., 0]
        return logits
