"""Weight files of other packages, taken only when they are byte for byte the ones that were trained with."""

import hashlib
from pathlib import Path

from retrieval.errors import EncoderError, WeightsUnavailable


def read_pinned(path: Path, sha256: str, *, package: str) -> bytes:
    """The bytes of `path`, checked: what is parsed later is what was hashed, so a pickle cannot be swapped.

    sha256: 64 hex digits. package: the distribution to reinstall, for the hint.

    Raises WeightsUnavailable if the file cannot be read and EncoderError if its hash is another.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise _unreadable(path, error, package) from error
    _compare(hashlib.sha256(data).hexdigest(), path, sha256, package)
    return data


def check_pinned(path: Path, sha256: str, *, package: str) -> None:
    """As `read_pinned`, but keeps nothing: for files that are mapped, not read, and are no pickles."""
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise _unreadable(path, error, package) from error
    _compare(found, path, sha256, package)


def _unreadable(path: Path, error: OSError, package: str) -> WeightsUnavailable:
    return WeightsUnavailable(
        f"cannot read the weights {path}: {error.strerror}", hint=f"reinstall the package {package}"
    )


def _compare(found: str, path: Path, sha256: str, package: str) -> None:
    if found != sha256:
        raise EncoderError(
            f"{path} is not the file expected: SHA-256 {found[:12]}… instead of {sha256[:12]}…",
            hint=f"reinstall the package {package}; nothing of this file was loaded",
        )
