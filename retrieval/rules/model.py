"""What a rules file says, once it is read. Paths are those of the lists in the file, for messages and hits."""

from dataclasses import dataclass
from functools import cached_property

from retrieval.catalogue.item_queries import ITEM_ID
from retrieval.filters import Filter
from retrieval.rules.expression import Expression
from retrieval.rules.words import QueryMatch

Phrase = tuple[str, ...]


@dataclass(frozen=True)
class Synonym:
    """Whoever asks for one of `terms` gets these texts besides, in the file's order."""

    path: str
    line: int
    terms: tuple[Phrase, ...]
    texts: tuple[str, ...]


@dataclass(frozen=True)
class Boost:
    """Adds to the score of the items of `when` (None: all) for the queries of `query` (None: all)."""

    path: str
    line: int
    add: Expression
    when: Filter | None = None
    query: QueryMatch | None = None


@dataclass(frozen=True)
class Pin:
    """Puts an item on a place, 1 being the first, or on the next that is free, for the queries of `query`."""

    path: str
    line: int
    query: QueryMatch
    item_id: str
    place: int


@dataclass(frozen=True)
class Hide:
    """Takes items out of the answers: those of `when`, or those named."""

    path: str
    line: int
    items: tuple[str, ...] = ()
    when: Filter | None = None
    query: QueryMatch | None = None


@dataclass(frozen=True)
class Rules:
    """All rules of a file."""

    synonyms: tuple[Synonym, ...] = ()
    boosts: tuple[Boost, ...] = ()
    pins: tuple[Pin, ...] = ()
    hides: tuple[Hide, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.lines)

    @property
    def lines(self) -> dict[str, int]:
        """The line of each rule by its path, in the order of the kinds and of the file."""
        rules: list[Synonym | Boost | Pin | Hide] = [*self.synonyms, *self.boosts, *self.pins, *self.hides]
        return {rule.path: rule.line for rule in rules}

    @cached_property
    def fields(self) -> tuple[str, ...]:
        """The fields of items that the rules read, each once."""
        read = [name for rule in self.boosts for name in sorted(rule.add.fields)]
        conditions = [*(rule.when for rule in self.boosts), *(rule.when for rule in self.hides)]
        read += [name for when in conditions if when is not None for name in when.fields]
        if self.pins or any(rule.items for rule in self.hides):
            read.append(ITEM_ID)
        return tuple(dict.fromkeys(read))
