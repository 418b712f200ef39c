"""A catalogue as an evaluation set: its own titles, attributes or given queries ask, and the items' photos answer."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from indexer.sources import Rejected, Source, SourceItem
from indexer.sources.names import one_spelling, title_from_file_name
from retrieval.errors import EvaluationError
from retrieval.evaluation.datasets.common import image_file, malformed, set_name, some
from retrieval.evaluation.datasets.judged import agreed, judged_set, merged_texts
from retrieval.evaluation.datasets.qrels import grade_of
from retrieval.evaluation.datasets.table import rows
from retrieval.evaluation.types import EvaluationImage, EvaluationSet, EvaluationText

COLOURS = ("color", "colour", "base_color", "base_colour", "baseColour", "main_color", "main_colour")
TYPES = ("type", "product_type", "article_type", "articleType", "subcategory", "category")
"""Columns that queries from attributes are built from; the first that a catalogue has is used."""


@dataclass
class _Catalogue:
    """Items, the photos that are there by image id, and each item's photos as image ids.

    A photo has the attributes of its item; of several items, those that are the same in all.
    """

    items: list[SourceItem] = field(default_factory=list)
    images: dict[str, EvaluationImage] = field(default_factory=dict)
    photos: dict[str, list[str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def read_catalogue(
    source: Source,
    *,
    queries: Literal["title", "attributes"] | Path = "title",
    images_dir: Path | None = None,
    allow_missing: bool = False,
) -> EvaluationSet:
    """A set in which all photos of the catalogue answer.

    queries: what asks.
        title: every item's title for its own photos; photos ask back for titles. Items with equal titles (but for case
        and blanks) are one query, for which the photos of all of them are relevant.
        attributes: `<colour> <type>`, such as `navy blue shirts`, for the photos of all items that share both; photos
        ask back for it.
        a path: a CSV of query, item_id and, if wanted, grade (1 or more is relevant, 1 if there is no such column). A
        photo has the grade of its item, the highest if it belongs to several. Photos do not ask back.
    images_dir: the one that the source was opened with.
    allow_missing: leave out rows and photos that cannot be used, and say so in the notes, in place of an error.

    Text ids are item ids for titles and the query itself otherwise; image ids are paths relative to the catalogue.
    Raises EvaluationError, with counts.
    """
    catalogue = _load(source, images_dir, allow_missing=allow_missing)
    path = source.location
    texts: list[EvaluationText]
    qrels: Mapping[str, Mapping[str, int]]
    if isinstance(queries, Path):
        texts, qrels, notes = _given(queries, catalogue)
        asked = queries.name
    else:
        entries = _titles(source, catalogue) if queries == "title" else _attribute_queries(path, catalogue)
        texts, qrels, shared = merged_texts(entries)
        notes = [f"{shared:,} of {len(texts):,} queries stand for several items, whose photos are all relevant"]
        notes = notes if shared else []
        asked = "" if queries == "title" else queries
    return judged_set(
        set_name(path, asked),
        path,
        texts,
        list(catalogue.images.values()),
        qrels,
        backwards=not isinstance(queries, Path),
        notes=[*catalogue.notes, *notes],
    )


def _load(source: Source, images_dir: Path | None, *, allow_missing: bool) -> _Catalogue:
    folder = source.location if source.kind == "folder" else source.location.parent
    roots = [folder, one_spelling(images_dir)] if images_dir else [folder]
    catalogue = _Catalogue()
    rejected, refused, missing = [], [], []
    found: dict[Path, str] = {}
    for entry in source.items():
        if isinstance(entry, Rejected):
            rejected.append(f"{entry.where}: {entry.reason}")
            continue
        catalogue.items.append(entry)
        refused += [f"{entry.where}: {written} ({reason})" for written, reason in entry.problems]
        catalogue.photos[entry.item_id] = own = []
        attributes = _as_text(entry.attributes)
        for place in entry.photos:
            name = found.get(place) or _relative(place, roots)
            if place not in found and not os.path.isfile(place):  # noqa: PTH113 (is_file raises for names too long)
                missing.append(name)
                continue
            found[place] = name
            own.append(name)
            image = catalogue.images.get(name) or replace(image_file(name, place), attributes=attributes)
            if image.path != place:
                raise EvaluationError(f"{name} of {folder} and of {images_dir} are different photos with one name")
            catalogue.images[name] = replace(image, attributes=agreed(image.attributes, attributes))
    _refuse_or_note(source, catalogue, rejected, "entries of {} cannot be used", allow_missing=allow_missing)
    _refuse_or_note(source, catalogue, refused, "photos of {} are refused", allow_missing=allow_missing)
    _refuse_or_note(source, catalogue, missing, "photos of {} are missing", allow_missing=allow_missing)
    if without := sum(not own for own in catalogue.photos.values()):
        catalogue.notes.append(f"{without:,} of {len(catalogue.items):,} items have no photo and ask nothing")
    return catalogue


def _refuse_or_note(
    source: Source, catalogue: _Catalogue, examples: list[str], what: str, *, allow_missing: bool
) -> None:
    if not examples:
        return
    said = f"{len(examples):,} {what.format(source.location.name)}"
    if not allow_missing:
        raise EvaluationError(
            f"{said}: {some(examples)}",
            hint="Mend them, say with --images-dir where photos lie, or leave them out with --allow-missing.",
        )
    catalogue.notes.append(f"{said} and were left out")


def _relative(place: Path, roots: list[Path]) -> str:
    return next((place.relative_to(root).as_posix() for root in roots if place.is_relative_to(root)), str(place))


def _titles(source: Source, catalogue: _Catalogue) -> list[tuple[EvaluationText, list[str]]]:
    asking = [item for item in catalogue.items if catalogue.photos[item.item_id]]
    if source.kind == "folder":
        catalogue.notes.append("the titles are words of the file names")
    elif named := sum(item.title == title_from_file_name(item.photos[0].name) for item in asking):
        catalogue.notes.append(f"the titles of {named:,} of {len(catalogue.items):,} items are words of a file name")
    return [
        (
            EvaluationText(item.item_id, item.title, attributes=_as_text(item.attributes)),
            catalogue.photos[item.item_id],
        )
        for item in asking
    ]


def _attribute_queries(path: Path, catalogue: _Catalogue) -> list[tuple[EvaluationText, list[str]]]:
    there = {name for item in catalogue.items for name in item.attributes}
    colour = next((name for name in COLOURS if name in there), None)
    kind = next((name for name in TYPES if name in there), None)
    if colour is None or kind is None:
        raise EvaluationError(
            f"{path.name} has no column for the {'colour' if colour is None else 'type'} of an item",
            hint=f"Its attributes are {', '.join(sorted(there)) or 'none'}; wanted is one of "
            f"{', '.join(COLOURS if colour is None else TYPES)}. Or give queries of your own.",
        )
    entries, lacking = [], 0
    for item in catalogue.items:
        attributes = _as_text({name: item.attributes.get(name) for name in (colour, kind)})
        if len(attributes) < 2:
            lacking += 1
        elif photos := catalogue.photos[item.item_id]:
            text = f"{attributes[colour]} {attributes[kind]}"
            entries.append((EvaluationText(text, text, attributes=attributes), photos))
    if lacking:
        catalogue.notes.append(f"{lacking:,} of {len(catalogue.items):,} items have no {colour} or no {kind}")
    return entries


def _given(path: Path, catalogue: _Catalogue) -> tuple[list[EvaluationText], dict[str, dict[str, int]], list[str]]:
    texts: dict[str, EvaluationText] = {}
    qrels: dict[str, dict[str, int]] = {}
    bad, unknown, bare = [], [], 0
    judged = set()
    table = rows(path, ("query", "item_id"))
    for line, row in table:
        query, item_id = row["query"], row["item_id"]
        try:
            grade = grade_of(row.get("grade") or "1")
        except ValueError:
            bad.append(f"line {line}: the grade {row['grade'][:20]!r} is not a whole number up to 1,000")
            continue
        if (query, item_id) in judged:
            bad.append(f"line {line}: {query!r} and {item_id!r} stand there twice")
        judged.add((query, item_id))
        texts.setdefault(query, EvaluationText(query, query))
        grades = qrels.setdefault(query, {})
        photos = catalogue.photos.get(item_id)
        if photos is None:
            unknown.append(item_id)
            continue
        bare += not photos
        for photo in photos:
            grades[photo] = max(grade, grades.get(photo, grade))
    if bad:
        raise malformed(path, bad)
    if unknown:
        raise EvaluationError(
            f"{len(unknown):,} of {len(table):,} judgements in {path.name} name items that the catalogue "
            f"does not have: {some(dict.fromkeys(unknown))}",
            hint="Check that the queries and the catalogue belong together.",
        )
    notes = [f"{bare:,} of {len(table):,} judgements are of items without a photo and were left out"] if bare else []
    return list(texts.values()), qrels, notes


def _as_text(attributes: Mapping[str, Any]) -> dict[str, str]:
    """Attributes by which results can be sliced: those with one value."""
    return {name: str(cell) for name, cell in attributes.items() if isinstance(cell, str | int | float) and cell != ""}
