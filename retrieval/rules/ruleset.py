"""The rules of a collection applied to a query: what it is searched with, what is added, taken out and put on top."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from threading import Lock

import numpy as np
import numpy.typing as npt

from retrieval.rules.model import Boost, Hide, Items, Pin, Rules
from retrieval.rules.synonyms import Rewrite, Synonyms, Term
from retrieval.rules.words import QueryMatch, keys

Scores = npt.NDArray[np.float32]
Flags = npt.NDArray[np.bool_]

MAX_BOOST = 1.0  # of a cosine, which is 1 at best: what is above is not a boost but a pin
SUMS_KEPT = 16  # sums of boosts held for the newest items, 4 bytes an item each


class _Evaluated:
    """What the rules come to for the items of one revision; each rule is evaluated once, 4 bytes an item a boost."""

    def __init__(self, items: Items, rules: Rules) -> None:
        self.items = items
        self.lock = Lock()
        self._boosts: dict[str, tuple[Scores, tuple[str, ...]]] = {}
        self._hides: dict[str, Flags] = {}
        self._sums: OrderedDict[tuple[str, ...], Scores] = OrderedDict()
        pinned = dict.fromkeys(rule.item_id for rule in rules.pins)
        self.pinned = dict(zip(pinned, items.positions(list(pinned)).tolist(), strict=True))

    def boost(self, rule: Boost) -> tuple[Scores, tuple[str, ...]]:
        if rule.path not in self._boosts:
            self._boosts[rule.path] = boost_values(rule, self.items)
        return self._boosts[rule.path]

    def hide(self, rule: Hide) -> Flags:
        if rule.path not in self._hides:
            self._hides[rule.path] = hidden_items(rule, self.items)
        return self._hides[rule.path]

    def sum(self, rules: Sequence[Boost]) -> Scores:
        paths = tuple(rule.path for rule in rules)
        if paths in self._sums:
            self._sums.move_to_end(paths)
            return self._sums[paths]
        total = np.zeros(len(self.items), dtype=np.float32)
        for rule in rules:
            total += self.boost(rule)[0]
        np.clip(total, -MAX_BOOST, MAX_BOOST, out=total)
        total.flags.writeable = False
        self._sums[paths] = total
        if len(self._sums) > SUMS_KEPT:
            self._sums.popitem(last=False)
        return total


def boost_values(rule: Boost, items: Items) -> tuple[Scores, tuple[str, ...]]:
    """float32 [n], within 1 either way, 0 where the rule says nothing; and notes on what had to be bent for that."""
    values, bad = rule.add.values(items, len(items))
    if rule.when is not None:
        chosen = rule.when.matching(items)
        values[~chosen] = 0
        bad &= chosen
    over = np.abs(values) > MAX_BOOST
    np.clip(values, -MAX_BOOST, MAX_BOOST, out=values)
    notes = []
    for which, said in (
        (bad, "is no finite number and counts as 0"),
        (over, f"is beyond {MAX_BOOST:g} and is cut off"),
    ):
        if number := int(np.count_nonzero(which)):
            items_word = "item" if number == 1 else "items"
            notes.append(f"{rule.path}: for {number:,} {items_word} `{rule.add.text}` {said}")
    return values, tuple(notes)


def hidden_items(rule: Hide, items: Items) -> Flags:
    """bool [n]: what the rule hides."""
    if rule.when is not None:
        return rule.when.matching(items)
    hidden = np.zeros(len(items), dtype=np.bool_)
    found = items.positions(rule.items)
    hidden[found[found >= 0]] = True
    return hidden


class RuleSet:
    """All rules of a collection. Immutable but for what it remembers of the newest items; safe in many threads.

    version: of the collection's rules, 0 for none.
    """

    def __init__(self, rules: Rules, version: int = 0) -> None:
        self.rules = rules
        self.version = version
        self._synonyms = Synonyms(rules.synonyms)
        self._evaluated: _Evaluated | None = None

    def __bool__(self) -> bool:
        return bool(self.rules)

    def for_query(self, words: str | None) -> "ActiveRules":
        """The rules that hold for a query. words: None for one without words, such as a picture alone."""
        asked = keys(words) if words else ()

        def holds(query: QueryMatch | None) -> bool:
            return query is None or query.matches(asked)

        return ActiveRules(
            rewrites=self._synonyms.rewrites(words) if words else (),
            terms=self._synonyms.terms(words) if words else (),
            active_boosts=tuple(rule for rule in self.rules.boosts if holds(rule.query)),
            active_hides=tuple(rule for rule in self.rules.hides if holds(rule.query)),
            active_pins=tuple(rule for rule in self.rules.pins if holds(rule.query)),
            _ruleset=self,
        )

    def evaluated(self, items: Items) -> _Evaluated:
        """What the rules come to for these items; the newest items are remembered."""
        held = self._evaluated
        if held is None or held.items is not items:
            held = self._evaluated = _Evaluated(items, self.rules)
        return held


@dataclass(frozen=True)
class ActiveRules:
    """The rules that hold for one query.

    rewrites: texts to search with, the query itself first, weights adding up to 1; empty for a query without words.
    terms: the query's parts that have synonyms, for a search by words.
    active_boosts, active_hides, active_pins: the rules, in the order of the file.
    """

    rewrites: tuple[Rewrite, ...]
    terms: tuple[Term, ...]
    active_boosts: tuple[Boost, ...]
    active_hides: tuple[Hide, ...]
    active_pins: tuple[Pin, ...]
    _ruleset: RuleSet = field(repr=False, compare=False)

    def __bool__(self) -> bool:
        """Does any rule hold? If not, the query is searched as if there were none."""
        return bool(len(self.rewrites) > 1 or self.active_boosts or self.active_hides or self.active_pins)

    @property
    def pins(self) -> tuple[tuple[str, int], ...]:
        """(item id, place wanted), in the order in which they are placed."""
        return tuple((rule.item_id, rule.place) for rule in self.active_pins)

    def boosts(self, items: Items) -> Scores:
        """float32 [n], within 1 either way: what to add to each item's score. Not to be written to."""
        evaluated = self._ruleset.evaluated(items)
        with evaluated.lock:
            return evaluated.sum(self.active_boosts)

    def hidden(self, items: Items) -> Flags:
        """bool [n]: what must not be in the answer, whatever else says so."""
        evaluated = self._ruleset.evaluated(items)
        hidden = np.zeros(len(items), dtype=np.bool_)
        with evaluated.lock:
            for rule in self.active_hides:
                hidden |= evaluated.hide(rule)
        return hidden

    def touched(self, items: Items, position: int, *, pinned: bool = False) -> tuple[str, ...]:
        """Which rules touched an item, and by how much: `synonyms[0]`, `boosts[0] +0.03`, `pins[1]`.

        position: of the item in `items`; pinned: whether `place_pins` put it where it stands.
        """
        evaluated = self._ruleset.evaluated(items)
        found = list(dict.fromkeys(path for one in self.rewrites for path in one.by))
        with evaluated.lock:
            for rule in self.active_boosts:
                value = float(evaluated.boost(rule)[0][position])
                if value:
                    found.append(f"{rule.path} {value:+.3g}")
        if pinned:
            found += [rule.path for rule in self.active_pins if evaluated.pinned[rule.item_id] == position][:1]
        return tuple(found)

    def notes(self, items: Items) -> tuple[str, ...]:
        """What the rules could not do as they were written: pinned items that are not there, numbers out of range."""
        evaluated = self._ruleset.evaluated(items)
        with evaluated.lock:
            notes = [note for rule in self.active_boosts for note in evaluated.boost(rule)[1]]
        missing = [rule for rule in self.active_pins if evaluated.pinned[rule.item_id] < 0]
        return (*notes, *(f"{rule.path}: there is no item {rule.item_id}" for rule in missing))
