"""Late interaction: each piece of the text takes the place that fits it best (ColBERT, arXiv:2004.12832, section 3.3).

Their sum over pieces is a mean here, so that long texts do not weigh more beside the first stage's cosine.
"""

import torch
from torch import Tensor, nn

from retrieval.rerankers.modules.pair import PairModule, mean_of_real, unit, with_vector
from retrieval.tokens.value import TokenSpec


class MaxSim(PairModule):
    """hidden: numbers in a projected token. The joint vectors are tokens too."""

    def __init__(self, tokens: TokenSpec, dimension: int, hidden: int) -> None:
        super().__init__(tokens, dimension)
        self.photo_tokens = nn.Linear(tokens.image_width, hidden)
        self.photo_vector = nn.Linear(dimension, hidden)
        self.text_tokens = nn.Linear(tokens.text_width, hidden)
        self.text_vector = nn.Linear(dimension, hidden)
        self.scale = nn.Parameter(torch.tensor(10.0))
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
        photo, photo_real = with_vector(
            self.photo_vector(photo_vectors), self.photo_tokens(photo_tokens), photo_lengths
        )
        text, text_real = with_vector(self.text_vector(text_vectors), self.text_tokens(text_tokens), text_lengths)
        cosines = unit(text) @ unit(photo).transpose(1, 2)
        best = cosines.masked_fill(~photo_real[:, None], -torch.inf).amax(-1, keepdim=True)
        return self.offset + self.scale * mean_of_real(best, text_real)[:, 0]
