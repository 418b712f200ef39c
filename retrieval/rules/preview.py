"""What rules would change, for a list of queries: the first k of each before and after, side by side."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal["entered", "left", "up", "down"]


@dataclass(frozen=True)
class Seen:
    """A hit as a preview needs it. rules: what touched it, such as `boosts[0] +0.03`."""

    item_id: str
    title: str
    score: float
    rules: tuple[str, ...] = ()


@dataclass(frozen=True)
class Change:
    """An item that stands elsewhere. before, after: its place, None where it is not among the first k.

    rules: what touched it, after or, for one that left, before; empty for one that only made room or moved up.
    """

    item_id: str
    title: str
    before: int | None
    after: int | None
    rules: tuple[str, ...]

    @property
    def kind(self) -> Kind:
        """What became of it."""
        if self.before is None:
            return "entered"
        if self.after is None:
            return "left"
        return "up" if self.after < self.before else "down"


@dataclass(frozen=True)
class QueryPreview:
    """One query. before, after: the first k; fired: paths of the rules that touch any; notes: what rules cannot do."""

    query: str
    before: tuple[Seen, ...]
    after: tuple[Seen, ...]
    fired: frozenset[str]
    notes: tuple[str, ...] = ()
    changes: tuple[Change, ...] = field(default=())


@dataclass(frozen=True)
class Preview:
    """All queries. silent: paths of the new rules that touch nothing in any of them."""

    k: int
    queries: tuple[QueryPreview, ...]
    silent: tuple[str, ...]

    @property
    def changed(self) -> tuple[QueryPreview, ...]:
        """The queries whose first k are others, or stand in another order."""
        return tuple(one for one in self.queries if one.changes)

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "k": self.k,
            "queries": len(self.queries),
            "changed": len(self.changed),
            "never_fire": list(self.silent),
            "changes": [
                {
                    "query": one.query,
                    "items": [
                        {
                            "item_id": change.item_id,
                            "title": change.title,
                            "change": change.kind,
                            "before": change.before,
                            "after": change.after,
                            "rules": list(change.rules),
                        }
                        for change in one.changes
                    ],
                    "notes": list(one.notes),
                }
                for one in self.queries
                if one.changes or one.notes
            ],
        }


def changes(
    before: Sequence[Seen], after: Sequence[Seen], touched: Callable[[str], tuple[str, ...]]
) -> tuple[Change, ...]:
    """What stands elsewhere: those of the new list in its order, then those that left it.

    touched: the rules that touch an item of this id that left the list, such as a hide.
    """
    places_before = {seen.item_id: place for place, seen in enumerate(before, start=1)}
    places_after = {seen.item_id: place for place, seen in enumerate(after, start=1)}
    moved = [
        Change(seen.item_id, seen.title, places_before.get(seen.item_id), place, seen.rules)
        for place, seen in enumerate(after, start=1)
        if places_before.get(seen.item_id) != place
    ]
    left = [
        Change(seen.item_id, seen.title, place, None, touched(seen.item_id))
        for place, seen in enumerate(before, start=1)
        if seen.item_id not in places_after
    ]
    return (*moved, *left)


def silent_rules(paths: Iterable[str], previews: Iterable[QueryPreview]) -> tuple[str, ...]:
    """Those of the paths that fire in no query, in their order."""
    fired = frozenset[str]().union(*(one.fired for one in previews))
    return tuple(path for path in dict.fromkeys(paths) if path not in fired)
