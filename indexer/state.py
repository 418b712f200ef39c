"""What the planner is told: files as they are found, and what is stored about them."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from indexer.sources.base import SourceItem

MAX_ATTEMPTS = 3  # an unchanged file that failed this often is not read again; a changed one always is


@dataclass(frozen=True)
class FileStamp:
    """What tells without reading whether a file changed."""

    size: int
    mtime_ns: int
    ctime_ns: int


@dataclass(frozen=True)
class ObservedPhoto:
    """A photo as found on disk.

    content_hash: hex SHA-256; None where the stamp is the known one, or where the file cannot be read.
    problem: why it cannot be read. gone: there is no such file, in a folder that is there and holds others; a folder
    that is empty or missing may be a disk that is not mounted, and that must not empty the collection.
    """

    path: str
    stamp: FileStamp | None = None
    content_hash: str | None = None
    problem: str | None = None
    gone: bool = False


@dataclass(frozen=True)
class ObservedItem:
    """A source's item with the state of its files."""

    item: SourceItem
    photos: tuple[ObservedPhoto, ...]

    @property
    def row_hash(self) -> str:
        """16 hex digits over title, texts and attributes."""
        row = [self.item.title, dict(self.item.texts), dict(self.item.attributes)]
        return hashlib.sha256(json.dumps(row, sort_keys=True, default=str).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class KnownPhoto:
    """A stored photo.

    vector, tokens: as stored, no tokens where there are none. source_kind, ledger_id: of the entry that brought it.
    """

    photo_id: int
    item_key: int
    item_id: str
    path: str
    content_hash: str
    width: int
    height: int
    position: int = 0
    vector: bytes = b""
    source_kind: str = ""
    ledger_id: int | None = None
    tokens: bytes | None = None


@dataclass(frozen=True)
class KnownFile:
    """A ledger entry."""

    ledger_id: int
    source_id: int
    item_id: str
    path: str
    state: str
    reason: str
    attempts: int
    stamp: FileStamp | None


@dataclass(frozen=True)
class KnownItem:
    """A stored item with its photos by path and its texts by (field, content). source_kind: of its source."""

    item_key: int
    item_id: str
    source_id: int
    row_hash: str
    photos: Mapping[str, KnownPhoto] = field(default_factory=dict)
    texts: Mapping[tuple[str, str], int] = field(default_factory=dict)
    source_kind: str = ""


@dataclass(frozen=True)
class Known:
    """What is stored about a chunk of items: items by id, files by (item id, path), photos by content."""

    items: Mapping[str, KnownItem]
    files: Mapping[tuple[str, str], KnownFile]
    contents: Mapping[str, Sequence[KnownPhoto]]


def given_up(entry: KnownFile, stamp: FileStamp | None) -> bool:
    """Did this file fail often enough to leave it alone until it changes?"""
    return entry.attempts >= MAX_ATTEMPTS and entry.stamp == stamp
