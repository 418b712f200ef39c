"""Rules applied to a query: what is added, hidden and pinned, and how deep one must look for it."""

from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.items import ItemTable
from retrieval.rules.attributes import TableAttributes, positions
from retrieval.rules.depth import is_certain, largest
from retrieval.rules.ruleset import RuleSet
from retrieval.rules.schema import parse

ROWS: list[dict[str, Any]] = [
    {"item_id": "a", "brand": "Acme", "sold": 0, "stock": 3},
    {"item_id": "b", "brand": "Acme", "sold": 10, "stock": 0},
    {"item_id": "c", "brand": "Other", "sold": 100, "stock": 1},
    {"item_id": "d"},
]


def ruleset(text: str) -> RuleSet:
    return RuleSet(parse(f"version: 1\n{text}".encode(), "rules.yaml"))


@pytest.fixture
def items() -> ItemTable:
    return ItemTable.of_rows(ROWS)


def test_no_rules(items: ItemTable) -> None:
    active = ruleset("").for_query("red dress")
    assert not active
    assert not ruleset("")
    assert [one.words for one in active.rewrites] == ["red dress"]
    assert active.boosts(items).tolist() == [0] * 4
    assert active.hidden(items).tolist() == [False] * 4
    assert active.pins == ()
    assert active.notes(items) == ()
    assert active.touched(items, 0) == ()


class TestBoosts:
    def test_they_add_up(self, items: ItemTable) -> None:
        rules = ruleset("boosts:\n- {when: brand = 'Acme', add: 0.5}\n- {add: 0.25 * (stock = 0)}\n")
        found = rules.for_query("x").boosts(items)
        assert found.dtype == np.float32
        assert found.tolist() == [0.5, 0.75, 0, 0.25]
        with pytest.raises(ValueError, match="read-only"):
            found[0] = 1

    def test_for_a_query_only(self, items: ItemTable) -> None:
        rules = ruleset("boosts:\n- {add: 0.5, query: red dress}\n- {add: 0.25, query: {contains: [hat, dress]}}\n")
        assert rules.for_query("Red Dress").boosts(items).tolist() == [0.75] * 4
        assert rules.for_query("a dress").boosts(items).tolist() == [0.25] * 4
        assert not rules.for_query("shoes")
        assert not rules.for_query(None)
        assert rules.for_query("Red Dress").boosts(items).tolist() == [0.75] * 4, "sums are kept apart"

    def test_a_picture_has_the_boosts_of_all_queries(self, items: ItemTable) -> None:
        active = ruleset("boosts: [{add: 0.5}]\nsynonyms: [[a, b]]").for_query(None)
        assert active.boosts(items).tolist() == [0.5] * 4
        assert active.rewrites == active.terms == ()

    def test_at_most_1_either_way(self, items: ItemTable) -> None:
        active = ruleset("boosts:\n- {add: sold}\n- {add: 0.75 - sold}").for_query("x")
        assert active.boosts(items).tolist() == [0.75, 0, 0, 0.75]
        assert active.notes(items) == (
            "boosts[0]: for 2 items `sold` is beyond 1 and is cut off",
            "boosts[1]: for 2 items `0.75 - sold` is beyond 1 and is cut off",
        )
        assert ruleset("boosts: [{add: 0.75}, {add: 0.75}]").for_query("x").boosts(items).tolist() == [1] * 4

    def test_what_is_no_number_is_said_of_the_items_it_is_for(self, items: ItemTable) -> None:
        active = ruleset("boosts: [{add: 0.5 / stock, when: brand = 'Acme'}]").for_query("x")
        assert active.boosts(items).tolist() == [pytest.approx(0.5 / 3), 0, 0, 0]
        assert active.notes(items) == ("boosts[0]: for 1 item `0.5 / stock` is no finite number and counts as 0",)

    def test_newer_items_are_looked_at_anew(self, items: ItemTable) -> None:
        rules = ruleset("boosts: [{add: 0.5, when: brand = 'Acme'}]")
        active = rules.for_query("x")
        assert active.boosts(items).tolist() == [0.5, 0.5, 0, 0]
        assert active.boosts(items) is active.boosts(items), "evaluated once"
        assert active.boosts(ItemTable.of_rows(ROWS[1:])).tolist() == [0.5, 0, 0]


class TestHides:
    def test_by_id_and_by_condition(self, items: ItemTable) -> None:
        rules = ruleset("hides:\n- {items: [d, zzz]}\n- {when: brand = 'Acme', query: shoes}")
        assert rules.for_query("x").hidden(items).tolist() == [False, False, False, True]
        assert rules.for_query("Shoes").hidden(items).tolist() == [True, True, False, True]
        assert rules.for_query(None).hidden(items).tolist() == [False, False, False, True]
        assert ruleset("hides: [{items: [zzz]}]").for_query("x").hidden(items).tolist() == [False] * 4


class TestPins:
    def test_in_the_order_of_the_file(self, items: ItemTable) -> None:
        rules = ruleset(
            "pins:\n- {query: {contains: dress}, id: a, place: 2}\n- {query: red dress, items: [b, zzz]}\n"
            "- {query: hat, items: c}"
        )
        active = rules.for_query("red dress")
        assert active.pins == (("a", 2), ("b", 1), ("zzz", 1))
        assert active.notes(items) == ("pins[1]: there is no item zzz",)
        assert rules.for_query("hat").pins == (("c", 1),)
        assert not rules.for_query(None)


def test_a_hit_says_which_rules_touched_it(items: ItemTable) -> None:
    rules = ruleset(
        "synonyms: [[frock, dress]]\n"
        "boosts:\n- {add: 0.03, when: brand = 'Acme'}\n- {add: -0.001 * stock}\n"
        "pins:\n- {query: hat, items: [a]}\n- {query: dress, items: [b, a]}\n"
    )
    active = rules.for_query("dress")
    assert active.touched(items, 0, pinned=True) == ("synonyms[0]", "boosts[0] +0.03", "boosts[1] -0.003", "pins[1]")
    assert active.touched(items, 1) == ("synonyms[0]", "boosts[0] +0.03")
    assert active.touched(items, 3) == ("synonyms[0]",)


class TestDepth:
    def test_largest(self) -> None:
        boosts = np.array([0.1, 0.5, -0.2, 0.3], dtype=np.float32)
        assert largest(boosts) == pytest.approx(0.5)
        assert largest(boosts, seen=np.array([1])) == pytest.approx(0.3)
        assert largest(boosts, np.array([True, False, True, False])) == pytest.approx(0.1)
        assert largest(boosts, np.array([True, False, True, False]), np.array([0])) == pytest.approx(-0.2)
        assert largest(boosts, seen=np.arange(4)) == -np.inf
        assert largest(boosts[:0]) == -np.inf

    def test_a_tie_is_not_certain(self) -> None:
        assert is_certain(0.5, 0.25, 0.0)
        assert not is_certain(0.5, 0.25, 0.25)
        assert not is_certain(-np.inf, 0.25, -0.5)
        assert is_certain(-np.inf, 0.25, -np.inf), "all have been seen"

    @settings(max_examples=200, deadline=None)
    @given(data=st.data(), n=st.integers(1, 60), k=st.integers(1, 10))
    def test_when_it_is_certain_the_first_k_are_those_of_brute_force(self, data: st.DataObject, n: int, k: int) -> None:
        values = st.sampled_from([round(-1 + step / 16, 4) for step in range(33)])
        scores = np.array(data.draw(st.lists(values, min_size=n, max_size=n)), dtype=np.float32)
        boosts = np.array(data.draw(st.lists(values, min_size=n, max_size=n)), dtype=np.float32)
        allowed = np.array(data.draw(st.lists(st.booleans(), min_size=n, max_size=n)))
        candidates = sorted(np.flatnonzero(allowed).tolist(), key=lambda item: (-scores[item], item))
        wanted = sorted(candidates, key=lambda item: (-(scores[item] + boosts[item]), item))[:k]
        depth = data.draw(st.integers(1, n))
        while True:  # as a search does: the first candidates by score alone, then more, until no other can matter
            seen = candidates[:depth]
            best = sorted(seen, key=lambda item: (-(scores[item] + boosts[item]), item))[:k]
            kth = float((scores + boosts)[best[-1]]) if len(best) == k else -np.inf
            last = float(scores[seen[-1]]) if seen else 0.0
            if is_certain(kth, last, largest(boosts, allowed, np.array(seen, dtype=np.int64))):
                break
            assert depth <= n, "all have been seen, and it is still not certain"
            depth *= 2
        assert best == wanted


class TestFieldsThatDoNotFit:
    """Items come and go: a rule that no longer fits them does nothing, says so, and keeps no search from its answer."""

    def test_a_condition_on_a_field_that_no_item_has(self, items: ItemTable) -> None:
        rules = ruleset("boosts: [{add: 0.5, when: colour = 'red'}]\nhides: [{when: discontinued = true}]")
        active = rules.for_query("x")
        assert active.boosts(items).tolist() == [0] * 4
        assert active.hidden(items).tolist() == [False] * 4
        first, second = active.notes(items)
        assert first.startswith("boosts[0]: no item has a field colour (the fields are")
        assert second.startswith("hides[0]: no item has a field discontinued")
        assert second.endswith("; until then the rule does nothing")

    def test_a_comparison_of_a_number_with_a_text(self, items: ItemTable) -> None:
        active = ruleset("boosts: [{add: 0.5 * (sold = 'many')}, {add: 0.25}]").for_query("x")
        assert active.boosts(items).tolist() == [0.25] * 4
        assert "sold is a number and is never the text" in active.notes(items)[0]

    def test_the_fields_that_are_read(self) -> None:
        text = "boosts: [{add: a + b, when: c = 1}]\nhides: [{when: c = 2 or d = 3}]"
        assert ruleset(text).fields == ("a", "b", "c", "d")
        assert ruleset("pins: [{query: x, items: [y]}]").fields == ("item_id",)
        assert ruleset("synonyms: [[a, b]]").fields == ()


class TestAttributes:
    ROWS: ClassVar = [
        {"item_id": "a", "price": 1, "new": True, "tags": ["sale", "red"], "name": "Acme"},
        {"item_id": "c", "price": 2.5, "new": False, "tags": ["blue"]},
        {"item_id": "b"},
    ]

    def test_every_kind_of_column(self) -> None:
        attributes = TableAttributes(ItemTable.of_rows(self.ROWS))
        assert attributes.numbers("price").tolist()[:2] == [1, 2.5]
        assert attributes.numbers("new").tolist()[:2] == [1, 0]
        for name, known in (("price", 2), ("new", 2), ("tags", 0), ("name", 0), ("nothing", 0)):
            assert np.isfinite(attributes.numbers(name)).sum() == known
        assert attributes.is_text("tags", "red").tolist() == [True, False, False]
        assert attributes.is_text("name", "Acme").tolist() == [True, False, False]

    def test_positions(self) -> None:
        items = ItemTable.of_rows(self.ROWS)
        assert positions(items, ["b", "zzz", "a", "b"]).tolist() == [2, -1, 0, 2]
        assert positions(items, []).tolist() == []
        assert positions(ItemTable.of_rows([]), ["a"]).tolist() == [-1]
