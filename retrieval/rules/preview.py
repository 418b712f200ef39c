"""What rules would change, for a list of queries: the first k of each before and after, side by side."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from retrieval.items import ItemTable
from retrieval.rules.attributes import positions
from retrieval.rules.ruleset import NO_RULES, ActiveRules, RuleSet

Kind = Literal["entered", "left", "up", "down"]


@dataclass(frozen=True)
class Seen:
    """A hit as a preview needs it. photo: its path; rules: what touched it, such as `boosts[0] +0.03`."""

    item_id: str
    title: str
    photo: str | None = None
    rules: tuple[str, ...] = ()


Search = Callable[[str, RuleSet], Sequence[Seen]]
"""The first hits of a query with some rules, best first."""


@dataclass(frozen=True)
class Change:
    """An item that stands elsewhere. before, after: its place, None where it is not among the first k.

    rules: what touches it now, or `no more …` what did before; empty for one that only made room or moved up.
    """

    item: Seen
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
    notes: tuple[str, ...]
    changes: tuple[Change, ...]


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
                            "item_id": change.item.item_id,
                            "title": change.item.title,
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


def preview_rules(
    search: Search, items: ItemTable, queries: Sequence[str], *, held: RuleSet, new: RuleSet, k: int
) -> Preview:
    """What changes for these queries when rules take the place of those that hold. Nothing is written.

    search: the first k hits of a query with some rules. items: of the collection, for what rules do to items that are
    not among the hits. held: the rules that hold now; new: those that would.
    """
    found = tuple(_previewed(search, items, query, held, new) for query in queries)
    fired = frozenset[str]().union(*(one.fired for one in found))
    return Preview(k, found, tuple(path for path in new.rules.lines if path not in fired))


def _previewed(search: Search, items: ItemTable, query: str, held: RuleSet, new: RuleSet) -> QueryPreview:
    before, after = search(query, held), search(query, new)
    bare = search(query, NO_RULES) if held else before  # or a rule that holds already would seem to do nothing
    rules_now, rules_then = new.for_query(query), held.for_query(query)
    ids = list(dict.fromkeys(seen.item_id for seen in (*before, *bare, *after)))
    place = dict(zip(ids, positions(items, ids).tolist(), strict=True))

    def touching(rules: ActiveRules, item_id: str) -> tuple[str, ...]:
        return rules.touched(items, place[item_id]) if place[item_id] >= 0 else ()

    said_now = {seen.item_id: seen.rules for seen in after}
    said_then = {seen.item_id: seen.rules for seen in before}

    def reasons(item_id: str) -> tuple[str, ...]:
        """What touches it now, or if nothing does, what did before."""
        now = said_now.get(item_id) or touching(rules_now, item_id)
        then = said_then.get(item_id) or touching(rules_then, item_id)
        return now or tuple(f"no more {rule}" for rule in then)

    touched = [rule for seen in after for rule in seen.rules]
    touched += [rule for seen in bare for rule in touching(rules_now, seen.item_id)]
    fired = frozenset(rule.partition(" ")[0] for rule in touched)
    moved = changes(before, after, reasons)
    return QueryPreview(query, tuple(before), tuple(after), fired, rules_now.notes(items), moved)


def changes(
    before: Sequence[Seen], after: Sequence[Seen], reasons: Callable[[str], tuple[str, ...]]
) -> tuple[Change, ...]:
    """What stands elsewhere: those of the new list in its order, then those that left it.

    reasons: the rules that moved an item, by its id.
    """
    places_before = {seen.item_id: place for place, seen in enumerate(before, start=1)}
    places_after = {seen.item_id: place for place, seen in enumerate(after, start=1)}
    moved = [(seen, places_before.get(seen.item_id), place) for place, seen in enumerate(after, start=1)]
    left = [(seen, place, None) for place, seen in enumerate(before, start=1) if seen.item_id not in places_after]
    return tuple(Change(seen, was, now, reasons(seen.item_id)) for seen, was, now in (*moved, *left) if was != now)
