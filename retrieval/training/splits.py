"""Which part of the data an example belongs to: decided by its id alone, so it never moves."""

import hashlib
from typing import Literal

Part = Literal["train", "validation", "held_out"]


def part_of(source: str, example_id: str, *, held_out: float, validation: float) -> Part:
    """The part of one example. Shares are of the whole and lie in 0…1; the rest is `train`.

    The first 8 bytes of SHA-256 of `source/example_id`, read big-endian, give a number u in [0, 1):
    u < held_out is held out (reported, never trained on or chosen by), the next `validation` share decides
    settings and when to stop, the rest trains. An example keeps its part when others are added or removed, and
    a larger held-out share contains a smaller one.
    """
    digest = hashlib.sha256(f"{source}/{example_id}".encode()).digest()
    u = int.from_bytes(digest[:8], "big") / 2**64
    if u < held_out:
        return "held_out"
    return "validation" if u < held_out + validation else "train"
