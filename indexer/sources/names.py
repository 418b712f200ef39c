"""File names: their one spelling, and the words they are made of."""

import os
import re
from pathlib import Path, PurePosixPath

_JOINTS = re.compile(r"[\s_+-]+")


def one_spelling(path: Path) -> Path:
    """The path as absolute, without `..`: one source must not count as two because it was named in two ways."""
    return Path(os.path.abspath(path))  # noqa: PTH100 (absolute() keeps `..`, resolve() follows links)


def title_from_file_name(path: str) -> str:
    """The file name without suffix, with `_`, `-` and `+` as blanks: `shop/red_dress-03.jpg` -> `red dress 03`."""
    stem = PurePosixPath(path.replace("\\", "/")).stem
    return _JOINTS.sub(" ", stem).strip() or stem
