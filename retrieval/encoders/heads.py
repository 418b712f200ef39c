"""Projection heads: from the features of a frozen tower to a unit vector in the joint space. NumPy only."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from retrieval.arrays import FloatArray
from retrieval.encoders.base import unit_rows
from retrieval.encoders.quantised import packed, unpacked
from retrieval.errors import EncoderError, WeightsUnavailable

FORMAT = "catalens-heads-1"
_REINSTALL = "reinstall Catalens, or train the heads again"


@dataclass(frozen=True)
class Head:
    """A linear map plus a one-layer MLP, on standardised features:

        z = (x - mean) * scale
        y = z @ linear + bias + relu(z @ hidden + hidden_bias) @ output,   divided by its length

    The linear path alone already aligns two good towers; the MLP bends what is left. float32, C order:
    mean, scale [n_features]; linear [n_features, dimension]; bias [dimension]; hidden [n_features, width];
    hidden_bias [width]; output [width, dimension].
    """

    mean: FloatArray
    scale: FloatArray
    linear: FloatArray
    bias: FloatArray
    hidden: FloatArray
    hidden_bias: FloatArray
    output: FloatArray

    @property
    def n_features(self) -> int:
        """Of the tower that the head takes."""
        return int(self.linear.shape[0])

    @property
    def dimension(self) -> int:
        """Of the joint space."""
        return int(self.linear.shape[1])

    def apply(self, features: FloatArray) -> FloatArray:
        """float32 [n, n_features] -> float32 unit vectors [n, dimension]; n may be 0."""
        z = (features - self.mean) * self.scale
        bent = np.maximum(z @ self.hidden + self.hidden_bias, 0)
        return unit_rows(z @ self.linear + self.bias + bent @ self.output)

    def as_saved(self) -> "Head":
        """With its values rounded to float16, as a file holds them."""
        return Head(
            **{field.name: getattr(self, field.name).astype(np.float16).astype(np.float32) for field in fields(self)}
        )


@dataclass(frozen=True)
class Heads:
    """A trained pair, as one file holds it.

    towers: hex SHA-256 over the towers' weights that the pair was trained on; it fits no others.
    sha256: hex SHA-256 of the file.
    """

    image: Head
    text: Head
    towers: str
    sha256: str


def save_heads(path: Path, *, image: Head, text: Head, towers: str, in_8_bits: bool = False) -> str:
    """Write a pair as safetensors; returns the file's SHA-256.

    float16 is half the size of float32 for vectors within 1e-3. in_8_bits: the matrices take a quarter, see
    `retrieval.encoders.quantised`.
    """
    from safetensors.numpy import save

    tensors: dict[str, npt.NDArray[Any]] = {}
    for side, head in (("image", image), ("text", text)):
        for field in fields(Head):
            name, value = f"{side}.{field.name}", getattr(head, field.name)
            if in_8_bits and value.ndim > 1:
                tensors |= packed(name, value, channel_axis=-1)
            else:
                tensors[name] = np.ascontiguousarray(value, dtype=np.float16)
    data = ordered(save(tensors, metadata={"format": FORMAT, "towers": towers}))
    path.write_bytes(data)
    return hashlib.sha256(data).hexdigest()


def ordered(data: bytes) -> bytes:
    """The same safetensors file with its metadata in order: the library leaves it to chance, and so the file's hash."""
    end = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:end])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # the format aligns the tensors to 8 bytes
    return len(text).to_bytes(8, "little") + text + data[end:]


def load_heads(path: Path, *, sha256: str | None = None) -> Heads:
    """Read a pair.

    sha256: what the file must hash to; None takes any (a pair trained by the user).

    Raises WeightsUnavailable if the file cannot be read, EncoderError if its hash is another, it is no heads
    file, or its shapes do not fit together.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise WeightsUnavailable(f"cannot read the heads {path}: {error.strerror}", hint=_REINSTALL) from error
    found = hashlib.sha256(data).hexdigest()
    if sha256 is not None and found != sha256:
        raise EncoderError(
            f"the heads {path} were changed: SHA-256 {found[:12]}… instead of {sha256[:12]}…", hint=_REINSTALL
        )
    tensors, metadata = _parse(data, path)
    image, text = _head(tensors, "image", path), _head(tensors, "text", path)
    if image.dimension != text.dimension:
        raise EncoderError(
            f"the heads in {path} end in spaces of {image.dimension} and {text.dimension} dimensions",
            hint=_REINSTALL,
        )
    return Heads(image=image, text=text, towers=metadata["towers"], sha256=found)


def _parse(data: bytes, path: Path) -> tuple[Mapping[str, FloatArray], Mapping[str, str]]:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        tensors = unpacked(load(data))
        # `load` gives tensors only. The header is JSON behind its length in 8 bytes, little-endian.
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    except (SafetensorError, ValueError) as error:
        raise EncoderError(f"{path} is not a safetensors file: {error}", hint=_REINSTALL) from error
    metadata = header.get("__metadata__", {})
    if metadata.get("format") != FORMAT or "towers" not in metadata:
        raise EncoderError(f"{path} holds no Catalens heads of format {FORMAT}", hint=_REINSTALL)
    return tensors, metadata


def _head(tensors: Mapping[str, FloatArray], side: str, path: Path) -> Head:
    try:
        head = Head(**{field.name: tensors[f"{side}.{field.name}"] for field in fields(Head)})
    except KeyError as error:
        raise EncoderError(f"the heads {path} lack the tensor {error}", hint=_REINSTALL) from error
    shapes = [getattr(head, field.name).shape for field in fields(Head)]
    n_features, dimension, width = head.mean.size, head.bias.size, head.hidden_bias.size
    fitting = [(n_features,), (n_features,), (n_features, dimension), (dimension,)]
    fitting += [(n_features, width), (width,), (width, dimension)]
    if shapes != fitting:
        raise EncoderError(f"the {side} head in {path} has shapes that do not fit: {shapes}", hint=_REINSTALL)
    return head
