"""An evaluation as one JSON object: the figures by direction, and what is needed to trust them."""

import math
from collections.abc import Mapping
from typing import Any

from retrieval.evaluation.evaluation import Evaluation
from retrieval.evaluation.measures import aliases


def to_json(evaluation: Evaluation) -> dict[str, Any]:
    """JSON values only. Shares lie between 0 and 1, ranks start at 1; a rank that is infinite is null.

    `text_to_image` and the other directions that were judged stand at the top; `n_queries`, `intervals` (95 %, [low,
    high]), `aliases` (other tools' name -> name here) and `slices` (attribute -> value -> figures) go by direction.
    `reranking` is there if a reranker was tried.
    """
    results = evaluation.results
    return {
        "dataset": evaluation.dataset.name,
        "model": evaluation.model,
        "fingerprint": evaluation.fingerprint,
        "search": evaluation.search,
        "n_images": len(evaluation.dataset.images),
        "n_texts": len(evaluation.dataset.texts),
        "n_queries": {direction: len(result.task.query_ids) for direction, result in results.items()},
        **{direction: _figures(result.figures) for direction, result in results.items()},
        "intervals": {
            direction: {measure: [_finite(low), _finite(high)] for measure, (low, high) in result.intervals.items()}
            for direction, result in results.items()
        },
        "aliases": {direction: aliases(direction, result.figures) for direction, result in results.items()},
        "slices": {
            direction: {
                attribute: {
                    value: {"n_queries": queries, **_figures(figures)} for value, (queries, figures) in values.items()
                }
                for attribute, values in result.slices.items()
            }
            for direction, result in results.items()
        },
        "notes": list(evaluation.dataset.notes),
        "seconds": round(evaluation.seconds, 3),
        **({"reranking": evaluation.reranking.to_json()} if evaluation.reranking else {}),
    }


def _figures(figures: Mapping[str, float]) -> dict[str, float | None]:
    return {measure: _finite(value) for measure, value in figures.items()}


def _finite(value: float) -> float | None:
    """JSON has no infinity; NumPy's floats become Python's."""
    return float(value) if math.isfinite(value) else None
