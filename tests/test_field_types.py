"""The types of all attributes are those that looking at one value after the other finds."""

import json
import math
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.items import field_types
from retrieval.items.builder import is_value
from retrieval.items.field_types import attribute_types

texts = st.one_of(st.sampled_from(["", "2020-01-01", "\0", "\ud800", "null", "a\u2028b", "🙂"]), st.text(max_size=3))
plain = st.one_of(
    st.none(), st.booleans(), st.integers(), st.sampled_from([10**30, math.nan, math.inf, 1e300]), st.floats(), texts
)
anything = st.recursive(
    plain, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=2), max_leaves=5
)
rows = st.lists(st.dictionaries(st.one_of(st.sampled_from("abc"), texts), anything, max_size=4), max_size=8)


def block(rows: Sequence[Any]) -> str:
    return "\n".join(map(json.dumps, rows))


def one_by_one(rows: Sequence[dict[str, Any]]) -> dict[str, set[type]]:
    types: dict[str, set[type]] = {}
    for row in rows:
        for name, value in row.items():
            if is_value(value):
                types.setdefault(name, set()).add(float if type(value) is int else type(value))
    return types


@settings(deadline=None)
@given(st.lists(rows.filter(len), max_size=3))
def test_any_rows_in_any_blocks(blocks: list[list[dict[str, Any]]]) -> None:
    assert attribute_types(map(block, blocks)) == one_by_one([row for rows in blocks for row in rows])


@settings(deadline=None)
@given(rows.filter(len), st.integers(1, 300))
def test_any_rows_in_any_pieces(rows: list[dict[str, Any]], size: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(field_types, "PIECE", size)
        assert attribute_types([block(rows)]) == one_by_one(rows)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1, 2.5, None], {float}),
        (["2020-01-01", "2021-01-01"], {str}),
        ([["a"], [], None], {list}),
        ([True, None], {bool}),
        ([{}, None], {dict}),
        ([None, "", [], [None, ""], [[]], math.nan], set()),
    ],
)
def test_values_of_one_type_are_not_looked_at_one_by_one(
    monkeypatch: pytest.MonkeyPatch, values: list[Any], expected: set[type]
) -> None:
    monkeypatch.setattr(field_types, "_by_python", None)
    for value in ["", [], math.nan] if not expected else [values]:
        given = value if isinstance(value, list) and value else [value, None]
        found = attribute_types([block([{"a": one} for one in given])])
        assert found == ({"a": expected} if expected else {})


def test_lines_that_each_have_other_names_are_read_in_small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []
    real = field_types._by_arrow
    monkeypatch.setattr(
        field_types, "_by_arrow", lambda lines: sizes.append((len(lines), len("".join(lines)))) or real(lines)
    )
    monkeypatch.setattr(field_types, "PIECE", 100_000)
    given = [{f"{line} {n}": n for n in range(30)} for line in range(200)] + [{"long": "x" * 200_000}]
    assert len(attribute_types([block(given)])) == 6_001
    assert sum(lines for lines, _ in sizes) == 201
    assert all(lines * characters <= 100_000 for lines, characters in sizes[:-1])
    assert sizes[-1][0] == 1
