"""What the environment says: the one module that reads it."""

import os
from pathlib import Path


def cache_dir() -> Path:
    """Where fetched things are kept that can be fetched again: `$XDG_CACHE_HOME/catalens`, else `~/.cache/catalens`.

    A relative XDG_CACHE_HOME is ignored, as the XDG Base Directory Specification asks.
    """
    stated = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (stated if stated.is_absolute() else Path.home() / ".cache") / "catalens"


def share_cores() -> None:
    """Let threads of numerical libraries sleep while they wait for each other, unless `OMP_WAIT_POLICY` says otherwise.

    They would spin on cores that others could use. With two of torch's threads on two cores where something else runs
    (decoders, or another process) the starter took 66 to 74 core milliseconds a photo spinning, 29 sleeping, the same
    as with one thread. The libraries look when they are loaded, so this comes before torch.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
