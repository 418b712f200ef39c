"""Tower features computed once and kept on disk: they are the slow part, training on them is quick."""

import contextlib
import hashlib
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from retrieval.arrays import FloatArray
from retrieval.errors import EncoderError, StorageError

log = logging.getLogger(__name__)
Input = TypeVar("Input")
_HEX = 32  # digits of a file's SHA-256 in its name


class FeatureCache:
    """Features of one tower by key, as float16 (within 5e-4 of their size), in files that are written once.

    folder: where all towers' features are kept; None keeps nothing after this process.
    tower: what must be equal for two features to be comparable: a hash of weights, and the preprocessing.

    A file is named by the hash of its bytes and written aside: one that is damaged or half written is not read, and
    its features are computed again. Any number of processes may read and write at once. Nothing is ever removed.
    """

    def __init__(self, folder: Path | None, tower: str) -> None:
        """Reads all that is there. Raises StorageError if the folder cannot be read."""
        self._folder = folder / hashlib.sha256(tower.encode()).hexdigest()[:16] if folder else None
        self._parts: list[npt.NDArray[np.float16]] = []
        self._places: dict[bytes, tuple[int, int]] = {}
        self.added = 0  # inputs whose features were computed since
        if self._folder is not None and self._folder.exists():
            with _disk_errors(self._folder):
                for path in sorted(self._folder.glob("*.safetensors")):
                    self._read(path)

    def __contains__(self, key: str) -> bool:
        return _digest(key) in self._places

    def __len__(self) -> int:
        return len(self._places)

    def add(self, keys: Sequence[str], features: FloatArray) -> None:
        """Keep features [len(keys), d], on disk once this returns.

        Raises EncoderError for features that are no finite float16, StorageError if the disk refuses.
        """
        rounded = np.ascontiguousarray(features, dtype=np.float16)  # safetensors writes memory as it lies
        if len(bad := np.flatnonzero(~np.isfinite(rounded).all(axis=1))):
            raise EncoderError(
                f"the tower gave NaN or infinity for {len(bad):,} of {len(keys):,} inputs, the first being "
                f"{keys[bad[0]][:80]!r}",
                hint="its weights may be damaged: fetch the model again, or choose another with --base",
            )
        digests = np.frombuffer(b"".join(map(_digest, keys)), dtype=np.uint8).reshape(len(keys), 32)
        self._hold(digests, rounded)
        self.added += len(keys)
        if self._folder is not None:
            self._write(self._folder, digests, rounded)

    def get(self, keys: Sequence[str]) -> FloatArray:
        """float32 [len(keys), d], in order. Raises KeyError for one that is not there."""
        places = [self._places[_digest(key)] for key in keys]
        rows = np.empty((len(keys), self._parts[0].shape[1] if self._parts else 0), dtype=np.float32)
        for row, (part, place) in enumerate(places):
            rows[row] = self._parts[part][place]
        return rows

    def _hold(self, digests: npt.NDArray[np.uint8], features: npt.NDArray[np.float16]) -> None:
        for row, digest in enumerate(digests):
            self._places[digest.tobytes()] = (len(self._parts), row)
        self._parts.append(features)

    def _read(self, path: Path) -> None:
        from safetensors.numpy import load

        data = path.read_bytes()
        if hashlib.sha256(data).hexdigest()[:_HEX] != path.stem:
            log.warning("%s is damaged; what it held is computed again", path)
            return
        tensors = load(data)
        self._hold(tensors["keys"], tensors["features"])

    def _write(self, folder: Path, digests: npt.NDArray[np.uint8], features: npt.NDArray[np.float16]) -> None:
        from safetensors.numpy import save

        data = save({"keys": digests, "features": features})
        with _disk_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            aside = folder / f".{os.getpid()}.part"
            try:
                aside.write_bytes(data)
                aside.replace(folder / f"{hashlib.sha256(data).hexdigest()[:_HEX]}.safetensors")
            finally:
                aside.unlink(missing_ok=True)


def cached_features(
    inputs: Sequence[Input],
    keys: Sequence[str],
    compute: Callable[[Sequence[Input]], FloatArray],
    *,
    tower: str,
    cache: Path | None,
    batch: int = 64,
    on_progress: Callable[[int, int], None] | None = None,
) -> FloatArray:
    """`compute` over all inputs in batches -> float32 [len(inputs), d]; what `cache` has is not computed again.

    keys: one string per input that says what it is. tower: see FeatureCache. on_progress: called with (done, total).
    Values are rounded to float16 without a cache too, so that both ways train the same heads.
    """
    kept = FeatureCache(cache, tower)
    lacking = {key: one for key, one in zip(keys, inputs, strict=True) if key not in kept}
    names, missing = list(lacking), list(lacking.values())
    for start in range(0, len(missing), batch):
        kept.add(names[start : start + batch], compute(missing[start : start + batch]))
        if on_progress:
            on_progress(len(keys) - len(missing) + min(start + batch, len(missing)), len(keys))
        if start // batch % 20 == 0:
            log.info("%d of %d features", start, len(missing))
    return kept.get(keys)


@contextlib.contextmanager
def _disk_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageError(
            f"cannot keep features in {folder}: {error.strerror or error}",
            hint="check the disk and who may write there, or name another folder with --cache",
        ) from error


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()
