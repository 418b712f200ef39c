"""Queries, documents and judgements become an evaluation set: one place that checks them, whatever the format."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from retrieval.errors import EvaluationError
from retrieval.evaluation.datasets.common import check_unique, malformed, some
from retrieval.evaluation.types import Direction, EvaluationImage, EvaluationSet, EvaluationText, Qrels, Task
from retrieval.photo_paths import is_unicode

Entry = EvaluationImage | EvaluationText

_DIRECTIONS: Mapping[tuple[bool, bool], Direction] = {
    (False, True): "text_to_image",
    (True, False): "image_to_text",
    (True, True): "image_to_image",
    (False, False): "text_to_text",
}


def judged_set(
    name: str,
    path: Path,
    queries: Sequence[Entry],
    documents: Sequence[Entry],
    qrels: Qrels,
    *,
    backwards: bool = True,
    notes: Iterable[str] = (),
) -> EvaluationSet:
    """A set whose queries are ranked against all documents, and across kinds also back.

    queries, documents: all images or all texts, each for itself. path: where it was read, for messages.
    qrels: query id -> document id -> grade. Queries with nothing relevant ask nothing and are counted in the notes,
    because most measures have no value for them; on the way back they stay documents, as do queries not judged.
    backwards: between images and texts, documents with something relevant also query the queries, with the same
    grades: the captions' convention.

    Raises EvaluationError for duplicate ids, text that is not Unicode, judgements of unknown ids, and if no query is
    left.
    """
    query_ids, document_ids = [_id(entry) for entry in queries], [_id(entry) for entry in documents]
    direction = _DIRECTIONS[_is_image(queries), _is_image(documents)]
    both = direction in ("text_to_image", "image_to_text")
    query_kind, document_kind = ("queries", "documents") if not both else _kinds(direction)
    check_unique(query_ids, query_kind, path)
    check_unique(document_ids, document_kind, path)
    if not both:
        check_unique([*query_ids, *document_ids], "queries and documents together", path)
    _check_unicode([*queries, *documents], path)
    _check_known(qrels, set(query_ids), set(document_ids), path)
    relevant = {query: found for query, grades in qrels.items() if (found := _relevant(grades))}
    asking = tuple(query for query in query_ids if query in relevant)
    tasks = [Task(direction, asking, tuple(document_ids), {query: qrels[query] for query in asking})]
    if not asking:
        raise EvaluationError(
            f"{path.name} has no query with a relevant document", hint="Check that the judgements have grades above 0."
        )
    if both and backwards:
        tasks.append(_back(tasks[0], query_ids, relevant))
    said = [*notes]
    if nothing := len(qrels) - len(relevant):
        said.append(f"{nothing:,} of {len(qrels):,} judged queries have nothing relevant and ask nothing")
    if unjudged := sum(query not in qrels for query in query_ids):
        said.append(f"{unjudged:,} of {len(query_ids):,} {query_kind} are not judged and ask nothing")
    entries = [*queries, *documents]
    return EvaluationSet(
        name=name,
        images=tuple(entry for entry in entries if isinstance(entry, EvaluationImage)),
        texts=tuple(entry for entry in entries if isinstance(entry, EvaluationText)),
        tasks=tuple(tasks),
        notes=tuple(said),
    )


def judged_only(queries: Sequence[Entry], qrels: Qrels) -> list[Entry]:
    """The queries that this split judges: a file of queries serves all splits."""
    return [entry for entry in queries if _id(entry) in qrels]


def merged_texts(
    entries: Iterable[tuple[EvaluationText, Iterable[str]]],
) -> tuple[list[EvaluationText], dict[str, dict[str, int]], int]:
    """Texts that say the same (but for case and blanks) become the first of them, relevant to what any is relevant to.

    Of its attributes it keeps those that are the same in all of them: a slice must hold for every entry in it.

    entries: texts with the ids of what they are relevant to. Gives the texts, their qrels with grade 1, and how many
    of the texts stand for several entries.
    """
    texts: dict[str, EvaluationText] = {}
    qrels: dict[str, dict[str, int]] = {}
    shared: set[str] = set()
    for text, documents in entries:
        key = _folded(text.text)
        first = texts.setdefault(key, text)
        if first is not text:
            shared.add(key)
            texts[key] = replace(first, attributes=agreed(first.attributes, text.attributes))
        qrels.setdefault(first.text_id, {}).update(dict.fromkeys(documents, 1))
    return list(texts.values()), qrels, len(shared)


def agreed(first: Mapping[str, str], second: Mapping[str, str]) -> dict[str, str]:
    """Those of the first attributes that the second ones have too, equal but for case and blanks."""
    return {name: value for name, value in first.items() if name in second and _folded(second[name]) == _folded(value)}


def _folded(text: str) -> str:
    return " ".join(text.split()).casefold()


def _back(task: Task, query_ids: Sequence[str], relevant: Qrels) -> Task:
    inverse: dict[str, dict[str, int]] = {}
    for query, grades in relevant.items():
        for document, grade in grades.items():
            inverse.setdefault(document, {})[query] = grade
    return Task(
        "image_to_text" if task.direction == "text_to_image" else "text_to_image",
        tuple(document for document in task.document_ids if document in inverse),
        tuple(query_ids),
        inverse,
    )


def _check_known(qrels: Qrels, queries: set[str], documents: set[str], path: Path) -> None:
    judged = {document for grades in qrels.values() for document in grades}
    for unknown, total, what in (
        ([query for query in qrels if query not in queries], len(qrels), "queries"),
        (sorted(judged - documents), len(judged), "documents"),
    ):
        if unknown:
            raise EvaluationError(
                f"{len(unknown):,} of {total:,} {what} that {path.name} judges do not exist: {some(unknown)}",
                hint="Check that the judgements and the data belong together.",
            )


def _check_unicode(entries: Sequence[Entry], path: Path) -> None:
    """A lone surrogate is valid in JSON, but no report can be written with it and no tokenizer takes it."""
    broken = [
        ascii(_id(entry))
        for entry in entries
        if not is_unicode(_id(entry)) or (isinstance(entry, EvaluationText) and not is_unicode(entry.text))
    ]
    if broken:
        raise malformed(path, [f"{name}: not valid Unicode" for name in broken])


def _relevant(grades: Mapping[str, int]) -> dict[str, int]:
    return {document: grade for document, grade in grades.items() if grade >= 1}


def _is_image(entries: Sequence[Entry]) -> bool:
    return isinstance(entries[0], EvaluationImage) if entries else False


def _kinds(direction: Direction) -> tuple[Literal["images", "texts"], Literal["images", "texts"]]:
    return ("texts", "images") if direction == "text_to_image" else ("images", "texts")


def _id(entry: Entry) -> str:
    return entry.image_id if isinstance(entry, EvaluationImage) else entry.text_id
