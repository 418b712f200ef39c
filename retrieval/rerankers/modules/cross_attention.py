"""The cross-attention reranker: pieces of a text look at the places of a photo, twice, and say what they found.

Two opinions are added. Summaries: each side's tokens, weighed by what they are, become one unit vector, and their
scaled cosine says how well all of the text fits all of the photo; as with an encoder of its own, they learn from all
pairs of a batch at once. Attention: each piece looks at the places that matter to it, and what it found decides.
The joint vectors are not looked at, but to set hubs back (`PairModule.hubness`): they speak in the first stage's cosine
already, and on pictures that the encoder was trained on they say more than they will later.

The photo's states do not change from layer to layer, so their keys and values are computed once for any number of
texts. Pre-norm layers as in Xiong et al. 2020, arXiv:2002.04745.
"""

import math

import torch
from torch import Tensor, nn

from retrieval.rerankers.modules.attention import attention
from retrieval.rerankers.modules.pair import PairModule, Sides, real_tokens, unit
from retrieval.tokens.value import TokenSpec

WIDTH, SEEDS = 256, 4
LOOKING, HEADS, LAYERS = 192, 4, 2
TEMPERATURE = 1 / 15  # of the summaries' cosine at the start; learned


class CrossAttention(PairModule):
    """About 1.4 million parameters on the starter's tokens."""

    contrast_batch = 1024

    def __init__(self, tokens: TokenSpec, dimension: int) -> None:
        super().__init__(tokens, dimension)
        self.text, self.photo = Side(tokens.text_width), Side(tokens.image_width, tokens.places)
        self.text_summary, self.photo_summary = Summary(tokens.text_width, 1), Summary(tokens.image_width, SEEDS)
        self.scale = nn.Parameter(torch.tensor(math.log(1 / TEMPERATURE)))
        self.pieces, self.places = _narrowed(), _narrowed()
        self.weigh = nn.Linear(LOOKING, 1)
        self.layers = nn.ModuleList(Layer() for _ in range(LAYERS))
        self.found = nn.Sequential(
            nn.LayerNorm(LOOKING), nn.Linear(LOOKING, LOOKING), nn.GELU(), nn.Dropout(), nn.Linear(LOOKING, 1)
        )
        for parameter in self.found[4].parameters():
            nn.init.zeros_(parameter)  # it begins with what the summaries say
        self.drop = nn.Dropout()

    def all_pairs(self, texts: Sides, photos: Sides) -> Tensor:
        """Logits [texts, photos] by the summaries alone, which take one product for all pairs."""
        text_tokens, photo_tokens = self.drop(texts[0]), self.drop(photos[0])
        text = self.text_summary(self.text(text_tokens), text_tokens, real_tokens(text_tokens, texts[1]))
        photo = self.photo_summary(self.photo(photo_tokens), photo_tokens, real_tokens(photo_tokens, photos[1]))
        logits: Tensor = self.scale.exp() * text @ photo.T
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
        text_tokens, photo_tokens = self.drop(text_tokens), self.drop(photo_tokens)
        text_real, photo_real = real_tokens(text_tokens, text_lengths), real_tokens(photo_tokens, photo_lengths)
        text, photo = self.text(text_tokens), self.photo(photo_tokens)
        all_in_all = (
            self.text_summary(text, text_tokens, text_real) * self.photo_summary(photo, photo_tokens, photo_real)
        ).sum(-1)
        pieces, places = self.pieces(text), self.places(photo)
        weights = softmax_of_real(self.weigh(pieces), text_real)[..., 0]
        for layer in self.layers:
            pieces = layer(pieces, places, photo_real)
        logits: Tensor = self.scale.exp() * all_in_all + (weights * self.found(pieces)[..., 0]).sum(-1)
        return logits


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


class Layer(nn.Module):
    """Pre-norm cross attention and a small MLP, each added to what came in."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(LOOKING)
        self.query, self.key, self.value, self.out = (nn.Linear(LOOKING, LOOKING) for _ in range(4))
        self.mlp = nn.Sequential(
            nn.LayerNorm(LOOKING),
            nn.Linear(LOOKING, 2 * LOOKING),
            nn.GELU(),
            nn.Dropout(),
            nn.Linear(2 * LOOKING, LOOKING),
        )
        self.drop = nn.Dropout()

    def forward(self, pieces: Tensor, places: Tensor, real: Tensor) -> Tensor:
        """pieces [n, a, LOOKING], places [n, b, LOOKING], which of them are real bool [n, b] -> pieces after it."""
        query = _split(self.query(self.norm(pieces)))
        any_real = real | ~real.any(-1, keepdim=True)  # a photo without places: no row may look at nothing
        found = attention(query, _split(self.key(places)), _split(self.value(places)), any_real[:, None, None])
        pieces = pieces + self.drop(self.out(found.transpose(1, 2).flatten(2)))
        after: Tensor = pieces + self.drop(self.mlp(pieces))
        return after


def softmax_of_real(scores: Tensor, real: Tensor) -> Tensor:
    """scores [n, length, seeds] -> weights over the real tokens of each row, adding up to 1; 0 for the others."""
    weights = torch.softmax(scores.masked_fill(~real[..., None], -1e4), dim=1)
    only: Tensor = weights * real[..., None]
    return only


def _narrowed() -> nn.Sequential:
    return nn.Sequential(nn.LayerNorm(WIDTH), nn.Linear(WIDTH, LOOKING))


def _split(rows: Tensor) -> Tensor:
    """[n, length, LOOKING] -> [n, HEADS, length, LOOKING / HEADS]."""
    return rows.reshape(*rows.shape[:2], HEADS, LOOKING // HEADS).transpose(1, 2)
