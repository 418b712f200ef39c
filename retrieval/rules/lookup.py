"""Finds the rules that hold for a query by its words, so that thousands of rules for other queries cost it nothing."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Generic, Protocol, TypeVar

from retrieval.rules.words import QueryMatch


class ForQueries(Protocol):
    """A rule that holds for some queries, or with None for all."""

    @property
    def query(self) -> QueryMatch | None:
        """Which queries it is for."""
        ...


Rule = TypeVar("Rule", bound=ForQueries)


class Lookup(Generic[Rule]):
    """Rules by the queries that they are for."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._rules = rules
        self._always = [at for at, rule in enumerate(rules) if rule.query is None]
        self._equal: dict[tuple[str, ...], list[int]] = defaultdict(list)
        self._contained: dict[tuple[str, ...], list[int]] = defaultdict(list)
        for at, rule in enumerate(rules):
            if rule.query is not None:
                for words in rule.query.equal:
                    self._equal[words].append(at)
                for part in rule.query.contained:
                    self._contained[part].append(at)
        self._widths = sorted({len(part) for part in self._contained})

    def holding_for(self, words: tuple[str, ...]) -> tuple[Rule, ...]:
        """The rules that hold for a query of these words (`keys`), in the order in which they were given."""
        found = {*self._always, *self._equal.get(words, ())}
        for width in self._widths:
            for start in range(len(words) - width + 1):
                found.update(self._contained.get(words[start : start + width], ()))
        return tuple(self._rules[at] for at in sorted(found))
