"""Doubts about rules that can be read: each names its line, and rules that are fine raise none."""

import pytest

from retrieval.items import ItemTable
from retrieval.rules.check import check
from retrieval.rules.schema import parse

ITEMS = ItemTable.of_rows(
    [
        {"item_id": "a", "brand": "Acme", "price": 10, "stock": 3},
        {"item_id": "b", "brand": "Other", "price": 20, "stock": 0},
    ]
)


def doubts(text: str) -> list[str]:
    return [str(one) for one in check(parse(f"version: 1\n{text}".encode(), "rules.yaml"), ITEMS)]


def test_rules_without_a_doubt() -> None:
    assert not doubts(
        "synonyms: [[a, b]]\nboosts: [{add: 0.1 * (stock > 0), when: brand = 'Acme'}]\n"
        "pins: [{query: x, items: [a, b]}]\nhides: [{items: [b], query: y}, {when: price > 15, query: z}]"
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "boosts:\n- {add: 0.1 * prise}",
            "line 3, boosts[0].add: no item has a field prise, so it is 0; did you mean price?",
        ),
        (
            "boosts:\n- {add: 0.1, when: brandy = 'Acme'}",
            "line 3, boosts[0]: no item has a field brandy (did you mean brand?)",
        ),
        ("boosts:\n- {add: 0.1, when: brand = 5}", "line 3, boosts[0]: brand is text and is never the number 5"),
        ("boosts:\n- {add: 0.1, when: brand = 'Acne'}", "line 3, boosts[0]: it changes the score of no item"),
        ("boosts:\n- {add: 0 * price}", "line 3, boosts[0]: it changes the score of no item"),
        ("boosts:\n- {add: price}", "line 3, boosts[0]: for 2 items `price` is beyond 1 and is cut off"),
        (
            "boosts:\n- {add: 1 / stock}",
            "line 3, boosts[0]: for 1 item `1 / stock` is no finite number and counts as 0",
        ),
        ("pins:\n- {query: x, items: [a, c]}", "line 3, pins[0]: there is no item c"),
        (
            "pins:\n- {query: x, items: [a]}\nhides: [{items: a}]",
            "line 3, pins[0]: a is always hidden, so it is not pinned",
        ),
        ("hides:\n- {items: [a, c]}", "line 3, hides[0]: there is no item c"),
        ("hides:\n- {when: price > 100}", "line 3, hides[0]: it hides no item"),
        ("hides:\n- {when: price > 1}", "line 3, hides[0]: it hides all items"),
        ("hides:\n- {when: size > 1}", "line 3, hides[0]: no item has a field size"),
    ],
)
def test_a_doubt(text: str, said: str) -> None:
    (found,) = doubts(text)
    assert found.startswith(said)


def test_doubts_stand_in_the_order_of_the_file() -> None:
    found = doubts("hides:\n- {items: [c]}\nboosts:\n- {add: 0}\npins:\n- {query: x, items: [d]}")
    assert [one.split(":")[0] for one in found] == ["line 3, hides[0]", "line 5, boosts[0]", "line 7, pins[0]"]
