"""What the environment says: the one module that reads it."""

import os
from pathlib import Path


def cache_dir() -> Path:
    """Where fetched things are kept that can be fetched again: `$XDG_CACHE_HOME/catalens`, else `~/.cache/catalens`.

    A relative XDG_CACHE_HOME is ignored, as the XDG Base Directory Specification asks.
    """
    stated = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (stated if stated.is_absolute() else Path.home() / ".cache") / "catalens"
