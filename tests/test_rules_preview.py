"""What rules would change, against a search that does all of it the slow way."""

from collections.abc import Sequence

import pytest

from retrieval.items import ItemTable
from retrieval.rules.pins import place_pins
from retrieval.rules.preview import Preview, Seen, preview_rules
from retrieval.rules.ruleset import NO_RULES, RuleSet
from retrieval.rules.schema import parse

LETTERS = "abcdefgh"
ITEMS = ItemTable.of_rows([{"item_id": letter, "stock": place} for place, letter in enumerate(LETTERS)])


def ruleset(text: str) -> RuleSet:
    return RuleSet(parse(f"version: 1\n{text}".encode(), "rules.yaml"))


def search(query: str, rules: RuleSet, k: int = 4) -> Sequence[Seen]:
    """Of every query the answer is a, b, c and so on, 0.1 apart, but for the rules."""
    active = rules.for_query(query)
    boosts, hidden = active.boosts(ITEMS), active.hidden(ITEMS)
    shown = [place for place in range(len(ITEMS)) if not hidden[place]]
    ranking = sorted(shown, key=lambda place: (-(1 - place / 10 + boosts[place]), place))
    return [
        Seen(LETTERS[one.key], f"Title {LETTERS[one.key]}", rules=active.touched(ITEMS, one.key, pinned=one.pinned))
        for one in place_pins(ranking, active.pinned(ITEMS), k=k)
    ]


def preview(queries: Sequence[str], new: str, held: str = "") -> Preview:
    before = ruleset(held) if held else NO_RULES
    return preview_rules(search, ITEMS, queries, held=before, new=ruleset(new), k=4)


def changes(found: Preview, query: str) -> list[str]:
    (one,) = [one for one in found.queries if one.query == query]
    return [
        f"{change.item.item_id} {change.kind} {change.before}>{change.after} {' '.join(change.rules)}".strip()
        for change in one.changes
    ]


def test_nothing_changes() -> None:
    found = preview(["x", "y"], "")
    assert found.changed == ()
    assert found.silent == ()
    assert found.to_json() == {"k": 4, "queries": 2, "changed": 0, "never_fire": [], "changes": []}


def test_pins_boosts_and_hides() -> None:
    found = preview(
        ["x", "y"],
        "pins: [{query: x, items: [f]}]\nboosts: [{add: 0.35, when: item_id = 'd', query: x}]\n"
        "hides: [{items: [b], query: x}, {items: [zzz]}]",
    )
    assert changes(found, "x") == [
        "f entered None>1 pins[0]",
        "d up 4>2 boosts[0] +0.35",
        "a down 1>3",
        "c down 3>4",
        "b left 2>None hides[0]",
    ]
    assert [one.query for one in found.changed] == ["x"]
    assert found.silent == ("hides[1]",)


def test_who_was_pushed_out_has_no_rule_of_its_own() -> None:
    found = preview(["x"], "pins: [{query: x, items: [f]}]")
    assert changes(found, "x")[-1] == "d left 4>None"


def test_rules_that_held_before() -> None:
    held = "pins: [{query: x, items: [f]}]\nhides: [{items: [b]}]"
    found = preview(["x"], "hides: [{items: [b]}]", held=held)
    assert changes(found, "x") == [
        "a up 2>1",
        "c up 3>2",
        "d up 4>3",
        "e entered None>4",
        "f left 1>None no more pins[0]",
    ]
    assert found.silent == (), "what it hides is hidden already, and it fires all the same"
    assert preview(["x"], held, held=held).changed == ()
    assert changes(preview(["x"], "", held="hides: [{items: [b]}]"), "x")[0] == "b entered None>2 no more hides[0]"


def test_synonyms_fire_where_their_words_stand() -> None:
    found = preview(["red sofa", "chair"], "synonyms: [[sofa, couch], [lamp, light]]")
    assert found.silent == ("synonyms[1]",)


def test_notes() -> None:
    found = preview(["x"], "pins: [{query: x, items: [zzz]}]")
    assert found.queries[0].notes == ("pins[0]: there is no item zzz",)
    assert found.changed == ()
    assert found.silent == ("pins[0]",)
    assert found.to_json()["changes"] == [{"query": "x", "items": [], "notes": ["pins[0]: there is no item zzz"]}]


def test_as_json() -> None:
    found = preview(["x"], "hides: [{items: [a, b, c, d, e, f, g, h]}]").to_json()
    assert found["changed"] == 1
    assert found["changes"][0]["items"][0] == {
        "item_id": "a",
        "title": "Title a",
        "change": "left",
        "before": 1,
        "after": None,
        "rules": ["hides[0]"],
    }


@pytest.mark.parametrize("queries", [[], ["x"] * 3])
def test_any_number_of_queries(queries: list[str]) -> None:
    assert len(preview(queries, "hides: [{items: [a]}]").changed) == len(queries)
