"""What a rules file says, once it is read. Positions are those of the lists in the file, for messages and hits."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from retrieval.rules.expression import Attributes, Expression
from retrieval.rules.words import QueryMatch

Phrase = tuple[str, ...]


class Items(Attributes, Protocol):
    """All items of a collection at one revision, as rules read them."""

    def __len__(self) -> int: ...

    def positions(self, item_ids: Sequence[str]) -> npt.NDArray[np.int64]:
        """Where each of these items stands in the arrays; -1 for an id that the collection does not have."""
        ...


class Condition(Protocol):
    """A filter, read and not yet applied."""

    @property
    def fields(self) -> frozenset[str]:
        """The attributes that it reads."""
        ...

    def matching(self, items: Items) -> npt.NDArray[np.bool_]:
        """bool [n]: the items that it is true of."""
        ...


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
    when: Condition | None = None
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
    when: Condition | None = None
    query: QueryMatch | None = None


@dataclass(frozen=True)
class Rules:
    """All rules of a file."""

    synonyms: tuple[Synonym, ...] = ()
    boosts: tuple[Boost, ...] = ()
    pins: tuple[Pin, ...] = ()
    hides: tuple[Hide, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.synonyms or self.boosts or self.pins or self.hides)
