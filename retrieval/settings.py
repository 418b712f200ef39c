"""What the environment says: the one module that reads it."""

import os
from pathlib import Path


def cache_dir() -> Path:
    """Where things are kept that can be fetched or made again.

    `$CATALENS_CACHE`, else `$XDG_CACHE_HOME/catalens`, else `~/.cache/catalens`. A relative XDG_CACHE_HOME is ignored,
    as the XDG Base Directory Specification asks.
    """
    if own := os.environ.get("CATALENS_CACHE"):
        return Path(own).expanduser().absolute()
    stated = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (stated if stated.is_absolute() else Path.home() / ".cache") / "catalens"


def runtime() -> str:
    """What encoders run on unless a command says otherwise: `$CATALENS_RUNTIME`, else `auto`."""
    return os.environ.get("CATALENS_RUNTIME") or "auto"


def usable_cores() -> int:
    """Cores that this process may use, at least 1: those it is bound to, where the system can tell."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1


def share_cores() -> None:
    """Keep threads of numerical libraries from spinning on cores that others could use, unless the environment says so.

    Waiting threads of OpenMP (torch) sleep: with two on two cores where something else runs (decoders, or another
    process) the starter took 66 to 74 core milliseconds a photo spinning, 29 sleeping, the same as with one thread.
    NumPy's OpenBLAS cannot sleep and gets one thread: a title took 3.6 core milliseconds with two, 0.27 with one.
    Libraries look when they are loaded, so this comes before torch, and for OpenBLAS before NumPy.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
