"""TREC run files: one line a ranked document, `query Q0 document rank score tag`, fields parted by blanks; and the
judgements beside them (qrels), `query 0 document grade`.

Source: the trec_eval README, https://github.com/usnistgov/trec_eval. Its tools order by the score alone and put equal
scores in descending order of document id; the rank column is theirs to ignore. Here equal scores stand in the order
of the rank column, so that a run that was written with ties reads back as it was.
"""

import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import quote, unquote

import numpy as np

from retrieval.errors import SourceError, StorageError
from retrieval.evaluation.types import Ranking, Task
from retrieval.index.base import NO_ID

Run = Mapping[str, Mapping[str, float]]
"""Query id -> document id -> score, best first."""

_ENCODED = ";ids=percent-encoded"
_BLANK = re.compile(r"\s")
_BLANK_OR_PERCENT = re.compile(r"[\s%]")


def write_run(path: Path, task: Task, ranking: Ranking, tag: str) -> None:
    """Write a ranking to `path`, over what was there; blanks in `tag` become underscores.

    An id with a blank in it would break the format. If there is one, blanks and percent signs of all ids are
    percent-encoded (UTF-8), and the tag says so by ending in `;ids=percent-encoded`.
    Scores are written so that they read back as the same float32. If some do not descend, as after reranking, every
    score is 1 / rank instead: tools order by the score alone.
    Raises StorageError when the disk refuses.
    """
    tag = _BLANK.sub("_", tag) or "run"
    queries, documents = task.query_ids, task.document_ids
    if _must_encode(task):
        tag += _ENCODED
        queries, documents = tuple(map(_encode, queries)), tuple(map(_encode, documents))
    descending = bool((ranking.scores[:, 1:] <= ranking.scores[:, :-1]).all())
    try:
        with path.open("w", encoding="utf-8", errors="surrogateescape", newline="\n") as file:
            for query, row, scores in zip(queries, ranking.top, ranking.scores, strict=True):
                for rank, (position, score) in enumerate(zip(row.tolist(), scores, strict=True), start=1):
                    if position == NO_ID:
                        break
                    shown = _shortest(score if descending else np.float32(1 / rank))
                    file.write(f"{query} Q0 {documents[position]} {rank} {shown} {tag}\n")
    except OSError as error:
        raise StorageError(
            f"{path} cannot be written: {error.strerror or error}", hint="give another path, or make room"
        ) from error


def write_qrels(path: Path, task: Task) -> None:
    """Write the judgements of a task to `path`, over what was there, in the order of its queries.

    Ids are percent-encoded exactly when `write_run` encodes those of the run.
    Raises StorageError when the disk refuses.
    """
    written = _encode if _must_encode(task) else str
    try:
        with path.open("w", encoding="utf-8", errors="surrogateescape", newline="\n") as file:
            for query in task.query_ids:
                for document, grade in task.qrels.get(query, {}).items():
                    file.write(f"{written(query)} 0 {written(document)} {grade}\n")
    except OSError as error:
        raise StorageError(
            f"{path} cannot be written: {error.strerror or error}", hint="give another path, or make room"
        ) from error


def read_run(path: Path) -> Run:
    """Read a run, each query's documents by score, equal scores by the rank column.

    Raises SourceError when the file is missing or empty, a line is no run line, or a query names a document twice.
    """
    found: dict[str, list[tuple[float, int, str]]] = {}
    for number, query, document, rank, score in _lines(path):
        try:
            entry = (-float(score), int(rank), document)
        except ValueError:
            entry = (math.nan, 0, document)
        if math.isnan(entry[0]):
            raise SourceError(
                f"{path}, line {number}: rank '{rank}' and score '{score}' are not both numbers",
                hint="a run line is: query Q0 document rank score tag",
            )
        found.setdefault(query, []).append(entry)
    if not found:
        raise SourceError(f"{path} holds no run lines", hint="give a file of lines: query Q0 document rank score tag")
    run = {query: {document: -lowest for lowest, _, document in sorted(rows)} for query, rows in found.items()}
    for query, rows in found.items():
        double = len(rows) - len(run[query])
        if double:
            raise SourceError(
                f"{path}: query '{query}' names {double:,} document{'s' * (double != 1)} more than once",
                hint="a run names each document of a query once; mend the tool that wrote it",
            )
    return run


def _lines(path: Path) -> Iterator[tuple[int, str, str, str, str]]:
    """(line number, query, document, rank, score), ids decoded where the tag says that they are encoded."""
    try:
        with path.open(encoding="utf-8", errors="surrogateescape") as file:
            for number, line in enumerate(file, start=1):
                fields = line.split()
                if not fields:
                    continue
                if len(fields) != 6:
                    raise SourceError(
                        f"{path}, line {number}: {len(fields)} fields instead of 6",
                        hint="a run line is: query Q0 document rank score tag",
                    )
                query, _, document, rank, score, tag = fields
                if tag.endswith(_ENCODED):
                    query, document = _decode(query), _decode(document)
                yield number, query, document, rank, score
    except OSError as error:
        raise SourceError(
            f"{path} cannot be read: {error.strerror or error}", hint="give the path of a TREC run file"
        ) from error


def _must_encode(task: Task) -> bool:
    return any(map(_BLANK.search, task.query_ids)) or any(map(_BLANK.search, task.document_ids))


def _encode(name: str) -> str:
    return _BLANK_OR_PERCENT.sub(lambda match: quote(match[0], safe=""), name)


def _decode(name: str) -> str:
    return unquote(name, errors="surrogateescape")


def _shortest(score: np.float32) -> str:
    """The shortest decimal that reads back as this float32: `0.31` and not `0.3100000023841858`."""
    return np.format_float_positional(score, unique=True, trim="-")
