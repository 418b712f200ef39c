"""The filter of a query: parsed, printed, sent as JSON."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from retrieval.filters import json_form
from retrieval.filters.expression import Expression, join
from retrieval.filters.grammar import read


@dataclass(frozen=True)
class Filter:
    """Which items may be found. Hashable; `str` is its canonical text, which parses to an equal filter."""

    root: Expression

    @classmethod
    def parse(cls, text: str) -> "Filter":
        """The filter that a text means (grammar: `retrieval/filters/grammar.py`). Raises FilterError."""
        return cls(read(text))

    @classmethod
    def from_json(cls, value: str | Mapping[str, Any]) -> "Filter":
        """A filter from its text or from JSON values, as `to_json` gives them. Raises FilterError."""
        return cls.parse(value) if isinstance(value, str) else cls(json_form.from_json(value))

    def to_json(self) -> dict[str, Any]:
        """{"and": [{"field": "price", "<": 50}, …]}."""
        return self.root.to_json()

    @cached_property
    def fields(self) -> tuple[str, ...]:
        """Names of the fields that are compared, in order, each once."""
        return tuple(dict.fromkeys(leaf.field for leaf in self.root.comparisons))

    def __and__(self, other: "Filter") -> "Filter":
        return Filter(join("and", [self.root, other.root]))

    def __str__(self) -> str:
        return self.root.text
