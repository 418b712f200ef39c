"""What a source of items gives: the seam between a folder, a catalogue file and the indexer."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

PROGRAM_KIND = "program"  # of the source whose items no file names: see `indexer/items`


@dataclass(frozen=True)
class SourceItem:
    """One catalogue entry as the source states it; nothing is decoded yet.

    item_id: the caller's own id, unique in a collection.
    title: one line of text; may be empty.
    texts: further texts worth embedding, by field name (`description`).
    attributes: all other columns; values are str, int, float, bool, None or a list of str.
    photos: absolute paths in the source's order; they may not exist.
    problems: photos that the source names but refuses, each as (photo as written, reason).
    where: where it stands, for messages, such as `products.csv line 17`.
    """

    item_id: str
    title: str
    photos: tuple[Path, ...]
    texts: Mapping[str, str] = field(default_factory=dict)
    attributes: Mapping[str, Any] = field(default_factory=dict)
    problems: tuple[tuple[str, str], ...] = ()
    where: str = ""


@dataclass(frozen=True)
class Rejected:
    """An entry that cannot become an item, with the reason: it is recorded and reported, and the run goes on.

    unreadable: True where the entry could not be read at all (a malformed line, an open quote, a name that is not
        UTF-8), so that nobody knows which stored items it stood for and none may be taken for removed because of it;
        False where it was read and then refused (a duplicate id, nothing in it).
    """

    where: str
    reason: str
    unreadable: bool = False


class Source(Protocol):
    """Something that lists items. Opening one checks that it exists, is readable and has the columns asked for."""

    @property
    def kind(self) -> str:
        """`folder` or `table`."""
        ...

    @property
    def location(self) -> Path:
        """Absolute path of the folder or file; the same location is the same source in the next run."""
        ...

    def count(self) -> int:
        """How many photos `items` will name, about: for the progress bar only."""
        ...

    def items(self) -> Iterator[SourceItem | Rejected]:
        """All entries in a stable order, read as a stream; each call starts anew."""
        ...

    def remarks(self) -> list[str]:
        """How the source was understood, a sentence each; complete when `items` has ended."""
        ...
