"""The judgements of a task as arrays over its rows: which documents are relevant to which query."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from retrieval.arrays import IdArray
from retrieval.errors import EvaluationError
from retrieval.evaluation.types import Task

SHOWN = 3
"""Ids that a message names; the count says how many more there are."""


@dataclass(frozen=True)
class Relevance:
    """The relevant documents (grade 1 or more) of all queries, one after the other; query i's are at `of(i)`.

    bounds: int64 [queries + 1]. documents: int64 [relevant pairs], positions in the task's document_ids, ascending
    within a query. grades: int64 [relevant pairs].
    """

    bounds: IdArray
    documents: IdArray
    grades: IdArray

    @property
    def counts(self) -> IdArray:
        """int64 [queries], relevant documents of each query; may be 0."""
        return np.diff(self.bounds)

    @property
    def owners(self) -> IdArray:
        """int64 [relevant pairs], the query that each pair belongs to."""
        return np.repeat(np.arange(len(self.bounds) - 1), self.counts)

    def of(self, query: int) -> slice:
        """Where query's documents and grades stand."""
        return slice(int(self.bounds[query]), int(self.bounds[query + 1]))

    @classmethod
    def of_task(cls, task: Task) -> "Relevance":
        """Raises EvaluationError, with counts, when ids are double or the judgements name one that the task has not."""
        refuse_duplicates("query", task.query_ids)
        refuse_duplicates("document", task.document_ids)
        position = {name: row for row, name in enumerate(task.document_ids)}
        _refuse_unknown("queries", task.qrels, set(task.query_ids))
        _refuse_unknown("documents", dict.fromkeys(name for row in task.qrels.values() for name in row), set(position))
        bounds, documents, grades = [0], list[int](), list[int]()
        for query in task.query_ids:
            judged = task.qrels.get(query, {})
            pairs = sorted((position[name], grade) for name, grade in judged.items() if grade >= 1)
            documents.extend(document for document, _ in pairs)
            grades.extend(grade for _, grade in pairs)
            bounds.append(len(documents))
        return cls(_integers(bounds), _integers(documents), _integers(grades))


def clusters(relevance: Relevance) -> IdArray:
    """int64 [queries], the number of each query's cluster, from 0 without gaps.

    Queries whose relevant documents are the very same set stand or fall together, such as the five captions of one
    photo. A query without relevant documents is a cluster of its own. Sets that only overlap are different clusters:
    joining those too would chain most queries of a densely judged set into one.
    """
    numbers: dict[bytes | int, int] = {}
    found = []
    for query in range(len(relevance.counts)):
        documents = relevance.documents[relevance.of(query)]
        found.append(numbers.setdefault(documents.tobytes() or query, len(numbers)))
    return _integers(found)


def refuse_duplicates(kind: str, ids: Sequence[str]) -> None:
    """Raises EvaluationError when an id occurs twice."""
    counts = Counter(ids)
    double = [name for name, count in counts.items() if count > 1]
    if not double:
        return
    raise EvaluationError(
        f"{len(double):,} of {len(counts):,} {kind} ids occur more than once: {named(double)}",
        hint="give every entry of the set an id of its own",
    )


def _refuse_unknown(kind: str, judged: Iterable[str], known: set[str]) -> None:
    unknown = [name for name in judged if name not in known]
    if unknown:
        raise EvaluationError(
            f"the judgements name {len(unknown):,} {kind} that the set does not have: {named(unknown)}",
            hint="a document that is missing changes every figure; complete the set or mend its judgements",
        )


def named(ids: Iterable[str]) -> str:
    """The first few ids in quotes, and how many more there are."""
    listed = list(ids)
    more = f" and {len(listed) - SHOWN:,} more" if len(listed) > SHOWN else ""
    return ", ".join(f"'{name}'" for name in listed[:SHOWN]) + more


def _integers(values: Sequence[int]) -> npt.NDArray[np.int64]:
    return np.array(values, dtype=np.int64)
