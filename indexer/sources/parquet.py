"""Parquet, read batch by batch."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from indexer.sources.base import Rejected
from indexer.sources.rows import Row, unique_headers, unreadable, without_rows
from indexer.sources.values import native

_BATCH = 1000


class ParquetReader:
    """Rows of a Parquet file with its own types; memory follows its largest row group.

    Columns of bytes, such as pictures inside the table, are not read.
    """

    unit = "row"

    def __init__(self, path: Path) -> None:
        """Raises SourceError for a file that is broken, unreadable or has no rows."""
        self._path = path
        with self._open() as file:
            self._row_count = int(file.metadata.num_rows)
            # pandas writes its row numbers as a column of this name.
            fields = [f for f in file.schema_arrow if not _holds_bytes(f.type) and f.name != "__index_level_0__"]
        headers = unique_headers(field.name for field in fields)
        self._fields = [field.name for field, header in zip(fields, headers, strict=True) if header]
        self.columns: Sequence[str] = [header for header in headers if header]
        if not self._row_count:
            raise without_rows(path)

    def rows(self) -> Iterator[Row | Rejected]:
        import pyarrow as pa

        number = 0
        with self._open() as file:
            try:
                for batch in file.iter_batches(batch_size=_BATCH, columns=self._fields):
                    for cells in batch.rename_columns(self.columns).to_pylist():
                        number += 1
                        yield Row(number, cells)
            # to_pylist raises the last two for dates that Python cannot hold.
            except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
                raise unreadable(self._path, error) from error

    def attribute(self, column: str, cell: Any) -> Any:  # noqa: ARG002 (Parquet's types need no column)
        return native(cell)

    def photos_named(self, column: str) -> int:  # noqa: ARG002 (one a row is near enough)
        return self._row_count

    def _open(self) -> Any:
        import pyarrow as pa
        from pyarrow import parquet

        try:
            return parquet.ParquetFile(self._path)
        except (pa.ArrowException, OSError, ValueError) as error:
            raise unreadable(self._path, error) from error


def _holds_bytes(arrow_type: Any) -> bool:
    from pyarrow import types

    if types.is_struct(arrow_type):
        return any(_holds_bytes(field.type) for field in arrow_type)
    return bool(
        types.is_binary(arrow_type) or types.is_large_binary(arrow_type) or types.is_fixed_size_binary(arrow_type)
    )
