"""The measures of a ranking, each with its definition in a file of its own."""

from retrieval.evaluation.measures.aliases import aliases
from retrieval.evaluation.measures.base import Judged, Measure
from retrieval.evaluation.measures.registry import DEFAULT_MEASURES, MAX_CUTOFF, parse, parse_all

__all__ = ["DEFAULT_MEASURES", "MAX_CUTOFF", "Judged", "Measure", "aliases", "parse", "parse_all"]
