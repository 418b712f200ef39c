"""Which export belongs to a model's name, without reading 600 MB of weights to find out.

For each name, a small file holds the model's files with their SHA-256 and what the system says of each (size, times,
inode, device), as git's index does. While that stays, so does the model; when it changes, the file is hashed.
"""

import hashlib
import json
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

from retrieval.runtime.store import exports_dir, identity, sha256_of, write_whole

_PACKAGE = "open_clip_torch"


def remember(name: str, files: tuple[Path, ...], key: str) -> None:
    """Note that `name`, which is made of `files`, has the export `key`. Raises OSError."""
    entry = {
        "name": _plain(name),
        "key": key,
        _PACKAGE: version(_PACKAGE),  # it says what a name means and how pictures are prepared
        "files": {str(path): {"sha256": sha256_of(path), "seen": identity(path)} for path in files},
    }
    _write(entry)


def key_for(name: str) -> str | None:
    """The export of that name, if its model is still the same; None if there is none or the model has changed."""
    try:
        entry = json.loads(_path(name).read_text(encoding="utf-8"))
        if entry["name"] != _plain(name) or entry[_PACKAGE] != version(_PACKAGE):
            return None
        moved = False
        for given, stated in entry["files"].items():
            status = identity(Path(given))
            if status != stated["seen"]:
                if sha256_of(Path(given)) != stated["sha256"]:
                    return None
                stated["seen"], moved = status, True
        key = str(entry["key"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if moved:
        with suppress(OSError):  # where it cannot be written, it is hashed again next time
            _write(entry)
    return key


def _write(entry: dict[str, Any]) -> None:
    write_whole(_path(entry["name"]), json.dumps(entry, indent=1).encode())


def _path(name: str) -> Path:
    return exports_dir() / "names" / f"{hashlib.sha256(_plain(name).encode()).hexdigest()[:32]}.json"


def _plain(name: str) -> str:
    """A folder by its absolute path, whichever way it was written; any other name as it is."""
    given = name.removeprefix("local-dir:")
    folder = Path(given).expanduser()
    try:
        return str(folder.resolve()) if given and folder.is_dir() else name
    except OSError:
        return name
