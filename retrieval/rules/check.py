"""Rules held against a collection: what can be read, and still will not do what was meant."""

from collections.abc import Iterator
from difflib import get_close_matches

import numpy as np

from retrieval.items import ItemTable
from retrieval.rules.attributes import positions
from retrieval.rules.effects import boost_values, hidden_items
from retrieval.rules.mistakes import Mistake
from retrieval.rules.model import Rules


def check(rules: Rules, items: ItemTable) -> list[Mistake]:
    """All doubts about these rules, in the order of the file; none of them keeps the rules from being applied.

    Named are fields and items that are not there, rules that touch no item, that hide all, or whose numbers had to be
    bent, and items that one rule pins and another always hides.
    """
    return sorted([*_boosts(rules, items), *_pins(rules, items), *_hides(rules, items)], key=_order)


def _order(doubt: Mistake) -> tuple[int, str]:
    return doubt.line, doubt.path


def _boosts(rules: Rules, items: ItemTable) -> Iterator[Mistake]:
    for rule in rules.boosts:
        unknown = [name for name in sorted(rule.add.fields) if items.column(name) is None]
        for name in unknown:
            yield Mistake(rule.line, f"{rule.path}.add", _unknown(name, items))
        values, notes = boost_values(rule, items)
        for note in notes:
            yield Mistake(rule.line, rule.path, note)
        if not unknown and not notes and not values.any():
            yield Mistake(rule.line, rule.path, "it changes the score of no item")


def _pins(rules: Rules, items: ItemTable) -> Iterator[Mistake]:
    always_hidden = np.zeros(len(items), dtype=np.bool_)
    for hide in rules.hides:
        if hide.query is None:
            always_hidden |= hidden_items(hide, items)[0]
    found = positions(items, [rule.item_id for rule in rules.pins])
    for rule, position in zip(rules.pins, found.tolist(), strict=True):
        if position < 0:
            yield Mistake(rule.line, rule.path, f"there is no item {rule.item_id}")
        elif always_hidden[position]:
            yield Mistake(rule.line, rule.path, f"{rule.item_id} is always hidden, so it is not pinned")


def _hides(rules: Rules, items: ItemTable) -> Iterator[Mistake]:
    for rule in rules.hides:
        hidden, notes = hidden_items(rule, items)
        found = positions(items, rule.items).tolist()
        missing = [item_id for item_id, position in zip(rule.items, found, strict=True) if position < 0]
        for note in (*notes, *(f"there is no item {item_id}" for item_id in missing)):
            yield Mistake(rule.line, rule.path, note)
        count = int(np.count_nonzero(hidden))
        if not notes and not missing and not count:
            yield Mistake(rule.line, rule.path, "it hides no item")
        elif count and count == len(items):
            yield Mistake(rule.line, rule.path, "it hides all items")


def _unknown(name: str, items: ItemTable) -> str:
    near = get_close_matches(name, sorted(items.fields()), n=1)
    return f"no item has a field {name}, so it is 0{f'; did you mean {near[0]}?' if near else ''}"
