"""Scaled dot-product attention, from its formula (Vaswani et al. 2017, arXiv:1706.03762, section 3.2.1)."""

import math

import torch
from torch import Tensor


def attention(query: Tensor, key: Tensor, value: Tensor, real: Tensor | None = None) -> Tensor:
    """softmax(q k^T / sqrt(d) + mask) v.

    query: float [..., a, d]. key: float [..., b, d]. value: float [..., b, e]. Leading axes broadcast.
    real: bool, broadcast to [..., a, b]: which keys may be looked at, at least one of each row; the mask is 0 there and
    minus infinity elsewhere.

    Returns float [..., a, e].
    """
    scores = query @ key.transpose(-2, -1) / math.sqrt(query.shape[-1])
    if real is not None:
        scores = scores.masked_fill(~real, -torch.inf)
    return torch.softmax(scores, dim=-1) @ value
