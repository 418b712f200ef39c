"""What the networks have in common: the sizes of their inputs, and masks for rows that end early."""

import torch
from torch import Tensor, nn

from retrieval.tokens.value import TokenSpec

Sides = tuple[Tensor, Tensor, Tensor]
"""Of one side: tokens float32 [n, length, width], lengths int64 [n], joint vectors float32 [n, dimension]."""


class PairModule(nn.Module):
    """tokens: the ones it reads. dimension: of the joint vectors.

    contrast_batch: how many texts and photos `all_pairs` can take at once in training: 64 by 64 are as many pairs as a
    step of the second phase has four times.
    """

    contrast_batch = 64

    def __init__(self, tokens: TokenSpec, dimension: int) -> None:
        super().__init__()
        self.tokens = tokens
        self.dimension = dimension

    def all_pairs(self, texts: Sides, photos: Sides) -> Tensor:
        """Logits [texts, photos] of all pairs, for training: by this module, or by what it can judge so many by."""
        n, m = len(texts[1]), len(photos[1])
        said = (each.repeat_interleave(m, 0) for each in texts)
        shown = (each.repeat(n, *[1] * (each.ndim - 1)) for each in photos)
        logits: Tensor = self(*said, *shown)
        return logits.reshape(n, m)


def real_tokens(tokens: Tensor, lengths: Tensor) -> Tensor:
    """tokens [n, length, width], lengths int64 [n] -> bool [n, length], true before each row's end."""
    return torch.arange(tokens.shape[1], device=tokens.device)[None] < lengths[:, None]


def with_vector(vector: Tensor, tokens: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """The vector as the first token, which is always there: [n, 1 + length, width], and which are real."""
    return torch.cat([vector[:, None], tokens], 1), torch.cat([lengths[:, None] >= 0, real_tokens(tokens, lengths)], 1)


def mean_of_real(tokens: Tensor, real: Tensor) -> Tensor:
    """tokens [n, length, width], real bool [n, length] -> [n, width]; zeros for a row without any."""
    weight = real.to(tokens.dtype)[..., None]
    return (tokens * weight).sum(1) / weight.sum(1).clamp(min=1.0)


def unit(rows: Tensor) -> Tensor:
    """Rows of length 1; a row of zeros stays zeros, with a finite gradient."""
    return rows / torch.sqrt((rows * rows).sum(-1, keepdim=True) + 1e-12)


class Summaries(nn.Module):
    """A linear layer on one side's joint vector and mean token: [n, hidden].

    The sum of two of these is a linear layer on all four concatenated, and broadcasts a side of one row.
    """

    def __init__(self, dimension: int, width: int, hidden: int, *, bias: bool = True) -> None:
        super().__init__()
        self.linear = nn.Linear(dimension + width, hidden, bias=bias)

    def forward(self, tokens: Tensor, lengths: Tensor, vectors: Tensor) -> Tensor:
        """tokens [n, length, width], lengths [n], vectors [n, dimension] -> [n, hidden]."""
        mean = mean_of_real(tokens, real_tokens(tokens, lengths))
        result: Tensor = self.linear(torch.cat([vectors, mean], -1))
        return result


class AsGraph(nn.Module):
    """A network as runtimes take it: with a second axis, [n, 1]."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(
        self,
        text_tokens: Tensor,
        text_lengths: Tensor,
        text_vectors: Tensor,
        photo_tokens: Tensor,
        photo_lengths: Tensor,
        photo_vectors: Tensor,
    ) -> Tensor:
        """Logits [n, 1]."""
        logits: Tensor = self.module(
            text_tokens, text_lengths, text_vectors, photo_tokens, photo_lengths, photo_vectors
        )
        return logits[:, None]
