"""JSON lines: one object a line, with JSON's own types."""

import codecs
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from indexer.sources.base import Rejected
from indexer.sources.rows import Row, unique_headers, unreadable, without_rows
from indexer.sources.values import native, photo_separators
from retrieval.errors import SourceError


class JsonLinesReader:
    """Rows of a `.jsonl` file in UTF-8. One pass when it is made collects the keys; no row is kept."""

    unit = "line"

    def __init__(self, path: Path) -> None:
        """Raises SourceError for a file that is empty, unreadable, one array, or has no line that is an object."""
        self._path = path
        self._named: dict[str, int] = {}
        rejected = 0
        if self._is_array():
            raise SourceError(f"{path} is one JSON array", hint="write it as JSON lines: one object a line")
        for row in self.rows():
            if isinstance(row, Rejected):
                rejected += 1
                continue
            for name, cell in row.cells.items():
                self._named[name] = self._named.get(name, 0) + _parts(cell)
        if rejected and not self._named:
            raise SourceError(f"no line of {path} is a JSON object", hint="write one object a line")
        if not self._named:
            raise without_rows(path)
        self.columns: Sequence[str] = list(self._named)

    def rows(self) -> Iterator[Row | Rejected]:
        try:
            with self._path.open("rb") as file:
                for number, line in enumerate(file, start=1):
                    if not line.strip():
                        continue
                    try:
                        yield Row(number, _cells(line))
                    except (ValueError, RecursionError) as error:
                        reason = f"not a JSON object: {error}"
                        yield Rejected(f"{self._path.name} line {number}", reason, unreadable=True)
        except OSError as error:
            raise unreadable(self._path, error) from error

    def _is_array(self) -> bool:
        try:
            with self._path.open("rb") as file:
                return file.read(1024).removeprefix(codecs.BOM_UTF8).lstrip().startswith(b"[")
        except OSError as error:
            raise unreadable(self._path, error) from error

    def attribute(self, column: str, cell: Any) -> Any:  # noqa: ARG002 (JSON's types need no column)
        return native(cell)

    def photos_named(self, column: str) -> int:
        return self._named[column]


def _cells(line: bytes) -> dict[str, Any]:
    value = json.loads(line.decode("utf-8-sig"))
    if not isinstance(value, dict):
        raise ValueError(f"it is {type(value).__name__}")
    if b"\\ud" in line.lower():  # a lone surrogate is valid JSON, but no database takes it
        json.dumps(value, ensure_ascii=False).encode()
    return {name: cell for name, cell in zip(unique_headers(value), value.values(), strict=True) if name}


def _parts(cell: Any) -> int:
    if isinstance(cell, list):
        return len(cell)
    return 1 + photo_separators(cell) if isinstance(cell, str) else int(cell is not None)
