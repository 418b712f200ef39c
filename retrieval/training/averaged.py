"""The running average of weights in training: steadier than the last step's, and it generalises better."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import nn


class Averaged:
    """Exponential moving average of modules' weights (Polyak & Juditsky 1992; Izmailov et al. 2018, arXiv:1803.05407).

    decay: of one step, in 0…1; 0 follows the weights as they are. The first steps average over what there is:
    the decay of step t is at most t / (t + 9).
    """

    def __init__(self, modules: Sequence[nn.Module], decay: float) -> None:
        self._weights = [parameter for module in modules for parameter in module.parameters()]
        self._decay = decay
        self._steps = 0
        self._average = [weight.detach().clone() for weight in self._weights]

    @torch.no_grad()
    def update(self) -> None:
        """Take one step's weights in."""
        self._steps += 1
        decay = min(self._decay, self._steps / (self._steps + 9))
        for average, weight in zip(self._average, self._weights, strict=True):
            average.lerp_(weight, 1 - decay)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The modules with their average weights, for the time of the block."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    @torch.no_grad()
    def _swap(self) -> None:
        for average, weight in zip(self._average, self._weights, strict=True):
            kept = weight.clone()
            weight.copy_(average)
            average.copy_(kept)
