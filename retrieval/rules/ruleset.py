"""The rules of a collection applied to a query: what it is searched with, what is added, taken out and put on top."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from threading import RLock
from typing import TypeVar

import numpy as np

from retrieval.items import ItemTable
from retrieval.rules.attributes import positions
from retrieval.rules.effects import MAX_BOOST, Flags, Notes, Scores, boost_values, hidden_items
from retrieval.rules.lookup import Lookup
from retrieval.rules.model import Boost, Hide, Pin, Rules
from retrieval.rules.synonyms import Rewrite, Synonyms, Term
from retrieval.rules.words import keys

SUMS_KEPT = 16  # sums of boosts, and of hides, that are held for the newest items: 4 bytes and 1 byte an item each

Held = TypeVar("Held", Scores, Flags)


class _Newest(OrderedDict[tuple[str, ...], Held]):
    """The sums for the last few combinations of rules, not to be written to."""

    def put(self, paths: tuple[str, ...], total: Held) -> None:
        total.flags.writeable = False
        self[paths] = total
        if len(self) > SUMS_KEPT:
            self.popitem(last=False)


class _Effects:
    """What the rules come to for the items of one revision. Each rule is evaluated once: 4 bytes an item a boost."""

    def __init__(self, items: ItemTable, rules: Rules) -> None:
        self.items = items
        self._lock = RLock()
        self._boosts: dict[str, tuple[Scores, Notes]] = {}
        self._hides: dict[str, tuple[Flags, Notes]] = {}
        self._boost_sums: _Newest[Scores] = _Newest()
        self._hidden_sums: _Newest[Flags] = _Newest()
        pinned = list(dict.fromkeys(rule.item_id for rule in rules.pins))
        self.pinned = dict(zip(pinned, positions(items, pinned).tolist(), strict=True))

    def boost(self, rule: Boost) -> tuple[Scores, Notes]:
        with self._lock:
            if rule.path not in self._boosts:
                self._boosts[rule.path] = boost_values(rule, self.items)
            return self._boosts[rule.path]

    def hide(self, rule: Hide) -> tuple[Flags, Notes]:
        with self._lock:
            if rule.path not in self._hides:
                self._hides[rule.path] = hidden_items(rule, self.items)
            return self._hides[rule.path]

    def boosts(self, rules: Sequence[Boost]) -> Scores:
        paths = tuple(rule.path for rule in rules)
        with self._lock:
            if paths not in self._boost_sums:
                total = np.zeros(len(self.items), dtype=np.float32)
                for rule in rules:
                    total += self.boost(rule)[0]
                self._boost_sums.put(paths, np.clip(total, -MAX_BOOST, MAX_BOOST, out=total))
            return self._boost_sums[paths]

    def hidden(self, rules: Sequence[Hide]) -> Flags:
        paths = tuple(rule.path for rule in rules)
        with self._lock:
            if paths not in self._hidden_sums:
                total = np.zeros(len(self.items), dtype=np.bool_)
                for rule in rules:
                    total |= self.hide(rule)[0]
                self._hidden_sums.put(paths, total)
            return self._hidden_sums[paths]


class RuleSet:
    """All rules of a collection. Immutable but for what it remembers of the newest items; safe in many threads.

    version: of the collection's rules, 0 for none.
    """

    def __init__(self, rules: Rules, version: int = 0) -> None:
        self.rules = rules
        self.version = version
        self._synonyms = Synonyms(rules.synonyms)
        self._boosts, self._hides, self._pins = Lookup(rules.boosts), Lookup(rules.hides), Lookup(rules.pins)
        self._effects: _Effects | None = None

    def __bool__(self) -> bool:
        return bool(self.rules)

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields of items that the rules read: a search that has them read at once is quicker."""
        return self.rules.fields

    def for_query(self, words: str | None) -> "ActiveRules":
        """The rules that hold for a query. words: None for one without words, such as a picture alone."""
        asked = keys(words) if words else ()
        return ActiveRules(
            rewrites=self._synonyms.rewrites(words) if words else (),
            terms=self._synonyms.terms(words) if words else (),
            active_boosts=self._boosts.holding_for(asked),
            active_hides=self._hides.holding_for(asked),
            active_pins=self._pins.holding_for(asked),
            _ruleset=self,
        )

    def effects(self, items: ItemTable) -> _Effects:
        """What the rules come to for these items; the newest items are remembered."""
        held = self._effects
        if held is None or held.items is not items:
            held = self._effects = _Effects(items, self.rules)
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

    def pinned(self, items: ItemTable) -> tuple[tuple[int, int], ...]:
        """(position in `items`, place wanted), as `place_pins` takes them, of pinned items that exist and may show."""
        effects = self._ruleset.effects(items)
        hidden = effects.hidden(self.active_hides)
        found = ((effects.pinned[rule.item_id], rule.place) for rule in self.active_pins)
        return tuple((at, place) for at, place in found if at >= 0 and not hidden[at])

    def boosts(self, items: ItemTable) -> Scores:
        """float32 [n], within 1 either way: what to add to each item's score. Not to be written to."""
        return self._ruleset.effects(items).boosts(self.active_boosts)

    def hidden(self, items: ItemTable) -> Flags:
        """bool [n]: what must not be in the answer, whatever else says so. Not to be written to."""
        return self._ruleset.effects(items).hidden(self.active_hides)

    @property
    def synonyms_used(self) -> tuple[str, ...]:
        """Which synonyms the query is searched with."""
        return tuple(dict.fromkeys(path for one in self.rewrites for path in one.by))

    def touched(self, items: ItemTable, position: int, *, pinned: bool = False) -> tuple[str, ...]:
        """Which rules touched an item, and by how much: `synonyms[0]`, `boosts[0] +0.03`, `hides[2]`,
        `pins[1]`.

        position: of the item in `items`; pinned: whether `place_pins` put it where it stands.
        """
        effects = self._ruleset.effects(items)
        found = list(self.synonyms_used)
        for boost in self.active_boosts:
            value = float(effects.boost(boost)[0][position])
            if value:
                found.append(f"{boost.path} {value:+.3g}")
        found += [hide.path for hide in self.active_hides if effects.hide(hide)[0][position]]
        if pinned:
            found += [pin.path for pin in self.active_pins if effects.pinned[pin.item_id] == position][:1]
        return tuple(found)

    def notes(self, items: ItemTable) -> Notes:
        """What the rules could not do as written: fields and items that are not there, numbers out of range."""
        effects = self._ruleset.effects(items)
        notes = [(boost.path, note) for boost in self.active_boosts for note in effects.boost(boost)[1]]
        notes += [(hide.path, note) for hide in self.active_hides for note in effects.hide(hide)[1]]
        missing = [pin for pin in self.active_pins if effects.pinned[pin.item_id] < 0]
        notes += [(pin.path, f"there is no item {pin.item_id}") for pin in missing]
        return tuple(f"{path}: {note}" for path, note in notes)


NO_RULES = RuleSet(Rules())
