"""How deep to look: a boosted item may stand far down by its score alone, and still belong among the first k."""

import numpy as np
import numpy.typing as npt


def largest(
    boosts: npt.NDArray[np.float32],
    allowed: npt.NDArray[np.bool_] | None = None,
    seen: npt.NDArray[np.int64] | None = None,
) -> float:
    """The most that a rule adds to any item that is not yet among the candidates; -inf if all items are.

    boosts: float32 [n]. allowed: bool [n], the items that may be in the answer; None: all. seen: positions of the items
    among the candidates. An item that is boosted much and seen early is thus no reason to look further.
    """
    open_to_question = np.ones(len(boosts), dtype=np.bool_) if allowed is None else allowed.copy()
    if seen is not None:
        open_to_question[seen] = False
    return float(np.max(boosts, where=open_to_question, initial=-np.inf))


def is_certain(kth: float, last: float, most: float) -> bool:
    """Can no item that was not seen be among the first k?

    kth: the k-th best score with boosts among the candidates, -inf if they are fewer than k. last: the lowest score,
    without boosts, of the candidates: no item that was not seen has more. most: `largest` of those not seen.
    All in float32, or sums might round past each other. A tie is not certain, since ids decide it.
    """
    return bool(np.float32(last) + np.float32(most) < np.float32(kth)) or most == -np.inf
