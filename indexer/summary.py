"""What an index run did, and how it says how far it is."""

from collections import Counter
from dataclasses import dataclass, field

from indexer.plan import Outcome

MAX_PROBLEMS = 1_000  # kept for the report; the ledger has them all


@dataclass(frozen=True)
class Progress:
    """stage: `photos` or `index`; done and total count photos (rows for `index`); total is an estimate."""

    stage: str
    done: int
    total: int


@dataclass
class Summary:
    """outcomes: photos (or items without any) by what became of them. removed: stored photos that are gone.

    embedded, embedded_texts: vectors computed. problems: (file or row, reason) of what failed or was skipped.
    rejected: entries that could not become an item; they count as skipped. taken_over: items that came from another
    catalogue before. notes: what else a person should know, each one sentence.
    """

    outcomes: Counter[Outcome] = field(default_factory=Counter)
    removed: int = 0
    embedded: int = 0
    embedded_texts: int = 0
    seconds: float = 0.0
    problems: list[tuple[str, str]] = field(default_factory=list)
    rejected: int = 0
    taken_over: int = 0
    notes: list[str] = field(default_factory=list)

    @property
    def fruitless(self) -> bool:
        """Did everything that the sources name fail?"""
        good = (Outcome.NEW, Outcome.CHANGED, Outcome.RENAMED, Outcome.UNCHANGED)
        tried = self.outcomes[Outcome.FAILED] + self.rejected
        return tried > 0 and not any(self.outcomes[outcome] for outcome in good)

    def count(self, outcome: Outcome, where: str = "", reason: str = "") -> None:
        """Count one photo; a reason is kept for the report."""
        self.outcomes[outcome] += 1
        if reason and len(self.problems) < MAX_PROBLEMS:
            self.problems.append((where, reason))

    def to_json(self) -> dict[str, int | float]:
        """The counts as `catalens index --json` prints them."""
        return {
            "new": self.outcomes[Outcome.NEW],
            "changed": self.outcomes[Outcome.CHANGED],
            "renamed": self.outcomes[Outcome.RENAMED],
            "removed": self.removed,
            "unchanged": self.outcomes[Outcome.UNCHANGED],
            "failed": self.outcomes[Outcome.FAILED],
            "skipped": self.outcomes[Outcome.SKIPPED],
            "embedded": self.embedded,
            "embedded_texts": self.embedded_texts,
            "seconds": round(self.seconds, 3),
        }
