"""Reads some attributes of many items from lines of JSON, by pyarrow where their types hold still.

pyarrow reads five times as fast as Python's json module, but wants to know each field's type beforehand and refuses any
other value. So the types are those of the blocks before, and a block that is refused is read by Python.
"""

import io
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa


def parsed(lines: Sequence[str], names: Sequence[str]) -> dict[str, Sequence[Any]]:
    """Values of these attributes from JSON objects, None where an object has no such attribute."""
    objects = json.loads(f"[{','.join(lines)}]")  # one call takes a third of the time of many
    return {name: [each.get(name) for each in objects] for name in names}


class AttributeReader:
    """Reads the same attributes from block after block."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names
        # As the catalogue writes keys. Where that is nowhere nothing is parsed, which spares most of a misspelt name.
        self._written = {name: json.dumps(name) for name in names}
        self._types: dict[str, pa.DataType | None] = dict.fromkeys(names)

    def read(self, lines: str) -> dict[str, Sequence[Any]]:
        """Values by attribute, of one JSON object a line: lists, or pyarrow arrays with null where there is none."""
        there = [name for name in self._names if self._written[name] in lines]
        missing = [name for name in self._names if name not in there]
        absent: dict[str, Sequence[Any]] = dict.fromkeys(missing, [None] * (lines.count("\n") + 1)) if missing else {}
        return {**absent, **self._read(lines, there)} if there else absent

    def _read(self, lines: str, names: Sequence[str]) -> dict[str, Sequence[Any]]:
        if all(self._types[name] for name in names):
            found = self._read_typed(lines, names)
            if found is not None:
                return found
        values = parsed(lines.split("\n"), names)
        for name in names:
            self._types[name] = _type_of(values[name]) or self._types[name]
        return values

    def _read_typed(self, lines: str, names: Sequence[str]) -> dict[str, Sequence[Any]] | None:
        import pyarrow as pa
        import pyarrow.json as pj

        content = lines.encode()
        try:
            table = pj.read_json(
                io.BytesIO(content),
                read_options=pj.ReadOptions(use_threads=False, block_size=len(content) + 1),
                parse_options=pj.ParseOptions(
                    explicit_schema=pa.schema([(name, self._types[name]) for name in names]),
                    unexpected_field_behavior="ignore",
                ),
            )
        except (pa.ArrowInvalid, UnicodeEncodeError):  # the latter: half of a surrogate pair in a name
            return None
        return {name: table[name].combine_chunks() for name in names}


def _type_of(values: Sequence[Any]) -> "pa.DataType | None":
    """The type of the values that are there; None if there are none, or of several types."""
    import pyarrow as pa

    types = set(map(type, values)) - {type(None)}
    if types and types <= {int, float}:
        return pa.float64()
    if types == {list}:
        return pa.list_(pa.large_string())
    return {bool: pa.bool_(), str: pa.large_string()}.get(next(iter(types))) if len(types) == 1 else None
