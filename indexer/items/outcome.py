"""What became of each item that a program put or deleted."""

from dataclasses import dataclass
from typing import Literal

What = Literal["added", "updated", "unchanged", "failed", "deleted", "not_found"]


@dataclass(frozen=True)
class ItemOutcome:
    """problems: why it failed, each a short reason; such an item keeps what was stored of it."""

    item_id: str
    outcome: What
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class Written:
    """One outcome for each item, in the order given.

    revision: of the collection with these changes in it. upkeep_due: the index or the calibrations should be made
    anew, which `upkeep` does.
    """

    outcomes: tuple[ItemOutcome, ...]
    revision: int
    upkeep_due: bool = False
