"""The cross-attention reranker: a text looks at the places of a photo, twice, and compares what it sees with itself.

Two opinions are added. Summaries: each side's tokens, weighed by what they are, become one unit vector, and their
scaled cosine says how well all of the text fits all of the photo. Looks: in each layer what the text asks for decides
which places count, and their mean is compared with it (as in Gorti et al. 2022, arXiv:2203.15086) and changes what it
asks for next; a small network judges the end. Summaries and the first look learn from all pairs of a batch at once:
262,144 pairs take a second. The rest begins with no say and learns from the pairs that the first stage confuses. Layers
in which each piece of a text looked for itself added nothing to the summaries, and took ten times as long.

The joint vectors are not looked at, but to set hubs back (`PairModule.hubness`): they speak in the first stage's cosine
already, and on pictures that the encoder was trained on they say more than they will later.
"""

import math
from typing import cast

import torch
from torch import Tensor, nn

from retrieval.rerankers.modules.attention import attention
from retrieval.rerankers.modules.pair import PairModule, Sides, real_tokens, unit
from retrieval.tokens.value import TokenSpec

WIDTH, SEEDS, LAYERS = 256, 4, 2
SCALE = 15.0  # of the cosines at the start; learned


class CrossAttention(PairModule):
    """About 1.4 million parameters on the starter's tokens."""

    contrast_batch = 1024

    def __init__(self, tokens: TokenSpec, dimension: int) -> None:
        super().__init__(tokens, dimension)
        self.text, self.photo = Side(tokens.text_width), Side(tokens.image_width, tokens.places)
        self.text_summary, self.photo_summary = Summary(tokens.text_width, 1), Summary(tokens.image_width, SEEDS)
        self.scale = nn.Parameter(torch.tensor(math.log(SCALE)))
        self.asking = nn.Linear(WIDTH, WIDTH)
        self.looks = nn.ModuleList(Look(SCALE if layer == 0 else 0.0) for layer in range(LAYERS))
        self.head = nn.Sequential(
            nn.LayerNorm(WIDTH), nn.Linear(WIDTH, WIDTH), nn.GELU(), nn.Dropout(), nn.Linear(WIDTH, 1)
        )
        for parameter in self.head[4].parameters():
            nn.init.zeros_(parameter)
        self.drop = nn.Dropout()

    def all_pairs(self, texts: Sides, photos: Sides) -> Tensor:
        """Logits [texts, photos] by summaries and the first look, which untrained are all that `forward` says."""
        said, (shown, places, real) = self._said(*texts[:2]), self._shown(*photos[:2])
        first = cast(Look, self.looks[0])
        logits: Tensor = self.scale.exp() * said @ shown.T + first.all_pairs(self.asking(said), places, real)
        return logits

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
        said, (shown, places, real) = self._said(text_tokens, text_lengths), self._shown(photo_tokens, photo_lengths)
        logits: Tensor = self.scale.exp() * (said * shown).sum(-1)
        asking = self.asking(said)
        for look in self.looks:
            asking, fits = look(asking, places, real)
            logits = logits + fits
        judged: Tensor = logits + self.head(asking)[..., 0]
        return judged

    def _said(self, tokens: Tensor, lengths: Tensor) -> Tensor:
        """Unit vectors [n, WIDTH]."""
        tokens = self.drop(tokens)
        said: Tensor = self.text_summary(self.text(tokens), tokens, real_tokens(tokens, lengths))
        return said

    def _shown(self, tokens: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Unit vectors [n, WIDTH], places [n, p, WIDTH], which of them may be looked at [n, p]."""
        tokens, real = self.drop(tokens), real_tokens(tokens, lengths)
        places = self.photo(tokens)
        nothing = ~real.any(-1, keepdim=True)  # a photo without places: no text may look at none
        return self.photo_summary(places, tokens, real), places, real | nothing


class Side(nn.Module):
    """Tokens of one side brought to the common width. places: how many have a learned embedding of where they lie."""

    def __init__(self, width: int, places: int = 0) -> None:
        super().__init__()
        self.linear = nn.Linear(width, WIDTH)
        self.where = nn.Parameter(torch.randn(places, WIDTH) * 0.02) if places else None
        self.mlp = nn.Sequential(
            nn.LayerNorm(WIDTH), nn.Linear(WIDTH, WIDTH), nn.GELU(), nn.Dropout(), nn.Linear(WIDTH, WIDTH)
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """[n, length, width] -> [n, length, WIDTH]."""
        states: Tensor = self.linear(tokens)
        if self.where is not None:
            states = states + self.where[: tokens.shape[1]]
        bent: Tensor = self.mlp(states)
        return states + bent


class Summary(nn.Module):
    """Weighted means of the states, as many as there are seeds, together one unit vector."""

    def __init__(self, width: int, seeds: int) -> None:
        super().__init__()
        self.weigh = nn.Linear(width, seeds)
        self.linear = nn.Linear(seeds * WIDTH, WIDTH)

    def forward(self, states: Tensor, tokens: Tensor, real: Tensor) -> Tensor:
        """states [n, length, WIDTH], tokens [n, length, width], real bool [n, length] -> [n, WIDTH]."""
        weights = softmax_of_real(self.weigh(tokens), real)
        return unit(self.linear((weights.transpose(1, 2) @ states).flatten(1)))


class Look(nn.Module):
    """One layer: what a text sees of a photo, how well that fits, and what it asks for next. scale: of the fit."""

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(WIDTH)
        self.query, self.key, self.value, self.out = (nn.Linear(WIDTH, WIDTH) for _ in range(4))
        self.scale = nn.Parameter(torch.tensor(scale))
        self.drop = nn.Dropout()

    def forward(self, asking: Tensor, places: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
        """asking [n, WIDTH], places [n, p, WIDTH], which may be looked at bool [n, p] -> asking, logits [n].

        Either n may be 1.
        """
        query = self.query(self.norm(asking))[:, None]
        seen = attention(query, self.key(places), self.value(places), real[:, None])[:, 0]
        fits: Tensor = self.scale * (unit(asking) * unit(seen)).sum(-1)
        return asking + self.drop(self.out(seen)), fits

    def all_pairs(self, asking: Tensor, places: Tensor, real: Tensor) -> Tensor:
        """asking [n, WIDTH], places [m, p, WIDTH] -> logits [n, m] of each with each, without what is seen.

        Of that only its product with what is asked and its length are needed: the one is a weighted sum of products
        with the places' values, the other sqrt(w G w) with the values' products among themselves, G.
        """
        n, (m, p, _) = len(asking), places.shape
        keys, values = self.key(places), self.value(places)
        asked = self.query(self.norm(asking)) @ keys.flatten(0, 1).T / math.sqrt(WIDTH)
        weights = torch.softmax(asked.reshape(n, m, p).masked_fill(~real, -torch.inf), -1)
        products = (unit(asking) @ values.flatten(0, 1).T).reshape(n, m, p)
        of_photo = weights.transpose(0, 1).to(values.dtype)  # [m, n, p]
        squares = (of_photo @ (values @ values.transpose(1, 2)) * of_photo).sum(-1).T
        logits: Tensor = self.scale * (weights * products).sum(-1) / torch.sqrt(squares.float().clamp(min=0) + 1e-12)
        return logits


def softmax_of_real(scores: Tensor, real: Tensor) -> Tensor:
    """scores [n, length, seeds] -> weights over the real tokens of each row, adding up to 1; 0 for the others."""
    weights = torch.softmax(scores.masked_fill(~real[..., None], -1e4), dim=1)
    only: Tensor = weights * real[..., None]
    return only
