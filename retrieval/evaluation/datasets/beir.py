"""A BEIR folder: corpus.jsonl, queries.jsonl, and qrels/test.tsv (one file a split) or qrels.tsv.

    corpus.jsonl    {"_id": "d1", "title": "…", "text": "…", "image": "images/d1.jpg"}
    queries.jsonl   {"_id": "q1", "text": "a dog in the snow"}
    qrels/test.tsv  query-id<tab>corpus-id<tab>score

BEIR itself is text only. An entry is an image if it has a path in `image`, `image_path` or `img_path`, in the entry or
in its `metadata`; its title and text are then not used. Queries may be images in the same way. All entries of a file
must be of one kind. A text is `title`, a blank and `text`, as BEIR's own dense models read it. Texts and numbers
in `metadata` are attributes.

Only judged queries ask, and all of the corpus answers, as in BEIR. Between images and texts the judgements are read
backwards too, for the other direction.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from retrieval.errors import EvaluationError
from retrieval.evaluation.datasets.choices import choose_split, no_choice
from retrieval.evaluation.datasets.common import Options, check_unique, json_objects, located, malformed, set_name
from retrieval.evaluation.datasets.judged import Entry, judged_only, judged_set
from retrieval.evaluation.datasets.qrels import read_beir
from retrieval.evaluation.types import EvaluationSet, EvaluationText, Qrels

_IMAGE_KEYS = ("image", "image_path", "img_path")


def is_beir(folder: Path) -> bool:
    """Whether a folder is one of BEIR's."""
    return (folder / "corpus.jsonl").is_file() and (folder / "queries.jsonl").is_file()


def read(path: Path, options: Options) -> EvaluationSet:
    """The set in one split. Raises EvaluationError."""
    no_choice(language=options.language, of=path.name)
    split, qrels = _qrels(path, options.split)
    corpus, dropped, notes = _entries(path / "corpus.jsonl", options)
    queries, no_query, more = _entries(path / "queries.jsonl", options)
    kept = {
        query: {document: grade for document, grade in grades.items() if document not in dropped}
        for query, grades in qrels.items()
        if query not in no_query
    }
    return judged_set(set_name(path, split), path, judged_only(queries, kept), corpus, kept, notes=[*notes, *more])


def _qrels(folder: Path, asked: str) -> tuple[str, Qrels]:
    files = {file.stem: file for file in sorted((folder / "qrels").glob("*.tsv"))}
    if not files and (folder / "qrels.tsv").is_file():
        files = {"": folder / "qrels.tsv"}
    if not files:
        raise EvaluationError(
            f"{folder} has neither qrels/*.tsv nor qrels.tsv", hint="BEIR keeps its judgements there."
        )
    qrels = {split: read_beir(file) for split, file in files.items()}
    split = choose_split(asked, {name: len(found) for name, found in qrels.items()}, of=folder.name)
    return split, qrels[split]


def _entries(path: Path, options: Options) -> tuple[list[Entry], set[str], list[str]]:
    """The entries of one file, the ids of those whose image is missing, and notes."""
    values = []
    bad = []
    for number, value in json_objects(path):
        if isinstance(value.get("_id"), str) and value["_id"]:
            values.append(value)
        else:
            bad.append(f"line {number}: it has no text in `_id`")
    if bad:
        raise malformed(path, bad)
    check_unique([value["_id"] for value in values], "entries", path)
    named = {value["_id"]: name for value in values if (name := _image(value))}
    if not named:
        return _texts(path, values), set(), []
    if len(named) < len(values):
        raise EvaluationError(
            f"{len(named):,} of {len(values):,} entries of {path.name} have an image, the others have none",
            hint="All entries of a file must be images, or none: mixed kinds cannot be ranked together fairly.",
        )
    found, notes = located(list(named.values()), path, options)
    entries: list[Entry] = [
        replace(found[named[value["_id"]]], image_id=value["_id"], attributes=_attributes(value))
        for value in values
        if named[value["_id"]] in found
    ]
    return entries, {name for name, image in named.items() if image not in found}, notes


def _image(value: Mapping[str, Any]) -> str:
    metadata = value.get("metadata")
    for place in (value, metadata if isinstance(metadata, dict) else {}):
        for key in _IMAGE_KEYS:
            if isinstance(place.get(key), str) and place[key]:
                return str(place[key])
    return ""


def _texts(path: Path, values: list[dict[str, Any]]) -> list[Entry]:
    texts = []
    for value in values:
        text = " ".join(part for key in ("title", "text") if (part := str(value.get(key) or "").strip()))
        texts.append(EvaluationText(value["_id"], text, attributes=_attributes(value)))
    if blank := [f"{text.text_id!r} has neither a text nor an image" for text in texts if not text.text]:
        raise malformed(path, blank)
    return list(texts)


def _attributes(value: Mapping[str, Any]) -> dict[str, str]:
    metadata = value.get("metadata")
    cells = metadata.items() if isinstance(metadata, dict) else ()
    return {key: str(cell) for key, cell in cells if key not in _IMAGE_KEYS and isinstance(cell, str | int | float)}
