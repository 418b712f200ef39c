"""Tower features computed once and kept on disk: they are the slow part, training on them is quick."""

import hashlib
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from retrieval.encoders.base import FloatArray

log = logging.getLogger(__name__)
Input = TypeVar("Input")


def cached_features(
    inputs: Sequence[Input],
    keys: Sequence[str],
    compute: Callable[[Sequence[Input]], FloatArray],
    *,
    tower: str,
    cache: Path | None,
    batch: int = 64,
) -> FloatArray:
    """`compute` over all inputs in batches -> float32 [len(inputs), d], from `cache` if it is there.

    keys: one string per input that says what it is; the file's name is the hash of all keys and of `tower` (a
    hash of weights and preprocessing), so another selection or another tower never meets old features. Stored
    as float16, and rounded to it without a cache too, so that both ways train the same heads.
    """
    digest = hashlib.sha256("\0".join([tower, *keys]).encode()).hexdigest()[:16]
    path = cache / f"features-{digest}.npy" if cache else None
    if path and path.exists():
        stored: npt.NDArray[np.float16] = np.load(path, allow_pickle=False)
        return stored.astype(np.float32)
    parts = []
    for start in range(0, len(inputs), batch):
        parts.append(compute(inputs[start : start + batch]).astype(np.float16))
        if start // batch % 20 == 0:
            log.info("%d of %d features", start, len(inputs))
    features = np.concatenate(parts)
    if path:
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, features)
    return features.astype(np.float32)
