"""What holds on the command line and over HTTP unless something else is said."""

from pathlib import Path

DEFAULT_COLLECTION = Path(".catalens")
