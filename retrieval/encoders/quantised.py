"""Weights in 8 bits, for files that the project ships: half of float16, for embeddings that stay within 1e-4.

A matrix becomes int8 with one float32 scale for each output channel, symmetric and rounded to nearest, as in Jacob et
al. 2018 (arXiv:1712.05877, section 2.1 with zero-point 0): w ≈ scale * q, scale = max |w| / 127 over the channel.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from retrieval.arrays import FloatArray

_SCALE = ".scale_8bit"


def packed(name: str, weights: FloatArray, *, channel_axis: int) -> dict[str, npt.NDArray[Any]]:
    """A tensor of two or more axes as what a file holds of it, by name: int8 values and their float32 scales.

    channel_axis: the axis of the output channels.
    """
    others = tuple(axis for axis in range(weights.ndim) if axis != channel_axis % weights.ndim)
    largest = np.abs(weights).max(axis=others, keepdims=True)
    scale = (np.where(largest > 0, largest, 1) / 127).astype(np.float32)
    return {name: np.rint(weights / scale).astype(np.int8), name + _SCALE: scale}


def unpacked(tensors: Mapping[str, npt.NDArray[Any]]) -> dict[str, FloatArray]:
    """The tensors of a file, 8-bit and others, as float32. Raises ValueError for 8-bit values without a scale."""
    found = {}
    for name, tensor in tensors.items():
        if name.endswith(_SCALE):
            continue
        weights = tensor.astype(np.float32)
        if tensor.dtype == np.int8:
            scale = tensors.get(name + _SCALE)
            if scale is None:
                raise ValueError(f"{name} has no scale")
            weights = weights * scale.astype(np.float32)
        found[name] = weights
    return found
