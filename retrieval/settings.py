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
