"""CSV, TSV and their cousins, as people's programs really write them."""

import csv
import re
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from indexer.sources.base import Rejected
from indexer.sources.encodings import table_encoding
from indexer.sources.rows import Row, unique_headers, unreadable, without_rows
from indexer.sources.values import TextColumn
from retrieval.errors import SourceError
from retrieval.photo_paths import is_unicode

_DELIMITERS = (",", ";", "\t", "|")
_SAMPLE = 64 * 1024
_CONTROL = re.compile("[\x00-\x08\x0e-\x1f\x7f]")
_END = "\0end of file\0"


class DelimitedReader:
    """Rows of a text table whose first line has the headers.

    The delimiter is the one of `,` `;` tab `|` that cuts the first lines most evenly; the encoding is
    `table_encoding`'s, and rows of a UTF-8 file that are not UTF-8 are rejected, the others read.
    One pass when it is made learns every column's type; memory does not grow with the number of rows.
    """

    unit = "line"

    def __init__(self, path: Path) -> None:
        """Raises SourceError for a file that is empty, binary, unreadable or has no rows."""
        self._path = path
        try:
            self._encoding = table_encoding(path)
            with self._open() as file:
                sample = file.read(_SAMPLE)
        except OSError as error:
            raise unreadable(path, error) from error
        if not sample.strip():
            raise without_rows(path)
        # Random bytes are 12 % control characters; text has none, but one broken row is no reason to give up.
        if len(_CONTROL.findall(sample)) > len(sample) / 100 or _CONTROL.search(sample.lstrip().split("\n")[0]):
            raise SourceError(
                f"{path} is not a text table: it holds binary data", hint="export it as CSV, JSON lines or Parquet"
            )
        self._delimiter = _delimiter(sample)
        self._headers = self._read_headers()
        self.columns: Sequence[str] = [name for name in self._headers if name]
        self._types = {name: TextColumn() for name in self.columns}
        self._learn_types()

    def rows(self) -> Iterator[Row | Rejected]:
        headers = self._headers
        for number, cells in self._lines():
            if isinstance(cells, Rejected):
                yield cells
            else:
                yield Row(number, {name: cell for name, cell in zip(headers, cells, strict=True) if name})

    def attribute(self, column: str, cell: Any) -> Any:
        return self._types[column].value(cell)

    def photos_named(self, column: str) -> int:
        return self._types[column].filled + self._types[column].parts

    def _open(self) -> Any:
        # Bad bytes of UTF-8 become lone surrogates, by which their row is known; Windows-1252 has five unused bytes.
        errors = "surrogateescape" if self._encoding == "utf-8-sig" else "replace"
        return self._path.open(encoding=self._encoding, errors=errors, newline="")

    def _read_headers(self) -> list[str]:
        reason = "it is empty"
        for _, cells in self._records():
            if not isinstance(cells, Rejected):
                return unique_headers(cells)
            reason = cells.reason
            break
        raise SourceError(f"the first line of {self._path} is not a header: {reason}", hint="make it name the columns")

    def _learn_types(self) -> None:
        types = [self._types.get(name) for name in self._headers]
        any_row = False
        for _, cells in self._lines():
            any_row = True
            if isinstance(cells, Rejected):
                continue
            for column, cell in zip(types, cells, strict=True):
                if cell and column is not None:
                    column.observe(cell)
        if not any_row:
            raise without_rows(self._path)

    def _lines(self) -> Iterator[tuple[int, list[str] | Rejected]]:
        """(line, stripped cells, one per header) of all rows below the header."""
        width = len(self._headers)
        records = self._records()
        next(records, None)
        for number, cells in records:
            if isinstance(cells, Rejected):
                yield number, cells
                continue
            row = [cell.strip() for cell in cells]
            while len(row) > width and not row[-1]:
                row.pop()
            if len(row) != width:
                yield number, self._reject(number, f"{len(row)} cells where the header has {width}")
            elif "\0" in "".join(row):
                yield number, self._reject(number, "binary data")
            else:
                yield number, row

    def _records(self) -> Iterator[tuple[int, list[str] | Rejected]]:
        """(line, raw cells) of all records that are not blank lines, the header first."""
        try:
            with self._open() as file:
                reader = csv.reader(chain(file, [_END]), delimiter=self._delimiter, skipinitialspace=True)
                while True:
                    number = reader.line_num + 1
                    try:
                        cells = next(reader)
                    except csv.Error as error:
                        reason = f"cannot be read as far as line {reader.line_num}: {error}; is a quote left open?"
                        yield number, self._reject(number, reason)
                        continue
                    if cells == [_END]:
                        return
                    if cells and cells[-1].endswith(_END):  # the end of the file fell inside quotes
                        reason = f"a quote is left open: lines {number} to {reader.line_num - 1} are lost"
                        yield number, self._reject(number, reason)
                        return
                    if not is_unicode("".join(cells)):
                        yield number, self._reject(number, "holds bytes that are not UTF-8")
                    elif cells:
                        yield number, cells
        except OSError as error:
            raise unreadable(self._path, error) from error

    def _reject(self, number: int, reason: str) -> Rejected:
        return Rejected(f"{self._path.name} line {number}", reason, unreadable=True)


def _delimiter(sample: str) -> str:
    """The delimiter with which most records are as wide as the first; of equals the wider cut, then `,` first."""

    def evenness(delimiter: str) -> tuple[float, int]:
        lines = sample.splitlines(keepends=True)
        try:
            records = [cells for cells in csv.reader(lines, delimiter=delimiter, skipinitialspace=True) if cells]
        except csv.Error:
            return 0.0, 0
        if not records:
            return 0.0, 0
        width = len(records[0])
        if len(sample) == _SAMPLE and len(records) > 1:
            records.pop()  # cut off by the end of the sample
        return (sum(len(cells) == width for cells in records) / len(records) if width > 1 else 0.0), width

    return max(_DELIMITERS, key=evenness)
