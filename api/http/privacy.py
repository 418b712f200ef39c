"""No path of the server's disk goes out: messages that people at a terminal need are told without them."""

import re
from collections.abc import Mapping
from pathlib import Path

# An absolute path of two parts or more. What stands before it must not be a part of a path or of a web address.
_PATH = re.compile(r"(?<![\w./:~-])(?:~|[A-Za-z]:)?[/\\](?:[^\s/\\'\"<>|:;,()]+[/\\])+[^\s/\\'\"<>|:;,()]*")


def without_paths(text: str, folders: Mapping[str, Path]) -> str:
    """A message with names in place of folders, and of any other absolute path its last part.

    folders: of collections, by their names.
    """
    for name, folder in sorted(folders.items(), key=lambda one: -len(str(one[1]))):
        for spelled in {str(folder), str(folder.resolve())}:
            if len(spelled) > 1:
                text = text.replace(spelled, name)
    return _PATH.sub(lambda found: re.split(r"[/\\]", found[0].rstrip("/\\"))[-1], text)


def model_name(name: str) -> str:
    """An encoder's name as it may be told: of one that was trained here only its folder's own name."""
    return Path(name).name if Path(name).expanduser().is_absolute() or Path(name).exists() else name
