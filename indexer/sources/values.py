"""Cells as typed values: what a CSV column's text means, and what JSON's and Parquet's own types become."""

import datetime
import decimal
import html
import json
import math
import re
from collections.abc import Mapping
from typing import Any, Literal

# At most 15 digits: more do not survive a double, and are ids. No leading zeros ("0012") and no plus sign either.
_INT = re.compile(r"-?(?:0|[1-9][0-9]{0,14})").fullmatch
_FLOAT = re.compile(r"-?(?:0|[1-9][0-9]{0,14})?\.[0-9]+(?:[eE][-+]?[0-9]{1,2})?").fullmatch
_BOOLS = {"true": True, "yes": True, "false": False, "no": False}
PHOTO_SEPARATORS = "|;\r\n"  # between the photos that one cell of text names
_TAG = re.compile(r"</?[A-Za-z][^<>]*>")
_SQLITE_INT = 2**63


class TextColumn:
    """What one pass over a column of text learns: the type that fits every cell, and how many cells are filled.

    A column is int, float or bool only if all of its filled cells are; otherwise its cells stay text as written.
    `nan` fits any of the three and means nothing there.
    """

    __slots__ = ("filled", "kind", "parts")

    def __init__(self) -> None:
        self.kind: Literal["empty", "int", "float", "bool", "text"] = "empty"
        self.filled = 0
        self.parts = 0  # separators between paths, so that `filled + parts` photos are named if it names photos

    def observe(self, cell: str) -> None:
        """Takes a stripped cell that is not blank."""
        self.filled += 1
        if self.kind != "text":
            self._narrow(cell)
        if self.kind == "text":  # paths are text
            self.parts += photo_separators(cell)

    def _narrow(self, cell: str) -> None:
        lowered = cell.lower()
        if lowered == "nan":
            return
        if lowered in _BOOLS:
            self.kind = "bool" if self.kind in ("empty", "bool") else "text"
        elif self.kind == "bool":
            self.kind = "text"
        elif _INT(cell):
            self.kind = "int" if self.kind == "empty" else self.kind
        elif _FLOAT(cell):
            self.kind = "float"
        else:
            self.kind = "text"

    def value(self, cell: str) -> str | int | float | bool | None:
        """The stripped cell as the column's type; blank is None."""
        if not cell:
            return None
        if self.kind == "text":
            return cell
        if self.kind == "bool":
            return _BOOLS.get(cell.lower())
        if cell.lower() == "nan":
            return None
        try:
            return int(cell) if self.kind == "int" else float(cell)
        except ValueError:  # the file has changed since the column was learnt
            return cell


def photo_separators(cell: str) -> int:
    """How many more photos than one the cell names if it names photos, about: a run of separators counts each."""
    return sum(map(cell.count, PHOTO_SEPARATORS))


def native(value: Any) -> str | int | float | bool | list[str] | None:
    """A JSON or Parquet value as an attribute.

    Dates become ISO 8601 text, decimals floats, lists of scalars lists of text, anything nested JSON text;
    blank text, NaN, infinities and bytes become None.
    """
    if isinstance(value, str):
        return value.strip() or None
    if isinstance(value, list) and not any(isinstance(part, list | tuple | Mapping) for part in value):
        return [text for part in value if (text := as_text(part))]
    if isinstance(value, list | tuple | Mapping):
        return _nested(value)
    return _scalar(value)


def _scalar(value: Any) -> str | int | float | bool | None:
    result: str | int | float | bool | None
    match value:
        case None | bytes():
            result = None
        case bool():
            result = value
        case int():
            result = value if -_SQLITE_INT <= value < _SQLITE_INT else str(value)
        case float() | decimal.Decimal():
            result = float(value) if math.isfinite(value) else None
        case datetime.date() | datetime.time():
            result = value.isoformat()
        case _:
            result = str(value)
    return result


def _nested(value: Any) -> str | None:
    try:
        return json.dumps(value, ensure_ascii=False, default=native)
    except RecursionError:  # a thousand levels deep says nothing about a product
        return None


def as_text(value: Any) -> str:
    """Any cell as stripped text, for an id or a title: 7.0 is `7`, of a list the first that is not blank."""
    simple = native(value)
    match simple:
        case None:
            return ""
        case bool():
            return str(simple).lower()
        case float() if simple.is_integer():
            return str(int(simple))
        case list():
            return next(iter(simple), "")
        case _:
            return str(simple)


def as_prose(value: Any) -> str:
    """A description as plain text: HTML tags out, entities resolved; the parts of a list follow each other."""
    parts = value if isinstance(value, list) else [value]
    joined = "\n".join(filter(None, map(as_text, parts)))
    if "<" in joined or "&" in joined:
        joined = html.unescape(_TAG.sub(" ", joined))
    return joined.strip()


def facets(cell: str) -> dict[str, str | list[str]] | None:
    """`colour:red|colour:blue|brand:Acme` -> {"colour": ["red", "blue"], "brand": "Acme"}; None if not of that form."""
    found: dict[str, list[str]] = {}
    for part in cell.split("|"):
        key, colon, value = (piece.strip() for piece in part.partition(":"))
        if not (key and colon and value):
            return None
        found.setdefault(key, []).append(value)
    return {key: values if len(values) > 1 else values[0] for key, values in found.items()}
