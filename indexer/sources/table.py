"""A catalogue file as a source: rows become items, with the rows below that only continue them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from indexer.sources.base import Rejected, SourceItem
from indexer.sources.columns import map_columns
from indexer.sources.names import one_spelling, title_from_file_name
from indexer.sources.photos import PhotoFinder, RefusedPhoto
from indexer.sources.rows import RowReader
from indexer.sources.values import as_prose, as_text, facets

_LONGEST_SHOWN = 300  # characters of a refused photo: a `data:` URL may have millions


@dataclass
class _Draft:
    """An item that the rows below may still add photos to."""

    item_id: str
    title: str
    number: int
    cells: Mapping[str, Any]
    photos: dict[Path, None] = field(default_factory=dict)  # ordered, each once
    problems: dict[str, str] = field(default_factory=dict)


class TableSource:
    """The items of a CSV, JSON lines or Parquet file.

    A row belongs to the item above it if it repeats that item's id without a title, or has neither id nor title:
    its photos are added, the rest of it (a variant's size and price) is not kept. Every other row must have an id
    of its own. Without an id column the first photo, as written, is the id; without a title the words of its
    file name are the title.

    Ids seen are kept as 8-byte hashes with their line: about 120 MB per million items. Nothing else grows.
    """

    kind = "table"

    def __init__(
        self,
        path: Path,
        reader: RowReader,
        *,
        images_dir: Path | None = None,
        id_column: str | None = None,
        image_column: str | None = None,
        title_column: str | None = None,
    ) -> None:
        """Raises SourceError for a column given that does not exist, or if no column names photos."""
        self.location = one_spelling(path)
        self._reader = reader
        self._finder = PhotoFinder(self.location.parent, images_dir)
        self.columns = map_columns(
            reader.columns,
            file_name=path.name,
            id_column=id_column,
            image_column=image_column,
            title_column=title_column,
        )
        self._continuations = 0
        self._attributes = [name for name in reader.columns if name not in self.columns.used]

    def count(self) -> int:
        """Photos named in the file, about."""
        return sum(map(self._reader.photos_named, self.columns.images))

    def remarks(self) -> list[str]:
        """Which columns were taken for what, and how many rows only continued the item above."""
        found = self.columns
        parts = {
            "id": found.id or "the photo's path",
            "title": found.title or "the photo's file name",
            "photos": ", ".join(found.images),
            "text": ", ".join(found.descriptions),
        }
        columns = ", ".join(f"{part} from {column}" for part, column in parts.items() if column)
        remarks = [f"{self.location.name}: {columns}; all other columns are attributes"]
        if self._continuations:
            remarks.append(
                f"{self.location.name}: {self._continuations:,} rows only continue the item above them: their photos "
                "are its photos, the rest of them is not kept"
            )
        return remarks

    def items(self) -> Iterator[SourceItem | Rejected]:
        self._continuations = 0
        first_seen: dict[int, int] = {}
        draft: _Draft | None = None
        id_above = ""
        above = torn = False  # a row stands above; the one right above could not be read
        for row in self._reader.rows():
            if isinstance(row, Rejected):
                above = torn = True
                yield row
                continue
            if not any(row.cells.values()):
                continue
            names = [name for column in self.columns.images for name in self._finder.names(row.cells.get(column))]
            title = self._title(row.cells)
            item_id = self._item_id(row.cells, names)
            if above and self._continues(item_id, title, names, id_above):
                if draft and (item_id or not torn):  # one that repeats the id belongs to it, whatever lies between
                    self._add_photos(draft, names)
                    self._continuations += 1
                    torn = False
                else:
                    yield Rejected(self._where(row.number), "continues a row that was refused")
                continue
            if draft:
                yield self._item(draft)
            draft = None
            above, torn = True, False
            reason = self._refusal(item_id, title, names, first_seen)
            if item_id and (title or names):
                id_above = item_id
            if reason:
                yield Rejected(self._where(row.number), reason)
                continue
            first_seen[hash(item_id)] = row.number
            draft = _Draft(item_id, title or title_from_file_name(names[0]), row.number, row.cells)
            self._add_photos(draft, names)
        if draft:
            yield self._item(draft)

    def _title(self, cells: Mapping[str, Any]) -> str:
        return " ".join(as_text(cells.get(self.columns.title)).split()) if self.columns.title else ""

    def _item_id(self, cells: Mapping[str, Any], names: list[str]) -> str:
        if self.columns.id:
            return as_text(cells.get(self.columns.id))
        return names[0].replace("\\", "/") if names else ""

    def _continues(self, item_id: str, title: str, names: list[str], id_above: str) -> bool:
        if title:
            return False
        if item_id:
            return item_id == id_above
        # Where no row has a title, a missing id is a mistake and not a sign.
        return not names or self.columns.title is not None

    def _refusal(self, item_id: str, title: str, names: list[str], first_seen: Mapping[int, int]) -> str | None:
        """Why the row cannot be an item; None if it can."""
        if not item_id:
            return f"no id in column {self.columns.id!r}" if self.columns.id else "neither an id nor a photo"
        if hash(item_id) in first_seen:
            first = f"duplicate id {item_id!r}, first on {self._reader.unit} {first_seen[hash(item_id)]}; "
            if title:
                return first + "rows need their own ids: choose another column with --id-column"
            return first + "rows of one item must stand together, or choose another column with --id-column"
        if not title and not names:
            return "neither a title nor a photo"
        return None

    def _add_photos(self, draft: _Draft, names: list[str]) -> None:
        for name in names:
            try:
                draft.photos[self._finder.find(name)] = None
            except RefusedPhoto as refused:
                draft.problems[name[:_LONGEST_SHOWN]] = str(refused)

    def _item(self, draft: _Draft) -> SourceItem:
        named = draft.cells.get(self.columns.title) if self.columns.title else None
        prose = [as_prose(named[1:])] if isinstance(named, list) else []  # a list of captions: the first is the title
        prose += [as_prose(draft.cells.get(column)) for column in self.columns.descriptions]
        description = "\n".join(dict.fromkeys(filter(None, prose)))
        return SourceItem(
            item_id=draft.item_id,
            title=draft.title,
            photos=tuple(draft.photos),
            texts={"description": description} if description else {},
            attributes=self._typed(draft.cells),
            problems=tuple(draft.problems.items()),
            where=self._where(draft.number),
        )

    def _typed(self, cells: Mapping[str, Any]) -> dict[str, Any]:
        attributes: dict[str, Any] = {}
        expanded: dict[str, str | list[str]] = {}
        for column in self._attributes:
            cell = cells.get(column)
            found = facets(cell) if column.casefold() == "facets" and isinstance(cell, str) else None
            if found:
                expanded = found
            else:
                attributes[column] = self._reader.attribute(column, cell)
        return {**expanded, **attributes}

    def _where(self, number: int) -> str:
        return f"{self.location.name} {self._reader.unit} {number}"
