"""The last blocks of EfficientNet-Lite2 as a module that trains quickly on a CPU."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, relu6

from retrieval.arrays import FloatArray
from retrieval.encoders.towers import efficientnet

_AT_ONCE = 32  # pictures: of 512 at once, a step takes 11 s instead of 5, since no layer fits into the caches


class Tail(nn.Module):
    """From the map of the frozen blocks to the tower's features, with the pretrained weights to begin with.

    It computes what the tower does behind block `efficientnet.FROZEN_BLOCKS`, pictures last to first axis and 1×1
    convolutions as matrix products in bfloat16, which is 3 times faster here than torch's convolutions. The classifier
    stays as it is.
    """

    def __init__(self) -> None:
        super().__init__()
        model = efficientnet.pretrained_model()
        self.blocks = model.blocks[efficientnet.FROZEN_BLOCKS :]  # a slice keeps the blocks' own numbers
        self.conv_head = model.conv_head
        self.classifier = model.classifier.requires_grad_(False)
        self._pretrained = {name: weight.detach().clone() for name, weight in self._tuned()}

    def forward(self, maps: Tensor) -> Tensor:
        """float32 [n, 120 * 14 * 14] or [n, 120, 14, 14] -> float32 [n, efficientnet.DIMENSION]."""
        parts = torch.split(maps.reshape(-1, 120, 14, 14), _AT_ONCE)
        return torch.cat([self._features(part) for part in parts])

    def differences(self) -> Mapping[str, FloatArray]:
        """Tuned minus pretrained, by the weight's name in the tower."""
        return {name: (weight.detach() - self._pretrained[name]).numpy() for name, weight in self._tuned()}

    def _tuned(self) -> list[tuple[str, nn.Parameter]]:
        return [(name, weight) for name, weight in self.named_parameters() if weight.requires_grad]

    def _features(self, maps: Tensor) -> Tensor:
        x = maps.permute(0, 2, 3, 1).contiguous()
        for stage in self.blocks:
            for block in stage:
                wide = relu6(_pointwise(x, block.conv_pw))
                wide = relu6(block.conv_dw(wide.permute(0, 3, 1, 2))).permute(0, 2, 3, 1)
                narrow = _pointwise(wide, block.conv_pwl)
                x = x + narrow if block.has_skip else narrow
        pooled = relu6(_pointwise(x, self.conv_head)).mean(dim=(1, 2))
        return torch.cat([pooled, self.classifier(pooled).softmax(dim=1).sqrt()], dim=1)


def _pointwise(x: Tensor, convolution: Any) -> Tensor:
    """A 1×1 convolution of [n, height, width, channels]."""
    product = linear(x.bfloat16(), convolution.weight.flatten(1).bfloat16())
    summed: Tensor = product.float() + convolution.bias
    return summed
