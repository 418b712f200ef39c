"""Trained changes to some of a pretrained tower's weights, small enough to ship: differences in 8 bits.

The differences are small beside the weights, so 8 bits of them lose less than 8 bits of the weights would.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from retrieval.arrays import FloatArray
from retrieval.encoders.heads import ordered
from retrieval.encoders.quantised import packed, unpacked
from retrieval.encoders.towers.pinned import read_pinned
from retrieval.errors import EncoderError

if TYPE_CHECKING:
    from torch import nn

FORMAT = "catalens-tuned-1"


def save_tuned(path: Path, differences: Mapping[str, FloatArray], *, tower: str) -> str:
    """Write them as safetensors; returns the file's SHA-256.

    differences: by the weight's name, tuned minus pretrained; the first axis is the output channel.
    tower: hex SHA-256 of the pretrained weights that they belong to.
    """
    from safetensors.numpy import save

    tensors: dict[str, npt.NDArray[Any]] = {}
    for name, difference in differences.items():
        if difference.ndim > 1:
            tensors |= packed(name, difference, channel_axis=0)
        else:
            tensors[name] = difference.astype(np.float16)
    data = ordered(save(tensors, metadata={"format": FORMAT, "tower": tower}))
    path.write_bytes(data)
    return hashlib.sha256(data).hexdigest()


def load_tuned(path: Path, *, sha256: str, tower: str) -> dict[str, FloatArray]:
    """Differences by the weight's name, float32.

    Raises WeightsUnavailable if the file cannot be read, EncoderError if its hash is another or it belongs to another
    tower.
    """
    from safetensors.numpy import load

    data = read_pinned(path, sha256, package="catalens")
    metadata = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]
    if metadata["format"] != FORMAT or metadata["tower"] != tower:
        raise EncoderError(
            f"{path} belongs to the weights {metadata['tower'][:12]}…, not to {tower[:12]}…",
            hint="reinstall Catalens",
        )
    return unpacked(load(data))


def add_tuned(module: "nn.Module", differences: Mapping[str, FloatArray]) -> None:
    """Add them to a module's weights, in place. Raises EncoderError for a name or a shape that it does not have."""
    import torch

    weights = dict(module.named_parameters())
    with torch.no_grad():
        for name, difference in differences.items():
            if name not in weights or tuple(weights[name].shape) != difference.shape:
                raise EncoderError(f"the tower has no weight {name} of {difference.shape}", hint="reinstall Catalens")
            weights[name].add_(torch.from_numpy(difference))
