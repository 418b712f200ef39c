"""The cross-attention reranker: pieces of a text look at the places of a photo, twice, and say whether it is there.

A photo is its projected places, each with a learned embedding of where it lies, and its joint vector as one more token;
a text its projected pieces and its joint vector. Pre-norm layers as in Xiong et al. 2020, arXiv:2002.04745. The photo's
states do not change from layer to layer, so their keys and values are computed once for any number of texts.
"""

import torch
from torch import Tensor, nn

from retrieval.rerankers.modules.attention import attention
from retrieval.rerankers.modules.pair import PairModule, mean_of_real, unit, with_vector
from retrieval.tokens.value import TokenSpec

WIDTH, HEADS, LAYERS = 192, 4, 2
TEMPERATURE = 0.1  # of the cosine at the start; learned


class CrossAttention(PairModule):
    """About 0.9 million parameters on the starter's tokens."""

    def __init__(self, tokens: TokenSpec, dimension: int) -> None:
        super().__init__(tokens, dimension)
        self.photo_tokens = nn.Linear(tokens.image_width, WIDTH)
        self.photo_vector = nn.Linear(dimension, WIDTH)
        self.places = nn.Parameter(torch.randn(tokens.places, WIDTH) * 0.02)
        self.photo_norm = nn.LayerNorm(WIDTH)
        self.text_tokens = nn.Linear(tokens.text_width, WIDTH)
        self.text_vector = nn.Linear(dimension, WIDTH)
        self.layers = nn.ModuleList(Layer() for _ in range(LAYERS))
        self.norm = nn.LayerNorm(WIDTH)
        self.piece = nn.Linear(WIDTH, 1)
        self.scale = nn.Parameter(torch.tensor(1 / TEMPERATURE))

    def forward(
        self,
        text_tokens: Tensor,
        text_lengths: Tensor,
        text_vectors: Tensor,
        photo_tokens: Tensor,
        photo_lengths: Tensor,
        photo_vectors: Tensor,
    ) -> Tensor:
        """Logits [n]: the pieces' mean opinion, and a scaled cosine of the text with what it looked at."""
        placed = self.photo_tokens(photo_tokens) + self.places[: photo_tokens.shape[1]]
        photo, photo_real = with_vector(self.photo_vector(photo_vectors), placed, photo_lengths)
        photo = self.photo_norm(photo)
        text, text_real = with_vector(self.text_vector(text_vectors), self.text_tokens(text_tokens), text_lengths)
        asked = unit(mean_of_real(text, text_real))
        for layer in self.layers:
            text, looked_at = layer(text, photo, photo_real)
        opinion = mean_of_real(self.piece(self.norm(text)), text_real)[:, 0]
        cosine = (asked * unit(mean_of_real(looked_at, text_real))).sum(-1)
        return opinion + self.scale * cosine


class Layer(nn.Module):
    """Pre-norm cross attention and a small MLP, each added to what came in."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(WIDTH)
        self.query, self.key, self.value, self.out = (nn.Linear(WIDTH, WIDTH) for _ in range(4))
        self.mlp = nn.Sequential(
            nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 2 * WIDTH), nn.GELU(), nn.Linear(2 * WIDTH, WIDTH)
        )

    def forward(self, text: Tensor, photo: Tensor, photo_real: Tensor) -> tuple[Tensor, Tensor]:
        """text [n, a, width], photo [n, b, width], which are real [n, b] -> text after it, what was looked at."""
        query = _split(self.query(self.norm(text)))
        found = attention(query, _split(self.key(photo)), _split(self.value(photo)), photo_real[:, None, None])
        looked_at = self.out(found.transpose(1, 2).flatten(2))
        text = text + looked_at
        return text + self.mlp(text), looked_at


def _split(rows: Tensor) -> Tensor:
    """[n, length, width] -> [n, heads, length, width / heads]."""
    return rows.reshape(*rows.shape[:2], HEADS, WIDTH // HEADS).transpose(1, 2)
