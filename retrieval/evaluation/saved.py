"""An evaluation kept in a file, one JSON line a query, so that it can be looked into and compared with a later one.

The first line says what was judged: {"dataset", "model", "fingerprint", "search", "documents": {direction: [ids]}}.
Each further line is a query: {"direction", "query_id", "query", "relevant": {id: grade}, "first_id", "first",
"first_score", "right_id", "right", "rank", "figures": {measure: value}}; null where there is none, and for an infinite
rank.
"""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np

from retrieval.errors import SourceError, StorageError
from retrieval.evaluation.evaluation import Evaluation
from retrieval.evaluation.measures import parse
from retrieval.evaluation.outcomes import outcome
from retrieval.evaluation.types import Direction, Ranking, Task, TaskResult
from retrieval.index.base import NO_ID


@dataclass(frozen=True)
class QueryLine:
    """query, first, right: texts as they are, pictures by their id. right: the best ranked right answer, if known.

    rank: of the right answer, from 1; None when it was not ranked. figures: measure -> value of this query; an
    infinite rank is None.
    """

    direction: Direction
    query_id: str
    query: str
    relevant: Mapping[str, int]
    first_id: str | None
    first: str | None
    first_score: float | None
    right_id: str | None
    right: str | None
    rank: int | None
    figures: Mapping[str, float | None]


@dataclass(frozen=True)
class SavedEvaluation:
    """results: as they were judged, without intervals and slices; of each ranking the first answer and the rank of the
    best right one are left. queries: direction -> query id -> line.
    """

    dataset: str
    model: str
    fingerprint: str
    search: str
    results: Mapping[Direction, TaskResult]
    queries: Mapping[Direction, Mapping[str, QueryLine]]


def save(path: Path, evaluation: Evaluation) -> None:
    """Write the file, over what was there. Raises StorageError when the disk refuses."""
    head = {
        "dataset": evaluation.dataset.name,
        "model": evaluation.model,
        "fingerprint": evaluation.fingerprint,
        "search": evaluation.search,
        "documents": {direction: result.task.document_ids for direction, result in evaluation.results.items()},
    }
    try:
        with path.open("w", encoding="utf-8", newline="\n") as file:
            # All ASCII: an id from a file name can hold bytes that are no UTF-8, and must come back as it is.
            file.write(json.dumps(head) + "\n")
            for line in _lines(evaluation):
                file.write(json.dumps(asdict(line)) + "\n")
    except OSError as error:
        raise StorageError(
            f"{path} cannot be written: {error.strerror or error}", hint="give another path, or make room"
        ) from error


def load(path: Path) -> SavedEvaluation:
    """Read it back. Raises SourceError, which names the line, for what is no such file."""
    try:
        with path.open(encoding="utf-8") as file:
            rows = [_parsed(path, number, line) for number, line in enumerate(file, start=1)]
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
        raise SourceError(f"{path} cannot be read: {reason}", hint=_HINT) from error
    try:
        head, *lines = rows
        queries: dict[Direction, dict[str, QueryLine]] = {direction: {} for direction in head["documents"]}
        for line in (QueryLine(**row) for row in lines):
            queries[line.direction][line.query_id] = line
        results = {
            direction: _result(direction, head["documents"][direction], list(found.values()))
            for direction, found in queries.items()
        }
        return SavedEvaluation(
            dataset=head["dataset"],
            model=head["model"],
            fingerprint=head["fingerprint"],
            search=head["search"],
            results=results,
            queries=queries,
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SourceError(f"{path} is no saved evaluation", hint=_HINT) from error


_HINT = "give a file that catalens eval --out wrote"


def _lines(evaluation: Evaluation) -> Iterator[QueryLine]:
    words = {text.text_id: text.text for text in evaluation.dataset.texts}
    for direction, result in evaluation.results.items():
        asked = words if direction.startswith("text") else {}
        answered = words if direction.endswith("text") else {}
        for row, query in enumerate(result.task.query_ids):
            one = outcome(result, row)
            right = one.right_ids[0] if one.right_ids else None
            yield QueryLine(
                direction=direction,
                query_id=query,
                query=asked.get(query, query),
                relevant={name: grade for name, grade in result.task.qrels.get(query, {}).items() if grade >= 1},
                first_id=one.first_id,
                first=answered.get(one.first_id or "", one.first_id),
                first_score=one.first_score,
                right_id=right,
                right=answered.get(right or "", right),
                rank=one.rank,
                figures={name: _finite(values[row]) for name, values in result.per_query.items()},
            )


def _parsed(path: Path, number: int, line: str) -> dict[str, Any]:
    try:
        return cast(dict[str, Any], json.loads(line))
    except ValueError as error:
        raise SourceError(f"{path}, line {number} is no JSON", hint=_HINT) from error


def _result(direction: Direction, documents: Sequence[str], lines: Sequence[QueryLine]) -> TaskResult:
    measures = list(dict.fromkeys(name for line in lines for name in line.figures))
    per_query = {
        name: np.array([math.inf if line.figures[name] is None else line.figures[name] for line in lines], np.float64)
        for name in measures
    }
    position = {name: at for at, name in enumerate(documents)}
    top = [position[line.first_id] if line.first_id is not None else NO_ID for line in lines]
    scores = [-math.inf if line.first_score is None else line.first_score for line in lines]
    return TaskResult(
        task=Task(
            direction=direction,
            query_ids=tuple(line.query_id for line in lines),
            document_ids=tuple(documents),
            qrels={line.query_id: line.relevant for line in lines},
        ),
        ranking=Ranking(
            top=np.array(top, np.int64)[:, None],
            scores=np.array(scores, np.float32)[:, None],
            ranks=[np.array([] if line.rank is None else [line.rank], np.int64) for line in lines],
        ),
        figures={name: parse(name).figure(values) for name, values in per_query.items()},
        per_query=per_query,
        intervals={},
    )


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
