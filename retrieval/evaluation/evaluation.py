"""What comes of an evaluation, whole."""

from collections.abc import Mapping
from dataclasses import dataclass

from retrieval.evaluation.reranked import Reranking
from retrieval.evaluation.types import Direction, EvaluationSet, TaskResult


@dataclass(frozen=True)
class Evaluation:
    """The results of one model on one set, by direction. search: how answers were found, such as `exact`.

    reranking: what a reranker would make of these results, if one was asked for.
    """

    dataset: EvaluationSet
    model: str
    fingerprint: str
    search: str
    results: Mapping[Direction, TaskResult]
    seconds: float = 0.0
    reranking: Reranking | None = None
