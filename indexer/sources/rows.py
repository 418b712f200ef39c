"""The rows of a catalogue file, whatever its format."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from indexer.sources.base import Rejected
from retrieval.errors import SourceError


@dataclass(frozen=True)
class Row:
    """number: of its first line, or of the row, from 1. cells: by column, as the format gives them."""

    number: int
    cells: Mapping[str, Any]


class RowReader(Protocol):
    """Reads one format as a stream. Making one checks that the file is of the format and has a row."""

    @property
    def unit(self) -> str:
        """What `Row.number` counts: `line` or `row`."""
        ...

    @property
    def columns(self) -> Sequence[str]:
        """The named headers as `unique_headers` gives them, in the file's order."""
        ...

    def rows(self) -> Iterator[Row | Rejected]:
        """All rows from the start; a row that cannot be read is Rejected and the reading goes on."""
        ...

    def attribute(self, column: str, cell: Any) -> Any:
        """The cell as a typed attribute: str, int, float, bool, None or a list of str."""
        ...

    def photos_named(self, column: str) -> int:
        """How many photos the column names if it names photos, about."""
        ...


def unique_headers(written: Iterable[str]) -> list[str]:
    """Headers on one line with single blanks, and `name 2` for the second `name`.

    A column without a header stays unnamed (an empty string) and is not read.
    """
    taken: set[str] = set()
    headers = []
    for text in written:
        name = unique = " ".join(text.split())
        number = 2
        while unique and unique in taken:
            unique, number = f"{name} {number}", number + 1
        taken.add(unique)
        headers.append(unique)
    return headers


def unreadable(path: Path, error: Exception) -> SourceError:
    """The error for a file that the system, or its own damage, does not let us read."""
    reason = (getattr(error, "strerror", None) or str(error) or type(error).__name__).splitlines()[0]
    return SourceError(f"cannot read {path}: {reason}", hint="check that the file is whole and who may read it")


def without_rows(path: Path) -> SourceError:
    """The error for a table that has a header at most."""
    return SourceError(f"{path} has no rows", hint="write one line per item below the header")
