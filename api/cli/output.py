"""Where commands print: results to stdout, everything else to stderr."""

import json
import sys
from collections.abc import Mapping
from typing import Any

from rich.console import Console

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)


def print_json(value: Mapping[str, Any]) -> None:
    """One object on stdout."""
    unicode = (sys.stdout.encoding or "").lower().startswith("utf")  # a Windows pipe has a code page
    sys.stdout.write(json.dumps(value, ensure_ascii=not unicode, indent=2, default=str) + "\n")
