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
    """Keep threads of numerical libraries from spinning on cores that others could use, unless the environment says so.

    Waiting threads of OpenMP (torch) sleep: with two on two cores where something else runs (decoders, or another
    process) the starter took 66 to 74 core milliseconds a photo spinning, 29 sleeping, the same as with one thread.
    NumPy's OpenBLAS cannot sleep and gets one thread: a title took 3.6 core milliseconds with two, 0.27 with one.
    Libraries look when they are loaded, so this comes before torch, and for OpenBLAS before NumPy.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
