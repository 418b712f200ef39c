"""Which pictures a model's heads were trained on, as a file beside them.

Figures on such pictures flatter the model: of one and the same catalogue it finds nearly all of those it was trained on
and far fewer of those it never saw. Who trains on from it has to judge by the others.

The file holds the first 8 bytes of the SHA-256 of each picture's bytes, sorted, one after the other and nothing else;
among 10 million pictures two agree by chance with a probability of 3 in a million.
"""

import hashlib
from collections.abc import Iterable
from pathlib import Path

from retrieval.errors import EncoderError

_BYTES = 8


def digest(data: bytes) -> bytes:
    """What stands for a picture's bytes."""
    return hashlib.sha256(data).digest()[:_BYTES]


def packed(digests: Iterable[bytes]) -> bytes:
    """The content of a file: each digest once, sorted."""
    return b"".join(sorted(set(digests)))


def read_seen(path: Path | None) -> frozenset[bytes]:
    """The digests in a file; none where there is no file. Raises EncoderError for one that is not whole."""
    if path is None or not path.exists():
        return frozenset()
    try:
        data = path.read_bytes()
    except OSError as error:
        raise EncoderError(f"cannot read {path}: {error.strerror}", hint="copy the model's folder again") from error
    if len(data) % _BYTES:
        raise EncoderError(f"{path} is cut off: {len(data):,} bytes", hint="copy the model's folder again")
    return frozenset(data[start : start + _BYTES] for start in range(0, len(data), _BYTES))
