"""A Debian package's files, fetched with apt-get and unpacked with dpkg-deb into a cache; it is not installed."""

import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from retrieval.errors import EvaluationError, StorageError

TIMEOUT_SECONDS = 1_800


@dataclass(frozen=True)
class Part:
    """What is wanted of a package: files with these endings below a folder, such as `usr/share/pictures`."""

    package: str
    folder: str
    endings: frozenset[str]


def fetch(
    part: Part,
    cache_dir: Path,
    *,
    on_message: Callable[[str], None],
    apt_get: str = "apt-get",
    dpkg_deb: str = "dpkg-deb",
    timeout: float = TIMEOUT_SECONDS,
) -> Path:
    """The folder in `cache_dir`, named like `package_version_architecture`, that holds the wanted files.

    What an earlier call left there is used as it is, without a network. apt-get checks the package's signature.
    on_message: told in one line what is being fetched, only when it is. apt_get, dpkg_deb: names or paths.
    timeout: seconds that each program may take.

    Raises EvaluationError where a program is missing or fails, StorageError where the disk refuses.
    """
    homes = sorted(cache_dir.glob(f"{part.package}_*"))
    if homes:
        return homes[-1]
    apt, dpkg = _program(apt_get, part), _program(dpkg_deb, part)
    on_message(f"Fetching the Debian package {part.package} with {apt_get}, once.")
    try:
        cache_dir.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache_dir, prefix=".fetch-") as name:
            scratch = Path(name)
            package = _download(apt, part, scratch, timeout)
            _run([dpkg, "-x", str(package), str(scratch / "unpacked")], part, scratch, timeout)
            kept = _keep(part, scratch)
            # The rename is the last step, so a folder that is there is whole.
            return _publish(kept, cache_dir / package.stem)
    except OSError as error:
        raise StorageError(
            f"the package {part.package} cannot be kept in {cache_dir}: {error.strerror or error}",
            hint="make 500 MB of room there, or set XDG_CACHE_HOME to another folder",
        ) from error


def _program(name: str, part: Part) -> str:
    found = shutil.which(name)
    if found is None:
        raise EvaluationError(
            f"the Debian package {part.package} is fetched with `{name}`, and there is none on this machine",
            hint="Use a Debian or Ubuntu system or container, or evaluate on data of your own.",
        )
    return found


def _download(apt: str, part: Part, scratch: Path, timeout: float) -> Path:
    folder, lists, cache = scratch / "download", scratch / "lists", scratch / "cache"
    for made in (folder, lists / "partial", cache / "archives" / "partial"):
        made.mkdir(parents=True)
    try:
        _run([apt, "-qq", "download", part.package], part, folder, timeout)
    except EvaluationError:
        # Fresh containers have no package lists, and only root may write the system's: fetch lists of our own.
        own = ["-o", f"Dir::State::Lists={lists}", "-o", f"Dir::Cache={cache}"]
        _run([apt, "-qq", *own, "update"], part, scratch, timeout)
        _run([apt, "-qq", *own, "download", part.package], part, folder, timeout)
    packages = sorted(folder.glob("*.deb"))
    if len(packages) != 1:
        raise EvaluationError(f"apt-get brought {len(packages)} files for the package {part.package}, and not one")
    return packages[0]


def _run(command: Sequence[str], part: Part, folder: Path, timeout: float) -> None:
    program = Path(command[0]).name
    try:
        done = subprocess.run(  # noqa: S603  the arguments are constants and paths of our own
            command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise _refused(program, part, f"no answer within {timeout:g} seconds") from error
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        # apt-get warns first and says what is wrong in lines that begin with `E:`.
        complaint = next((line for line in said if line.startswith("E:")), said[-1] if said else "")
        raise _refused(program, part, complaint.removeprefix("E:").strip() or f"exit status {done.returncode}")


def _refused(program: str, part: Part, reason: str) -> EvaluationError:
    return EvaluationError(
        f"{program} could not fetch the Debian package {part.package}: {reason}",
        hint="Check the network and /etc/apt/sources.list, or evaluate on data of your own.",
    )


def _keep(part: Part, scratch: Path) -> Path:
    root, kept = scratch / "unpacked" / part.folder, scratch / "kept"
    files = [file for file in root.rglob("*") if file.suffix in part.endings and file.is_file()]
    if not files:
        raise EvaluationError(f"the Debian package {part.package} has nothing in {part.folder}")
    for file in files:
        if not file.is_symlink():
            target = kept / file.relative_to(root)
            target.parent.mkdir(parents=True, exist_ok=True)
            file.rename(target)
    return kept


def _publish(kept: Path, home: Path) -> Path:
    try:
        kept.rename(home)
    except OSError:
        if not home.is_dir():  # else another process was first, with the same package
            raise
    return home
