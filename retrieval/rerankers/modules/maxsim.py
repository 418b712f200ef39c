"""Late interaction: each piece of the text takes the place that fits it best (ColBERT, arXiv:2004.12832, section 3.3).

Their sum over pieces is a mean here, so that long texts do not weigh more beside the first stage's cosine.
"""

import torch
from torch import Tensor, nn

from retrieval.rerankers.modules.pair import PairModule, Sides, mean_of_real, real_tokens, unit
from retrieval.tokens.value import TokenSpec

WIDTH = 128  # of a projected token, as ColBERT's


class MaxSim(PairModule):
    """hidden: of the layer before each side's projection."""

    contrast_batch = 192

    def __init__(self, tokens: TokenSpec, dimension: int, hidden: int) -> None:
        super().__init__(tokens, dimension)
        self.text, self.photo = (
            nn.Sequential(nn.Dropout(), nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, WIDTH))
            for width in (tokens.text_width, tokens.image_width)
        )
        self.scale = nn.Parameter(torch.tensor(15.0))
        self.offset = nn.Parameter(torch.tensor(0.0))

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
        cosines = unit(self.text(text_tokens)) @ unit(self.photo(photo_tokens)).transpose(1, 2)
        return self._logits(cosines, real_tokens(text_tokens, text_lengths), real_tokens(photo_tokens, photo_lengths))

    def all_pairs(self, texts: Sides, photos: Sides) -> Tensor:
        """See `PairModule.all_pairs`: each side is projected once."""
        text, photo = unit(self.text(texts[0])), unit(self.photo(photos[0]))
        n, m = len(text), len(photo)
        cosines = text.flatten(0, 1) @ photo.flatten(0, 1).T  # every piece with every place
        cosines = cosines.reshape(n, text.shape[1], m, photo.shape[1]).transpose(1, 2).flatten(0, 1)
        text_real = real_tokens(*texts[:2]).repeat_interleave(m, 0)
        return self._logits(cosines, text_real, real_tokens(*photos[:2]).repeat(n, 1)).reshape(n, m)

    def _logits(self, cosines: Tensor, text_real: Tensor, photo_real: Tensor) -> Tensor:
        """cosines [n, pieces, places] -> [n]."""
        best = cosines.masked_fill(~photo_real[:, None], -1.0).amax(-1, keepdim=True)
        return self.offset + self.scale * mean_of_real(best, text_real)[:, 0]
