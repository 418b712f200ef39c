"""Facets, sorting and notes: what they say is what a slow twin says item by item."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.errors import FilterError
from retrieval.filters import FacetRequest, SortKey, facets, matching, notes, order, parse, parse_sort
from retrieval.filters.facets import nice_edges
from retrieval.items import ItemTable
from retrieval.items.builder import as_text, is_value
from tests.test_filters import NAMES, ROWS, TABLE, catalogues

EVERYTHING = np.ones(len(TABLE), dtype=np.bool_)


def counted(request: str, table: ItemTable = TABLE, selected: Any = None) -> list[tuple[Any, int]]:
    (facet,) = facets(table, np.ones(len(table), dtype=np.bool_) if selected is None else selected, [request])
    if facet.kind == "number":
        return [((each.low, each.high), each.count) for each in facet.ranges]
    return [(each.value, each.count) for each in facet.values]


class TestFacets:
    @pytest.mark.parametrize(
        ("request_text", "expected"),
        [
            ("brand", [("Acme", 1), ("Bolt", 1), ("acme", 1)]),
            ("brand:2", [("Acme", 1), ("Bolt", 1)]),
            ("tags", [("new", 2), ("red", 2), ("Old red", 1), ("blue", 1)]),
            ("tags:1", [("new", 2)]),
            ("tags:3", [("new", 2), ("red", 2), ("Old red", 1)]),
            ("stock", [(True, 2), (False, 1)]),
            ("stock:1", [(True, 2)]),
            ("size", [("42", 1), ("M", 1)]),
            ("`made in`", [("here", 1), ("Łódź", 1)]),
            ("made in:1", [("here", 1)]),
            ("price:0,20,50", [((None, 0), 1), ((0, 20), 0), ((20, 50), 2), ((50, None), 1)]),
            ("price:-10,100", [((-10, 100), 4)]),
            ("price:-10,0,1", [((-10, 0), 1), ((0, 1), 0), ((1, None), 3)]),
            ("photos", [((None, None), 6)]),
        ],
    )
    def test_examples(self, request_text: str, expected: list[Any]) -> None:
        assert counted(request_text) == expected

    def test_only_the_selected_count(self) -> None:
        selected = matching(parse("item_id in ('1', '3', '6')"), TABLE)
        brand, tags, price = facets(TABLE, selected, ["brand", FacetRequest("tags"), "price:0,100"])
        assert (brand.kind, brand.missing, brand.distinct) == ("text", 2, 1)
        assert [(each.value, each.count) for each in tags.values] == [("new", 2), ("Old red", 1), ("red", 1)]
        assert (tags.missing, tags.distinct) == (1, 3)
        assert (price.missing, price.low, price.high) == (1, -3, 20)

    def test_nothing_selected(self) -> None:
        none = ~EVERYTHING
        brand, price, stock, tags = facets(TABLE, none, ["brand", "price", "stock", "tags"])
        assert all(each.missing == 0 for each in (brand, price, stock, tags))
        assert (brand.values, stock.values, tags.values, price.ranges, price.low) == ((), (), (), (), None)

    def test_every_count_is_that_of_its_filter(self) -> None:
        for request in ("brand", "tags", "stock", "size", "made in", "price", "price:0,20,50", "photos", "price:3"):
            (facet,) = facets(TABLE, EVERYTHING, [request])
            for each in (*facet.values, *facet.ranges):
                assert matching(parse(each.filter(facet.field)), TABLE).sum() == each.count

    def test_json(self) -> None:
        stock, price = facets(TABLE, EVERYTHING, ["stock", "price:0,60"])
        assert stock.to_json() == {
            "field": "stock",
            "kind": "boolean",
            "missing": 3,
            "distinct": 2,
            "values": [
                {"value": True, "count": 2, "filter": "stock = true"},
                {"value": False, "count": 1, "filter": "stock = false"},
            ],
        }
        assert price.to_json() == {
            "field": "price",
            "kind": "number",
            "missing": 2,
            "low": -3.0,
            "high": 50.0,
            "ranges": [
                {"low": None, "high": 0.0, "count": 1, "filter": "price < 0"},
                {"low": 0.0, "high": 60.0, "count": 3, "filter": "price >= 0 and price < 60"},
            ],
        }

    def test_more_texts_than_are_sorted(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("retrieval.items.builder.SORTED_WORDS", 5)
        table = ItemTable.of_rows([{"word": word} for word in "qwertyuiopqwertq"])
        assert counted("word:4", table) == [("q", 3), ("e", 2), ("r", 2), ("t", 2)]
        assert counted("word:7", table)[5:] == [("i", 1), ("o", 1)]

    @settings(max_examples=100, deadline=None)
    @given(data=st.data(), rows=catalogues(), limit=st.integers(1, 4))
    def test_against_the_twin(self, data: st.DataObject, rows: Sequence[Mapping[str, Any]], limit: int) -> None:
        table = ItemTable.of_rows(rows)
        selected = np.array(data.draw(st.lists(st.booleans(), min_size=len(rows), max_size=len(rows))))
        for name, kind in table.fields().items():
            if name not in NAMES:
                continue
            (facet,) = facets(table, selected, [FacetRequest(name, limit)])
            there = [
                row[name] for row, chosen in zip(rows, selected, strict=True) if chosen and is_value(row.get(name))
            ]
            assert facet.missing == selected.sum() - len(there)
            if kind == "number":
                assert (facet.low, facet.high) == ((min(there), max(there)) if there else (None, None))
                assert sum(each.count for each in facet.ranges) == len(there)
                for each in facet.ranges:
                    low, high = (
                        (-math.inf if each.low is None else each.low),
                        (math.inf if each.high is None else each.high),
                    )
                    assert sum(low <= value < high or (high == math.inf == value) for value in there) == each.count
                continue
            lists = [value if isinstance(value, list) else [value] for value in there]
            counts: Counter[Any] = Counter()
            for elements in lists:
                counts.update({each if kind == "boolean" else as_text(each) for each in elements if is_value(each)})
            ranked = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
            assert [(each.value, each.count) for each in facet.values] == ranked[:limit]
            assert facet.distinct == len(counts)

    @pytest.mark.parametrize(
        ("numbers", "ranges", "edges"),
        [
            (range(1, 1001), 5, (200, 400, 600, 800)),
            ([9.99, 19.99, 24.5, 49, 99, 149, 1999], 4, (25, 50, 150)),
            ([7], 5, ()),
            ([7] * 50 + [8], 5, (8,)),
            ([0, 0, 0, 1], 5, (1,)),
            (range(-50, 51), 5, (-30, -10, 10, 30)),
            ([0.1, 0.2, 0.3, 0.4], 2, (0.3,)),
            (range(3), 5, (1, 2)),
            ([2010, 2011, 2012, 2013, 2014, 2015, 2016, 2017, 2018], 3, (2013, 2016)),
            ([math.inf, 1, 2, 3], 2, (2,)),
            ([math.inf], 2, ()),
            ([-1.7e308, 1.7e308, 1, 2], 2, (2,)),
            ([0, 5e-324], 2, ()),
        ],
    )
    def test_nice_edges(self, numbers: Sequence[float], ranges: int, edges: tuple[float, ...]) -> None:
        assert nice_edges(np.array(list(numbers), dtype=np.float64), ranges) == edges

    @settings(max_examples=200, deadline=None)
    @given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60), st.integers(1, 8))
    def test_nice_edges_ascend_and_are_round(self, numbers: list[float], ranges: int) -> None:
        edges = nice_edges(np.array(numbers), ranges)
        assert list(edges) == sorted(set(edges))
        assert len(edges) < ranges
        whole = all(number == round(number) for number in numbers)
        assert all(edge == float(f"{edge:.3g}") or (whole and edge in numbers) for edge in edges)
        assert all(min(numbers) < edge <= max(numbers) for edge in edges)

    def test_skewed_prices_are_parted_about_evenly(self) -> None:
        prices = np.round(np.exp(np.random.default_rng(1).normal(3.5, 1, 50_000)), 2)
        table = ItemTable.of_rows([{"price": float(price)} for price in prices])
        shares = [count / len(prices) for _, count in counted("price", table)]
        assert len(shares) == 5
        assert all(0.1 < share < 0.3 for share in shares)


class TestFacetRequests:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("category", FacetRequest("category")),
            (" category : 20 ", FacetRequest("category", 20, ranges=20)),
            ("made in:3", FacetRequest("made in", 3, ranges=3)),
            ("`a:b``c`:0,1.5,1e3", FacetRequest("a:b`c", edges=(0, 1.5, 1000))),
            ("price:-5,+5", FacetRequest("price", edges=(-5, 5))),
        ],
    )
    def test_read(self, text: str, expected: FacetRequest) -> None:
        assert FacetRequest.parse(text) == expected
        assert FacetRequest.parse(str(expected)) == expected

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("", "cannot be read"),
            (":5", "cannot be read"),
            ("`a", "cannot be read"),
            ("a:", "is no number"),
            ("a:x", "'x' in the facet 'a:x' is no number"),
            ("a:1,,2", "is no number"),
            ("a:nan", "is no number"),
            ("a:1,inf", "is no number"),
            ("a:0", "not 1 to 1,000"),
            ("a:1001", "not 1 to 1,000"),
            ("a:-1", "not 1 to 1,000"),
            ("a:2.5", "not 1 to 1,000"),
            ("a:2,1", "do not ascend"),
            ("a:1,1", "do not ascend"),
            ("a:" + ",".join(map(str, range(101))), "at most 100"),
            ("\udc80", "Unicode"),
        ],
    )
    def test_what_is_refused(self, text: str, said: str) -> None:
        with pytest.raises(FilterError) as caught:
            FacetRequest.parse(text)
        assert said in str(caught.value)
        assert caught.value.hint

    @pytest.mark.parametrize(
        ("text", "said", "hint"),
        [
            ("brant", "no item has a field brant", "did you mean brand?"),
            ("brand:0,10", "brand has no ranges", "brand"),
            ("stock:0,1", "stock has no ranges", "stock"),
        ],
    )
    def test_what_does_not_fit(self, text: str, said: str, hint: str) -> None:
        with pytest.raises(FilterError) as caught:
            facets(TABLE, EVERYTHING, [text])
        assert said in str(caught.value)
        assert hint in caught.value.hint


def ordered(by: str, table: ItemTable = TABLE, **options: Any) -> str:
    return "".join(str(place + 1) for place in order(table, by, **options).tolist())


class TestSorting:
    @pytest.mark.parametrize(
        ("by", "expected"),
        [
            ("price", "312546"),
            ("-price", "521346"),
            ("brand", "124356"),
            ("-brand", "421356"),
            ("stock", "214356"),
            ("-stock", "142356"),
            ("-stock,price", "142356"),
            ("stock , -price", "214536"),
            ("title", "531264"),
            ("`made in`", "531246"),
            ("made in", "531246"),
            ("added", "431256"),
            ("photos,-item_id", "654321"),
            ("size", "651234"),
        ],
    )
    def test_examples(self, by: str, expected: str) -> None:
        assert ordered(by) == expected

    def test_some_positions(self) -> None:
        assert order(TABLE, "price", np.array([4, 5, 0])).tolist() == [0, 4, 5]
        assert order(TABLE, "-price", np.array([], dtype=np.int64)).tolist() == []
        assert order(TABLE, [SortKey("brand", descending=True)], np.array([5, 1, 3], dtype=np.int32)).tolist() == [
            3,
            1,
            5,
        ]

    @pytest.mark.parametrize("by", ["price", "-price", "stock,-price", "brand", "-title", "price,title"])
    @pytest.mark.parametrize("limit", range(1, 8))
    def test_the_first_of_them(self, by: str, limit: int) -> None:
        assert ordered(by, limit=limit) == ordered(by)[:limit]

    def test_case_does_not_part_words(self) -> None:
        table = ItemTable.of_rows([{"w": w} for w in ["b", "a", "B", "A", "C"]])
        assert ordered("w", table) == "42315"
        assert ordered("-w", table) == "51324"
        assert order(table, "w", np.array([0, 2])).tolist() == [2, 0]

    @settings(max_examples=100, deadline=None)
    @given(data=st.data(), rows=catalogues())
    def test_against_the_twin(self, data: st.DataObject, rows: Sequence[Mapping[str, Any]]) -> None:
        table = ItemTable.of_rows(rows)
        names = [name for name, kind in table.fields().items() if kind != "list" and name in NAMES]
        if not names:
            return
        keys = data.draw(st.lists(st.builds(SortKey, st.sampled_from(names), st.booleans()), min_size=1, max_size=3))
        positions = data.draw(st.lists(st.integers(0, len(rows) - 1), unique=True))
        limit = data.draw(st.none() | st.integers(1, 5))
        places = sorted(positions)
        for key in reversed(keys):  # Python's sort is stable, also when it is reversed
            values = (table.column(key.field) or pytest.fail()).tolist()
            there = [p for p in places if values[p] is not None]
            there.sort(
                key=lambda p: (v.casefold(), v) if isinstance(v := values[p], str) else v, reverse=key.descending
            )
            places = there + [p for p in places if values[p] is None]
        assert order(table, keys, np.array(positions, dtype=np.int64), limit).tolist() == places[:limit]

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("price", [SortKey("price")]),
            (" - price , +title", [SortKey("price", True), SortKey("title")]),
            ("-`a,b``c`,made in", [SortKey("a,b`c", True), SortKey("made in")]),
            ("in-stock", [SortKey("in-stock")]),
        ],
    )
    def test_read(self, text: str, expected: list[SortKey]) -> None:
        assert list(parse_sort(text)) == expected
        assert list(parse_sort(",".join(map(str, expected)))) == expected

    @pytest.mark.parametrize(
        "text", ["", ",", "price,", "price,,title", "-", "--price", "`a", "`a`b", "price,-", "\udc80"]
    )
    def test_what_cannot_be_read(self, text: str) -> None:
        with pytest.raises(FilterError) as caught:
            parse_sort(text)
        assert caught.value.hint

    def test_too_many_fields(self) -> None:
        with pytest.raises(FilterError, match="at most 8"):
            parse_sort(",".join("abcdefghi"))

    @pytest.mark.parametrize(
        ("by", "said", "hint"),
        [("tags", "tags is a list", "-price"), ("prise", "no item has a field prise", "did you mean price?")],
    )
    def test_what_does_not_fit(self, by: str, said: str, hint: str) -> None:
        with pytest.raises(FilterError) as caught:
            order(TABLE, by)
        assert said in str(caught.value)
        assert hint in caught.value.hint


class TestNotes:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ('brand = "Acme" and price < 50 and tags = "red"', []),
            ('brand = "ACME"', ['no item has brand = "ACME"; there is "Acme" and "acme"']),
            ('brand != "bolt"', ['no item has brand = "bolt"; there is "Bolt"']),
            ('brand = "Bolp"', ['no item has brand = "Bolp"; there is "Bolt"']),
            ('tags in ("red", "RED")', ['no item has tags = "RED"; there is "red"']),
            ("title = 'dress'", ['no item has title = "dress"']),
            ('size = "XL"', ['no item has size = "XL"; there is "42" and "M"']),
            ('title contains "dress"', ['no item has title contains "dress"']),
            ("price > 1000", ["no item has price > 1000; the smallest is -3, the largest 50"]),
            ("price = 21", ["no item has price = 21; the smallest is -3, the largest 50"]),
            ("price not in (1, 2)", ["no item has price in (1, 2); the smallest is -3, the largest 50"]),
            (
                "not price between 60 and 70",
                ["no item has price between 60 and 70; the smallest is -3, the largest 50"],
            ),
            ("brand is null and title is not null", []),
            ("stock = true", []),
        ],
    )
    def test_what_no_item_has(self, text: str, expected: list[str]) -> None:
        assert notes(parse(text), TABLE) == expected

    def test_at_most_five(self) -> None:
        assert len(notes(parse("brand in ('1', '2', '3') or price in (1) or size in ('4', '5', '6')"), TABLE)) == 5

    def test_the_same_thing_is_said_once(self) -> None:
        assert len(notes(parse("brand = 'x' or brand = 'x'"), TABLE)) == 1

    def test_a_boolean(self) -> None:
        table = ItemTable.of_rows([{"stock": True}])
        assert notes(parse("stock = false"), table) == ["no item has stock = false"]

    def test_words_of_the_past_are_no_words(self) -> None:
        column = TABLE.column("brand")
        assert column is not None and column.kind == "text"
        table = ItemTable.of_rows(ROWS)
        table._columns["brand"] = type(column)(np.where(column.codes == 0, -1, column.codes), column.words)
        assert notes(parse("brand = 'Acme'"), table) == ['no item has brand = "Acme"; there is "acme"']
        assert counted("brand", table) == [("Bolt", 1), ("acme", 1)]

    def test_an_empty_table(self) -> None:
        assert notes(parse("title = 'x'"), ItemTable.of_rows([])) == []
