"""What single rules come to for the items of a collection, and what they cannot do for them."""

import numpy as np
import numpy.typing as npt

from retrieval.errors import FilterError
from retrieval.filters import Filter, matching
from retrieval.items import ItemTable
from retrieval.rules.attributes import TableAttributes, positions
from retrieval.rules.model import Boost, Hide

Scores = npt.NDArray[np.float32]
Flags = npt.NDArray[np.bool_]
Notes = tuple[str, ...]

MAX_BOOST = 1.0  # of a cosine, which is 1 at best: what is above is no boost but a pin


def boost_values(rule: Boost, items: ItemTable) -> tuple[Scores, Notes]:
    """float32 [n], within 1 either way, 0 where the rule says nothing; and what had to be bent for that.

    A rule whose `when` does not fit the fields that the items have says nothing at all: items come and go, and a
    search must not fail for it.
    """
    try:
        chosen = None if rule.when is None else matching(rule.when, items)
        values, bad = rule.add.values(TableAttributes(items), len(items))
    except FilterError as error:
        return np.zeros(len(items), dtype=np.float32), (_unfit(error),)
    if chosen is not None:
        values[~chosen] = 0
        bad &= chosen
    over = np.abs(values) > MAX_BOOST
    np.clip(values, -MAX_BOOST, MAX_BOOST, out=values)
    notes = []
    for bent, said in ((bad, "is no finite number and counts as 0"), (over, f"is beyond {MAX_BOOST:g} and is cut off")):
        if number := int(np.count_nonzero(bent)):
            notes.append(f"for {number:,} item{'s' * (number != 1)} `{rule.add.text}` {said}")
    return values, tuple(notes)


def hidden_items(rule: Hide, items: ItemTable) -> tuple[Flags, Notes]:
    """bool [n]: what the rule hides; nothing, and a note, where its `when` does not fit the fields there are."""
    if rule.when is not None:
        return _matching(rule.when, items)
    hidden = np.zeros(len(items), dtype=np.bool_)
    found = positions(items, rule.items)
    hidden[found[found >= 0]] = True
    return hidden, ()


def _matching(when: Filter, items: ItemTable) -> tuple[Flags, Notes]:
    try:
        return matching(when, items), ()
    except FilterError as error:
        return np.zeros(len(items), dtype=np.bool_), (_unfit(error),)


def _unfit(error: FilterError) -> str:
    hint = f" ({error.hint})" if error.hint else ""
    return f"{error}{hint}; until then the rule does nothing"
