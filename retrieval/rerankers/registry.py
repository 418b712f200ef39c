"""The kinds of rerankers, about equal in size, so that a comparison of them compares how they fuse."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from retrieval.tokens.value import TokenSpec

if TYPE_CHECKING:
    from torch import nn

    from retrieval.rerankers.modules.pair import PairModule

Build = Callable[[TokenSpec, int, int], "PairModule"]


def parameters(module: "nn.Module") -> int:
    """How many numbers a module learns."""
    return sum(each.numel() for each in module.parameters())


def _cross_attention(tokens: TokenSpec, dimension: int, seed: int) -> "PairModule":
    from retrieval.rerankers.modules.cross_attention import CrossAttention

    return _seeded(lambda: CrossAttention(tokens, dimension), seed)


def _maxsim(tokens: TokenSpec, dimension: int, seed: int) -> "PairModule":
    from retrieval.rerankers.modules.maxsim import MaxSim

    return _fitted(lambda hidden: MaxSim(tokens, dimension, hidden), tokens, dimension, seed)


def _concat_mlp(tokens: TokenSpec, dimension: int, seed: int) -> "PairModule":
    from retrieval.rerankers.modules.concat_mlp import ConcatMlp

    return _fitted(lambda hidden: ConcatMlp(tokens, dimension, hidden), tokens, dimension, seed)


def _gating(tokens: TokenSpec, dimension: int, seed: int) -> "PairModule":
    from retrieval.rerankers.modules.gating import Gating

    return _fitted(lambda hidden: Gating(tokens, dimension, hidden), tokens, dimension, seed)


def _bilinear(tokens: TokenSpec, dimension: int, seed: int) -> "PairModule":
    from retrieval.rerankers.modules.bilinear import Bilinear

    return _fitted(lambda hidden: Bilinear(tokens, dimension, hidden), tokens, dimension, seed)


def _weighted_sum(tokens: TokenSpec, dimension: int, seed: int) -> "PairModule":
    from retrieval.rerankers.modules.weighted_sum import WeightedSum

    return _fitted(lambda hidden: WeightedSum(tokens, dimension, hidden), tokens, dimension, seed)


KINDS: Mapping[str, Build] = {
    "cross_attention": _cross_attention,
    "maxsim": _maxsim,
    "concat_mlp": _concat_mlp,
    "gating": _gating,
    "bilinear": _bilinear,
    "weighted_sum": _weighted_sum,
}
"""By name: (tokens, dimension of the joint vectors, seed) -> an untrained module, the same for the same seed.

It keeps `tokens` and `dimension`, which its folder states."""


def _seeded(build: Callable[[], "PairModule"], seed: int) -> "PairModule":
    """Built with random numbers of its own: the caller's generator is as before."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build()


def _fitted(build: Callable[[int], "PairModule"], tokens: TokenSpec, dimension: int, seed: int) -> "PairModule":
    """With the hidden width that brings it nearest below the size of cross attention on the same tokens."""
    import torch

    with torch.device("meta"):  # shapes without numbers
        budget = parameters(_cross_attention(tokens, dimension, seed))
        low, high = 1, 1 << 16
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if parameters(build(middle)) <= budget else (low, middle)
    return _seeded(lambda: build(low), seed)
