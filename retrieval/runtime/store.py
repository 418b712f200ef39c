"""Exports on disk, in the user's cache folder: whole or not there, and never loaded when they were damaged.

exports/KEY/manifest.json       what it is an export of, and of every other file its SHA-256
exports/KEY/graphs/NAME.*       the graph as OpenVINO keeps it, and compiled for this machine
exports/KEY/unpacked/           what towers wrote to open quickly
exports/KEY/bank.safetensors    features of both runtimes, to judge heads that are trained later
exports/refused/                what was refused on this machine, and why
exports/names/                  which export belongs to which model (`names.py`)

A file is hashed when it is written and again whenever its size, times, inode or device are not those that were seen
then, as git does. So a search hashes nothing of an export, and a file that was copied, cut off or written over is found
out. The starter's English text tower is not part of it: it is opened from its package, whose 90 MB are hashed (70 ms).
"""

import hashlib
import json
import os
import platform
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache, cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from retrieval.encoders.base import DualEncoder
from retrieval.encoders.towers.base import Towers
from retrieval.errors import ExportError, StorageError
from retrieval.settings import cache_dir

FORMAT = "catalens-export-1"
MANIFEST = "manifest.json"
BANK = "bank.safetensors"
_AGAIN = "make it again: catalens export --model"


def exports_dir() -> Path:
    """Where exports lie. They can be deleted at any time."""
    return cache_dir() / "exports"


def key_of(towers: Towers) -> str:
    """32 hex digits over all that an export depends on: weights, tokenizer, preprocessing."""
    parts = [towers.towers_hash, towers.tokenizer, dict(towers.preprocessing)]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]


class Export:
    """One export, opened by its manifest. Raises ExportError if there is none or it is damaged."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.manifest = _read_manifest(folder)

    @cached_property
    def _seen(self) -> dict[str, list[int]]:
        try:
            found = json.loads((self.folder / "seen.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def file(self, name: str) -> Path:
        """The path of a file, checked. Raises ExportError if it is missing or not the one that was written."""
        path, stated = self.folder / name, self.manifest["files"].get(name)
        if stated is None:
            raise ExportError(
                f"the export {self.folder} names no file {name}", hint=f"{_AGAIN} {self.manifest['name']}"
            )
        try:
            status = identity(path)
            if status in (stated["seen"], self._seen.get(name)):
                return path
            intact = sha256_of(path) == stated["sha256"]
        except OSError as error:
            raise self._damaged(f"{name} cannot be read: {error.strerror}") from error
        if not intact:
            raise self._damaged(f"{name} was changed")
        self._seen[name] = status
        with suppress(OSError):  # where the cache cannot be written, it is hashed again next time
            write_whole(self.folder / "seen.json", json.dumps(self._seen).encode())
        return path

    def check(self) -> None:
        """Check every file, and that it was judged on a machine like this one. Raises ExportError."""
        if self.manifest["machine"] != here():  # another release or processor may compute something else
            raise ExportError(
                f"the export of {self.manifest['name']} was judged with another OpenVINO or processor",
                hint=f"{_AGAIN} {self.manifest['name']}",
            )
        for name in self.manifest["files"]:
            self.file(name)

    def passed(self, fingerprint: str) -> bool:
        """Whether the encoder with that fingerprint was found to give the same vectors on these towers."""
        return (self.folder / f"passed-{fingerprint}").exists()

    def note_passed(self, fingerprint: str) -> None:
        """Remember that it was. Where the cache cannot be written, it is judged again next time."""
        with suppress(OSError):
            write_whole(self.folder / f"passed-{fingerprint}", b"")

    def _damaged(self, reason: str) -> ExportError:
        return ExportError(
            f"the export of {self.manifest['name']} in {self.folder} is damaged: {reason}",
            hint=f"{_AGAIN} {self.manifest['name']}",
        )


def find(key: str) -> Export | None:
    """The export of that key, or None. Raises ExportError if it is damaged."""
    folder = exports_dir() / key
    return Export(folder) if folder.exists() else None


def here() -> dict[str, str]:
    """What the numbers of a graph depend on beside the graph, as JSON values. Imports nothing heavy (2 ms)."""
    try:
        release = version("openvino")
    except PackageNotFoundError:
        release = ""
    return {"openvino": release, "processor": _processor()}


@cache
def _processor() -> str:
    found = [platform.machine(), platform.processor()]
    with suppress(OSError), Path("/proc/cpuinfo").open(encoding="utf-8", errors="replace") as file:
        for line in file:
            if not line.strip():  # the end of the first core
                break
            if line.startswith(("model name", "flags", "Features", "CPU part")):
                found.append(line.strip())
    return hashlib.sha256("\n".join(found).encode()).hexdigest()[:16]


def refusal(encoder: DualEncoder) -> str:
    """Why an export of that encoder was refused on a machine like this one; empty if it was not."""
    try:
        told = json.loads(_refusal(encoder).read_text(encoding="utf-8"))
        return str(told["reason"]) if told["machine"] == here() else ""
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def note_refusal(encoder: DualEncoder, reason: str) -> None:
    """Remember it, or with no reason forget it. Where the cache cannot be written, it is tried again next time."""
    path = _refusal(encoder)
    with suppress(OSError):
        if reason:
            write_whole(path, json.dumps({"reason": reason, "machine": here()}).encode())
        else:
            path.unlink(missing_ok=True)


def _refusal(encoder: DualEncoder) -> Path:
    return exports_dir() / "refused" / f"{encoder.spec.fingerprint}.json"


@contextmanager
def locked(key: str, name: str) -> Iterator[None]:
    """Nobody else writes that export meanwhile. name: of the encoder. Raises ExportError if somebody does."""
    root = exports_dir()
    try:
        root.mkdir(parents=True, exist_ok=True)
        lock = FileLock(root / f".{key}.lock", timeout=0)
        lock.acquire()
    except Timeout as error:
        raise ExportError(f"another process is exporting {name}", hint="wait for it") from error
    except OSError as error:
        raise StorageError(f"cannot write below {root}: {error.strerror or error}", hint="check the disk") from error
    try:
        yield
    finally:
        lock.release()


def identity(path: Path) -> list[int]:
    """What changes when a file is written to, replaced or copied. Raises OSError."""
    status = path.stat()
    return [status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns]


def sha256_of(path: Path) -> str:
    """Hex SHA-256 of a file's bytes. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def commit(aside: Path, key: str, manifest: Mapping[str, Any]) -> Export:
    """Flush a folder that was written aside, describe its files, and move it to its place, over any other there.

    Raises StorageError where the disk refuses.
    """
    final = exports_dir() / key
    try:
        names = sorted(str(path.relative_to(aside)) for path in aside.rglob("*") if path.is_file())
        for name in names:
            _flush(aside / name)
        described = {name: {"sha256": sha256_of(aside / name), "seen": identity(aside / name)} for name in names}
        body = json.dumps({"format": FORMAT, **manifest, "files": described}, indent=1, sort_keys=True)
        line = json.dumps({"sha256": hashlib.sha256(body.encode()).hexdigest()})
        write_whole(aside / MANIFEST, f"{line}\n{body}\n".encode())
        old = aside.with_name(f"{aside.name}.old")
        if final.exists():
            final.rename(old)
        aside.rename(final)
        _flush(final.parent)
        shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        raise StorageError(f"cannot write {final}: {error.strerror or error}", hint="check the disk") from error
    return Export(final)


def write_whole(path: Path, data: bytes) -> None:
    """Write a file so that others find all of it or what was there before. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        aside.write_bytes(data)
        _flush(aside)
        aside.rename(path)
        _flush(path.parent)
    finally:
        aside.unlink(missing_ok=True)


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _read_manifest(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST
    try:
        line, _, body = path.read_bytes().partition(b"\n")
        body = body.removesuffix(b"\n")
        if json.loads(line)["sha256"] != hashlib.sha256(body).hexdigest():
            raise ValueError("its hash is another")
        manifest: dict[str, Any] = json.loads(body)
        if manifest["format"] != FORMAT:
            raise ValueError(f"its format is {manifest['format']}")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ExportError(f"the export {folder} is damaged: {path.name}: {error}", hint="catalens export") from error
    return manifest
