"""What the networks have in common: the sizes of their inputs, masks for rows that end early, and hubs."""

import math

import torch
from torch import Tensor, nn

from retrieval.tokens.value import TokenSpec

BANK = 512
"""Vectors of each side by which hubs are known: 1 MB. 512 lifted validation captions from success@1 .346 to .362,
1,500 to .369."""
SHARPNESS = 25.0

Sides = tuple[Tensor, Tensor, Tensor]
"""Of one side: tokens float32 [n, length, width], lengths int64 [n], joint vectors float32 [n, dimension]."""


class PairModule(nn.Module):
    """tokens: the ones it reads. dimension: of the joint vectors.

    contrast_batch: how many texts and photos `all_pairs` can take at once in training, by memory and time.
    hub_weight: of how much of a hub a text and a photo are.
    """

    contrast_batch: int
    hub_weight: Tensor
    text_bank: Tensor
    photo_bank: Tensor

    def __init__(self, tokens: TokenSpec, dimension: int) -> None:
        super().__init__()
        self.tokens = tokens
        self.dimension = dimension
        self.register_buffer("hub_weight", torch.zeros(2))
        self.register_buffer("text_bank", torch.zeros(BANK, dimension))
        self.register_buffer("photo_bank", torch.zeros(BANK, dimension))

    def hubness(self, text_vectors: Tensor, photo_vectors: Tensor) -> Tensor:
        """How near a text and a photo are to others of the other side, whatever these say: [n, 2], text and photo.

        Some photos are near to all texts, and are found too often (hubs). With what they get on a bank of texts taken
        off, they are not: the inverted softmax of Smith et al. 2017, arXiv:1702.03859, with a bank of queries as in
        Bogolin et al. 2022, arXiv:2112.12777. Of the candidates of one query only their own side's share differs.
        """
        texts = torch.logsumexp(SHARPNESS * text_vectors @ self.photo_bank.T, dim=-1)
        photos = torch.logsumexp(SHARPNESS * photo_vectors @ self.text_bank.T, dim=-1)
        both = torch.broadcast_tensors(texts, photos)  # type: ignore[no-untyped-call]  # torch leaves it bare
        return torch.stack(both, -1) - math.log(BANK)

    def all_pairs(self, texts: Sides, photos: Sides) -> Tensor:
        """Logits [texts, photos] of all pairs, for training: by this module, or by what it can judge so many by."""
        raise NotImplementedError


class MeansModule(PairModule):
    """One that looks at nothing but the mean tokens, each side for itself before it fuses them.

    text, photo: (tokens [n, length, width], lengths [n]) -> what is fused, [n, any]. So for all pairs of a batch each
    side is looked at, and drops some of it, once.
    """

    contrast_batch = 128
    text: nn.Module
    photo: nn.Module

    def fused(self, text: Tensor, photo: Tensor) -> Tensor:
        """Of both, which broadcast: logits [...]."""
        raise NotImplementedError

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
        return self.fused(self.text(text_tokens, text_lengths), self.photo(photo_tokens, photo_lengths))

    def all_pairs(self, texts: Sides, photos: Sides) -> Tensor:
        """See `PairModule.all_pairs`."""
        return self.fused(self.text(*texts[:2])[:, None], self.photo(*photos[:2])[None])


def real_tokens(tokens: Tensor, lengths: Tensor) -> Tensor:
    """tokens [n, length, width], lengths int64 [n] -> bool [n, length], true before each row's end."""
    return torch.arange(tokens.shape[1], device=tokens.device)[None] < lengths[:, None]


def mean_of_real(tokens: Tensor, real: Tensor) -> Tensor:
    """tokens [n, length, width], real bool [n, length] -> [n, width]; zeros for a row without any."""
    weight = real.to(tokens.dtype)[..., None]
    return (tokens * weight).sum(1) / weight.sum(1).clamp(min=1.0)


def unit(rows: Tensor) -> Tensor:
    """Rows of length 1; a row of zeros stays zeros, with a finite gradient."""
    return rows / torch.sqrt((rows * rows).sum(-1, keepdim=True) + 1e-12)


class MeanToken(nn.Module):
    """A linear layer on one side's mean token: [n, hidden]. The sum of two is one on both concatenated."""

    def __init__(self, width: int, hidden: int, *, bias: bool = True) -> None:
        super().__init__()
        self.drop = nn.Dropout()
        self.linear = nn.Linear(width, hidden, bias=bias)

    def forward(self, tokens: Tensor, lengths: Tensor) -> Tensor:
        """tokens [n, length, width], lengths [n] -> [n, hidden]."""
        result: Tensor = self.linear(self.drop(mean_of_real(tokens, real_tokens(tokens, lengths))))
        return result


class AsGraph(nn.Module):
    """A network as runtimes take it: with a second axis, [n, 1]."""

    def __init__(self, module: PairModule) -> None:
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
        """Logits [n, 1], hubs set back."""
        logits: Tensor = self.module(
            text_tokens, text_lengths, text_vectors, photo_tokens, photo_lengths, photo_vectors
        )
        hubness = self.module.hubness(text_vectors, photo_vectors)
        return (logits - hubness @ self.module.hub_weight)[:, None]
