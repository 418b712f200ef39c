"""Fusion by a gate outside both sides: the gated multimodal unit (Arevalo et al. 2017, arXiv:1702.01992)."""

import torch
from torch import Tensor, nn

from retrieval.rerankers.modules.pair import MeansModule, MeanToken
from retrieval.tokens.value import TokenSpec


class Gating(MeansModule):
    """hidden: of each side and of the gate, which sees both sides and chooses between them number by number.

    So a side has twice as many numbers: its own, and its share of the gate.
    """

    def __init__(self, tokens: TokenSpec, dimension: int, hidden: int) -> None:
        super().__init__(tokens, dimension)
        self.text, self.photo = (MeanToken(w, 2 * hidden) for w in (tokens.text_width, tokens.image_width))
        self.mlp = nn.Sequential(nn.Linear(hidden, hidden), nn.GELU(), nn.Linear(hidden, 1))

    def fused(self, text: Tensor, photo: Tensor) -> Tensor:
        """Equations of the paper's section 3.1."""
        (said, text_gate), (shown, photo_gate) = text.chunk(2, -1), photo.chunk(2, -1)
        gate = torch.sigmoid(text_gate + photo_gate)
        logits: Tensor = self.mlp(gate * torch.tanh(shown) + (1 - gate) * torch.tanh(said))[..., 0]
        return logits
