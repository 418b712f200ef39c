"""Which attributes items have, and values of which types, found out from all their JSON.

pyarrow says what columns a piece of lines has in half the time that Python takes to look at every value, and without
the interpreter's lock. A piece that it refuses, such as one with a number and a text under one name, is read by Python.
"""

import io
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from retrieval.items.builder import is_value

# Lines times characters of one piece. A name takes 5 characters or more, and as a column 8 bytes in every line: 240 MB
# where every line has other names. 1,000 lines of 150 characters.
PIECE = 150_000_000


def attribute_types(blocks: Iterable[str]) -> dict[str, set[type]]:
    """Python types of the values by attribute, of one JSON object a line; float for any number.

    None, NaN, empty text and lists without a value are none, so an attribute of such alone is missing.
    """
    types: dict[str, set[type]] = {}
    for block in blocks:
        for lines in _pieces(block.split("\n")):
            found = _by_arrow(lines)
            for name, kind in _by_python(lines) if found is None else found:
                types.setdefault(name, set()).add(kind)
    return dict(sorted(types.items()))


def _pieces(lines: Sequence[str]) -> Iterator[list[str]]:
    piece: list[str] = []
    characters = 0
    for line in lines:
        characters += len(line)
        if piece and (len(piece) + 1) * characters > PIECE:
            yield piece
            piece, characters = [], len(line)
        piece.append(line)
    yield piece


def _by_python(lines: Sequence[str]) -> set[tuple[str, type]]:
    return {
        (name, float if type(value) is int else type(value))
        for row in json.loads(f"[{','.join(lines)}]")
        for name, value in row.items()
        if is_value(value)
    }


def _by_arrow(lines: Sequence[str]) -> set[tuple[str, type]] | None:
    import pyarrow as pa
    import pyarrow.json as pj

    content = "\n".join(lines).encode()
    try:
        table = pj.read_json(
            io.BytesIO(content), read_options=pj.ReadOptions(use_threads=False, block_size=len(content) + 1)
        )
    except pa.ArrowInvalid:
        return None
    columns = zip(table.schema.names, table.columns, strict=True)
    return {(name, _type(column.type)) for name, column in columns if any(map(_has_value, column.chunks))}


def _type(given: Any) -> type:
    import pyarrow.types as kinds

    if kinds.is_boolean(given):
        return bool
    if kinds.is_integer(given) or kinds.is_floating(given):
        return float
    if kinds.is_list(given):
        return list
    return dict if kinds.is_struct(given) else str  # texts that look like a time are made one


def _has_value(values: Any) -> bool:
    import pyarrow.compute as pc
    import pyarrow.types as kinds

    if kinds.is_null(values.type) or values.null_count == len(values):
        return False
    if kinds.is_list(values.type):
        return not kinds.is_null(values.type.value_type) and _has_value(values.flatten())
    if kinds.is_floating(values.type):
        return bool(pc.any(pc.invert(pc.is_nan(values))).as_py())
    return bool(pc.any(pc.not_equal(values, "")).as_py()) if kinds.is_string(values.type) else True
