"""In which encoding a text table is written, when nothing says so."""

import codecs
import re
from pathlib import Path

from retrieval.photo_paths import is_unicode

_BLOCK = 1 << 20
_GB18030_CHARACTER = re.compile(rb"[\x81-\xfe][\x30-\xfe]")
_FREQUENT_HANZI = re.compile(rb"[\xb0-\xd7][\xa1-\xfe]")


def table_encoding(path: Path) -> str:
    """`utf-16` or `utf-8-sig` where a byte order mark says so; otherwise what most of the lines are valid as.

    Only lines with non-ASCII bytes count. A few bad bytes do not make a UTF-8 file a Windows one: read as
    Windows-1252, all of its names and titles would change. Where most lines are not UTF-8, it is `gb18030`, Chinese
    Excel's, if that fits without an error and gives Chinese, and `cp1252` if not. Reads the file block by block.
    Raises OSError.
    """
    with path.open("rb") as file:
        start = file.read(len(codecs.BOM_UTF8))
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if start == codecs.BOM_UTF8 or _mostly_utf8(path):
        return "utf-8-sig"
    return "gb18030" if _is_chinese(path) else "cp1252"


def _mostly_utf8(path: Path) -> bool:
    lines = broken = 0
    with path.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
        while block := file.read(_BLOCK):
            if block.isascii():
                continue
            for line in block.splitlines():
                if not line.isascii():
                    lines += 1
                    broken += not is_unicode(line)
    return broken * 2 <= lines


def _is_chinese(path: Path) -> bool:
    """Whether the file is valid GB18030 and most characters of its first block are GB 2312's 3,755 frequent hanzi.

    Valid alone is not enough: so is the `Größe` of a Windows-1252 file. But its accented small letters start at E0,
    and the frequent hanzi end at D7.
    """
    decoder = codecs.getincrementaldecoder("gb18030")()
    with path.open("rb") as file:
        block = file.read(_BLOCK)
        characters = _GB18030_CHARACTER.findall(block)
        if sum(map(bool, map(_FREQUENT_HANZI.match, characters))) * 2 <= len(characters):
            return False
        try:
            while block:
                decoder.decode(block)
                block = file.read(_BLOCK)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return False
    return True
