"""File names: whether one can be stored, and the words it is made of."""

import re
from pathlib import PurePosixPath

_JOINTS = re.compile(r"[\s_+-]+")


def title_from_file_name(path: str) -> str:
    """The file name without suffix, with `_`, `-` and `+` as blanks: `shop/red_dress-03.jpg` -> `red dress 03`."""
    stem = PurePosixPath(path.replace("\\", "/")).stem
    return _JOINTS.sub(" ", stem).strip() or stem


def is_unicode(name: str) -> bool:
    """False for a name whose bytes are not UTF-8: Python holds them as lone surrogates, which no database takes."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
