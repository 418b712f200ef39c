"""Late interaction: each piece of the text takes the place that fits it best (ColBERT, arXiv:2004.12832, section 3.3).

Their sum over pieces is a mean here, so that long texts do not weigh more beside the first stage's cosine.
"""

import torch
from torch import Tensor, nn

from retrieval.rerankers.modules.pair import PairModule, Sides, mean_of_real, unit, with_vector
from retrieval.tokens.value import TokenSpec


class MaxSim(PairModule):
    """hidden: numbers in a projected token. The joint vectors are tokens too."""

    contrast_batch = 96

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
        text, text_real = self._text(text_tokens, text_lengths, text_vectors)
        photo, photo_real = self._photo(photo_tokens, photo_lengths, photo_vectors)
        return self._logits(text @ photo.transpose(1, 2), text_real, photo_real)

    def all_pairs(self, texts: Sides, photos: Sides) -> Tensor:
        """See `PairModule.all_pairs`: each side is projected once."""
        text, text_real = self._text(*texts)
        photo, photo_real = self._photo(*photos)
        cosines = text.flatten(0, 1) @ photo.flatten(0, 1).T  # every piece with every place
        n, m = len(text), len(photo)
        cosines = cosines.reshape(n, text.shape[1], m, photo.shape[1]).transpose(1, 2).flatten(0, 1)
        real = text_real.repeat_interleave(m, 0), photo_real.repeat(n, 1)
        return self._logits(cosines, *real).reshape(n, m)

    def _text(self, tokens: Tensor, lengths: Tensor, vectors: Tensor) -> tuple[Tensor, Tensor]:
        pieces, real = with_vector(self.text_vector(vectors), self.text_tokens(tokens), lengths)
        return unit(pieces), real

    def _photo(self, tokens: Tensor, lengths: Tensor, vectors: Tensor) -> tuple[Tensor, Tensor]:
        places, real = with_vector(self.photo_vector(vectors), self.photo_tokens(tokens), lengths)
        return unit(places), real

    def _logits(self, cosines: Tensor, text_real: Tensor, photo_real: Tensor) -> Tensor:
        """cosines [n, pieces, places] -> [n]."""
        best = cosines.masked_fill(~photo_real[:, None], -torch.inf).amax(-1, keepdim=True)
        return self.offset + self.scale * mean_of_real(best, text_real)[:, 0]
