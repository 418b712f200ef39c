"""The measures by name: `success@10`, `median_rank`."""

import difflib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from retrieval.errors import EvaluationError
from retrieval.evaluation.measures.average_precision import average_precision
from retrieval.evaluation.measures.base import Judged, Measure, Values
from retrieval.evaluation.measures.ndcg import ndcg
from retrieval.evaluation.measures.precision import precision
from retrieval.evaluation.measures.rank import first_rank
from retrieval.evaluation.measures.recall import recall
from retrieval.evaluation.measures.reciprocal_rank import reciprocal_rank
from retrieval.evaluation.measures.success import success

DEFAULT_MEASURES = ("success@1", "success@5", "success@10", "recall@10", "mrr@10", "ndcg@10", "median_rank")
MAX_CUTOFF = 1_000
"""What a ranking must hold a query grows with it: at 1,000 places and 25,000 queries 300 MB."""


@dataclass(frozen=True)
class _Family:
    of_queries: Callable[[Judged, float], Values]
    cutoff: Literal["needed", "possible", "none"] = "needed"
    summary: Literal["mean", "median"] = "mean"
    higher_is_better: bool = True


_FAMILIES: Mapping[str, _Family] = {
    "success": _Family(success),
    "recall": _Family(recall),
    "precision": _Family(precision),
    "mrr": _Family(reciprocal_rank, "possible"),
    "ndcg": _Family(ndcg),
    "map": _Family(average_precision, "possible"),
    "median_rank": _Family(first_rank, "none", "median", higher_is_better=False),
    "mean_rank": _Family(first_rank, "none", higher_is_better=False),
}


def parse(name: str) -> Measure:
    """The measure of that name; capitals do not matter. Raises EvaluationError that names the nearest."""
    wanted = name.strip().lower()
    family_name, at, cutoff = wanted.partition("@")
    family = _FAMILIES.get(family_name)
    if family is None:
        raise _unknown(name, family_name, cutoff)
    if (family.cutoff == "needed" and not at) or (family.cutoff == "none" and at):
        raise EvaluationError(
            f"the measure '{name}' needs a cutoff" if not at else f"the measure '{name}' takes no cutoff",
            hint=f"write {_example(family_name)}",
        )
    if not at:
        return Measure(wanted, None, family.of_queries, family.summary, family.higher_is_better)
    if not (cutoff.isascii() and cutoff.isdecimal() and len(cutoff) <= 9 and 1 <= int(cutoff) <= MAX_CUTOFF):
        raise EvaluationError(
            f"the measure '{name[:40]}' has no usable cutoff",
            hint=f"write a whole number from 1 to {MAX_CUTOFF:,} after the @, such as {_example(family_name)}",
        )
    k = int(cutoff)
    return Measure(f"{family_name}@{k}", k, family.of_queries, family.summary, family.higher_is_better)


def parse_all(names: Iterable[str]) -> tuple[Measure, ...]:
    """Each measure once, in order. Raises EvaluationError for an unknown one and for none at all."""
    measures = tuple({measure.name: measure for measure in map(parse, names)}.values())
    if not measures:
        raise EvaluationError("no measure was asked for", hint=f"name some, such as {', '.join(DEFAULT_MEASURES)}")
    return measures


def _example(family: str) -> str:
    return family if _FAMILIES[family].cutoff == "none" else f"{family}@10"


_OTHER_NAMES = {
    "r": "recall",
    "p": "precision",
    "rr": "mrr",
    "recip_rank": "mrr",
    "ap": "map",
    "hit_rate": "success",
    "hit": "success",
    "hits": "success",
    "medr": "median_rank",
    "meanr": "mean_rank",
}


def _unknown(name: str, family: str, cutoff: str) -> EvaluationError:
    """Names the measure that was probably meant, with the cutoff that was asked for."""
    near = _OTHER_NAMES.get(family) or next(iter(difflib.get_close_matches(family, _FAMILIES, n=1)), "")
    known = ", ".join(map(_example, _FAMILIES))
    if not near:
        return EvaluationError(f"there is no measure '{name}'", hint=f"the measures are {known}")
    k = cutoff if cutoff.isdecimal() and _FAMILIES[near].cutoff != "none" else ""
    meant = f"{near}@{k}" if k else _example(near)
    return EvaluationError(f"there is no measure '{name}'", hint=f"did you mean {meant}? The measures are {known}")
