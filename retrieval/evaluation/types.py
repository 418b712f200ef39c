"""The values that evaluation passes around: what is judged, what was answered, and what that is worth."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from retrieval.arrays import FloatArray, IdArray

Direction = Literal["text_to_image", "image_to_text", "image_to_image", "text_to_text"]
Qrels = Mapping[str, Mapping[str, int]]
"""Judgements: query id -> document id -> grade; a grade of 1 or more is relevant, a document that is missing is not."""


@dataclass(frozen=True)
class EvaluationImage:
    """read gives the file's bytes; path is where a person can look at it, None inside an archive."""

    image_id: str
    read: Callable[[], bytes]
    path: Path | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class EvaluationText:
    """language: a BCP 47 tag such as `zh`, or empty when the set does not say."""

    text_id: str
    text: str
    language: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Task:
    """One direction of a set: every query is ranked against all documents. Ids are those of the set's entries."""

    direction: Direction
    query_ids: tuple[str, ...]
    document_ids: tuple[str, ...]
    qrels: Qrels


@dataclass(frozen=True)
class EvaluationSet:
    """images and texts have unique ids, each kind for itself. notes: what a reader should know, with counts."""

    name: str
    images: tuple[EvaluationImage, ...]
    texts: tuple[EvaluationText, ...]
    tasks: tuple[Task, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Ranking:
    """The answer to a task, one row a query in the task's order.

    top: int64 [queries, depth], positions in the task's document_ids, best first, -1 where there are fewer.
    scores: float32 [queries, depth], cosine similarities, -inf where there are fewer.
    ranks: for each query the ranks (from 1, ascending) of its relevant documents that were ranked at all.
    Ties: equal scores stand in the order of document_ids (the document that the set names first wins).
    """

    top: IdArray
    scores: FloatArray
    ranks: Sequence[npt.NDArray[np.int64]]


@dataclass(frozen=True)
class TaskResult:
    """figures: measure -> mean over the queries. per_query: measure -> float64 [queries].

    intervals: measure -> (low, high), bootstrap 95 %. slices: attribute -> value -> (number of queries, figures).
    """

    task: Task
    ranking: Ranking
    figures: Mapping[str, float]
    per_query: Mapping[str, npt.NDArray[np.float64]]
    intervals: Mapping[str, tuple[float, float]]
    slices: Mapping[str, Mapping[str, tuple[int, Mapping[str, float]]]] = field(default_factory=dict)
