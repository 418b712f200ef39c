"""Fusion by a gate outside both sides: the gated multimodal unit (Arevalo et al. 2017, arXiv:1702.01992)."""

import torch
from torch import Tensor, nn

from retrieval.rerankers.modules.pair import MeansModule, MeanToken
from retrieval.tokens.value import TokenSpec


class Gating(MeansModule):
    """hidden: of each side and of the gate, which sees both sides and chooses between them number by number."""

    def __init__(self, tokens: TokenSpec, dimension: int, hidden: int) -> None:
        super().__init__(tokens, dimension)
        self.text = MeanToken(tokens.text_width, hidden)
        self.photo = MeanToken(tokens.image_width, hidden)
        self.text_gate = MeanToken(tokens.text_width, hidden)
        self.photo_gate = MeanToken(tokens.image_width, hidden, bias=False)  # the sum needs one
        self.mlp = nn.Sequential(nn.Linear(hidden, hidden), nn.GELU(), nn.Linear(hidden, 1))

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
        text, photo = (text_tokens, text_lengths), (photo_tokens, photo_lengths)
        gate = torch.sigmoid(self.text_gate(*text) + self.photo_gate(*photo))
        fused = gate * torch.tanh(self.photo(*photo)) + (1 - gate) * torch.tanh(self.text(*text))
        result: Tensor = self.mlp(fused)[:, 0]
        return result
