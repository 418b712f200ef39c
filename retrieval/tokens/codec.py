"""Tokens of one photo or text as the bytes that the catalogue keeps: int8, with one scale a token and a checksum.

header    length, width (uint16), CRC-32 of all that follows (uint32); everything is little-endian
scales    float16 [length]: the token's largest absolute value / 127
values    int8 [length, width]

Symmetric, rounded to nearest, as in Jacob et al. 2018 (arXiv:1712.05877, section 2.1 with zero-point 0). 49 tokens of
192 numbers take 9,514 bytes.
"""

import struct
import zlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from retrieval.arrays import FloatArray
from retrieval.tokens.value import Tokens

FORMAT = "int8-float16-scales-1"
"""Part of the projection's hash: tokens that are rounded otherwise are others."""

_HEADER = struct.Struct("<HHI")
_SCALE, _VALUE = np.dtype("<f2"), np.dtype("i1")
_MOST = 2**16 - 1
_LARGEST = 127
_SAYS = float(np.finfo(_SCALE).max) * _LARGEST  # what the largest scale can say


def pack(tokens: FloatArray) -> bytes:
    """float32 [length, width] -> bytes. Raises ValueError for tokens that are not finite or too large for float16."""
    length, width = tokens.shape
    if max(length, width) > _MOST:
        raise ValueError(f"{length} tokens of {width} numbers are more than {_MOST}")
    largest = np.abs(tokens).max(axis=1, initial=0)
    if not np.all(largest <= _SAYS):  # so written, NaN is refused as well
        raise ValueError("a token is not finite, or larger than a float16 scale can say")
    scales = (largest / _LARGEST).astype(_SCALE)
    kept = scales.astype(np.float32)[:, None]
    values = np.divide(tokens, kept, out=np.zeros(tokens.shape, dtype=np.float32), where=kept > 0)
    # What is smaller than float16 can say has a scale that is far off; it must not wrap around.
    rounded = np.clip(np.rint(values), -_LARGEST, _LARGEST).astype(_VALUE)
    body: bytes = scales.tobytes() + rounded.tobytes()
    return _HEADER.pack(length, width, zlib.crc32(body)) + body


def unpack(data: bytes, width: int, most: int = _MOST) -> FloatArray:
    """Bytes that `pack` made -> float32 [length, width].

    Raises ValueError if they are damaged, of another width or of more than `most` tokens.
    """
    if len(data) < _HEADER.size:
        raise ValueError(f"{len(data)} bytes are no tokens")
    length, found, checksum = _HEADER.unpack_from(data)
    body = memoryview(data)[_HEADER.size :]
    scale_bytes = length * _SCALE.itemsize
    if len(body) != scale_bytes + length * found or zlib.crc32(body) != checksum:
        raise ValueError("the tokens are damaged")
    if found != width:
        raise ValueError(f"the tokens have {found} numbers, not {width}")
    if length > most:
        raise ValueError(f"there are {length} tokens, more than {most}")
    scales = np.frombuffer(body[:scale_bytes], dtype=_SCALE).astype(np.float32)
    if not np.isfinite(scales).all():  # a checksum can be made for anything
        raise ValueError("the tokens are damaged")
    values = np.frombuffer(body[scale_bytes:], dtype=_VALUE).reshape(length, width)
    tokens: FloatArray = values * scales[:, None]
    return tokens


def pack_rows(tokens: Tokens) -> list[bytes | None]:
    """`pack` for each row; None for one whose tokens are no numbers, as a broken graph may give."""
    packed: list[bytes | None] = []
    for row, length in zip(tokens.tokens, tokens.lengths, strict=True):
        try:
            packed.append(pack(row[:length]))
        except ValueError:
            packed.append(None)
    return packed


def padded(rows: Sequence[FloatArray], width: int) -> tuple[FloatArray, npt.NDArray[np.int64]]:
    """Tokens [length, width] each -> one array [n, longest, width] with zeros behind the ends, and the lengths [n].

    There is always room for one token, so that nobody has to attend to nothing.
    """
    lengths = np.array([len(row) for row in rows], dtype=np.int64)
    tokens = np.zeros((len(rows), max(1, int(lengths.max(initial=0))), width), dtype=np.float32)
    for place, row in enumerate(rows):
        tokens[place, : len(row)] = row
    return tokens, lengths


def rounded(tokens: Tokens) -> Tokens:
    """What packing and unpacking leaves of them: what a search will see. A row that cannot be packed gets length 0."""
    width = tokens.tokens.shape[2]
    kept, lengths = np.zeros_like(tokens.tokens), np.zeros_like(tokens.lengths)
    for place, packed in enumerate(pack_rows(tokens)):
        if packed is not None:
            lengths[place] = tokens.lengths[place]
            kept[place, : lengths[place]] = unpack(packed, width)
    return Tokens(kept, lengths, tokens.vectors)
