"""Filters: what they let through is what a slow twin says item by item; what cannot be read says where and why."""

import json
import math
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexer.sources.base import SourceItem
from retrieval.collection import Collection
from retrieval.errors import FilterError, QueryError
from retrieval.filters import Filter, check, matching, parse
from retrieval.filters.expression import (
    MAX_DEPTH,
    MAX_LENGTH,
    MAX_PARTS,
    MAX_VALUES,
    OPERATORS,
    RESERVED,
    Between,
    Comparison,
    Expression,
    In,
    IsNull,
    Joined,
    Not,
    join,
)
from retrieval.items import ItemTable
from retrieval.items.builder import as_text, is_value
from tests.listed import NoiseEncoder, fill

Row = Mapping[str, Any]

ROWS: list[dict[str, Any]] = [
    {"item_id": "1", "title": "Polo shirt", "price": 20, "brand": "Acme", "tags": ["red", "new"], "stock": True},
    {"item_id": "2", "title": "Schöne Straße", "price": 49.5, "brand": "acme", "tags": "red", "stock": False},
    {"item_id": "3", "title": "POLO boots", "price": -3, "tags": [], "made in": "Łódź", "added": "2024-05-01"},
    {"item_id": "4", "title": "", "brand": "Bolt", "tags": ["blue"], "stock": True, "added": "2023-12-31"},
    {"item_id": "5", "title": 'a 100% \\ "x"', "price": 50, "size": "M", "made in": "here"},
    {"item_id": "6", "title": "six", "price": None, "brand": "", "size": 42, "tags": ["new", "Old red"]},
]
TABLE = ItemTable.of_rows(ROWS)


def found(text: str, table: ItemTable = TABLE) -> str:
    """Ids of the items that pass, one digit each."""
    ids = table.column("item_id")
    assert ids is not None
    return "".join(name for name, passes in zip(ids.tolist(), matching(parse(text), table), strict=True) if passes)


class TestMeaning:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("price < 50", "123"),
            ("price <= 50", "1235"),
            ("price > 20", "25"),
            ("price >= 2e1", "125"),
            ("price = 49.5", "2"),
            ("price = -3.0", "3"),
            ("price != 20", "23456"),
            ("price between 20 and 49.5", "12"),
            ("price between 50 and 20", ""),
            ("price in (20, 50, 7)", "15"),
            ("price not in (20, 50)", "2346"),
            ("price in (1,2,3,4,5,6,7,8,9,20,-3)", "13"),
            ('brand = "Acme"', "1"),
            ('brand != "Acme"', "23456"),
            ('brand != "Acme" and brand is not null', "24"),
            ('not brand = "Acme"', "23456"),
            ('brand in ("Acme", "Bolt", "none")', "14"),
            ('brand not in ("Acme", "Bolt")', "2356"),
            ("brand is null", "356"),
            ("brand is not null", "124"),
            ('brand contains "CM"', "12"),
            ('brand starts with "B"', "4"),
            ('brand >= "Bolt"', "24"),
            ('added > "2024"', "3"),
            ('added between "2023-01-01" and "2023-12-31"', "4"),
            ('title contains "polo"', "13"),
            ('title contains "STRASSE"', "2"),
            ('title contains ""', "12356"),
            ('title contains "100%"', "5"),
            (r'title contains "\\"', "5"),
            (r"""title contains '"x"'""", "5"),
            ('title contains "a.*x"', ""),
            ("title is null", "4"),
            ('tags = "red"', "12"),
            ('tags != "red"', "3456"),
            ('tags in ("blue", "new")', "146"),
            ('tags contains "RED"', "126"),
            ('tags starts with "old"', "6"),
            ("tags is null", "35"),
            ('tags between "a" and "c"', "4"),
            ('tags between "o" and "z"', "12"),
            ("stock = true", "14"),
            ("stock = false", "2"),
            ("stock != true", "2356"),
            ("stock in (true, false)", "124"),
            ("stock is null", "356"),
            ('size = "42"', "6"),
            ('size in ("M", "42")', "56"),
            ('`made in` = "Łódź"', "3"),
            ('`made in` starts with "ł"', "3"),
            ('item_id > "4"', "56"),
            ("photos = 1", "123456"),
            ('price < 30 and brand = "Acme" or stock = true', "14"),
            ('price < 30 and (brand = "Acme" or stock is null)', "13"),
            ('not price < 30 and brand = "Acme"', ""),
            ('not (price < 30 and brand = "Acme")', "23456"),
            ('not not brand = "Acme"', "1"),
        ],
    )
    def test_examples(self, text: str, expected: str) -> None:
        assert found(text) == expected
        assert found(str(parse(text))) == expected

    def test_the_answer_is_the_callers_to_change(self) -> None:
        for text in ("brand is not null", "brand is null", "stock = true"):
            first = matching(parse(text), TABLE)
            first[:] = True
            assert not matching(parse(text), TABLE).all()

    def test_no_items(self) -> None:
        table = ItemTable.of_rows([])
        assert matching(parse('title = "x" or photos > 1'), table).shape == (0,)
        with pytest.raises(FilterError) as caught:
            matching(parse("price < 5"), table)
        assert caught.value.hint == "the collection is empty"

    def test_in_a_real_collection(self, tmp_path: Path) -> None:
        made = [
            SourceItem(row["item_id"], row["title"], (), {"story": "long ago"} if row["item_id"] == "2" else {}, row)
            for row in ROWS
        ]
        fill(tmp_path, made)
        asked = parse('price < 50 and (`made in` = "Łódź" or story contains "LONG")')
        with Collection.open(tmp_path) as collection:
            view, table = collection.view_with_items(asked.fields)
            allowed = matching(asked, table)
            assert allowed.tolist() == [False, True, True, False, False, False]
            mask = table.mask("text", allowed)
            every = view.text.search(NoiseEncoder().encode_texts(["long ago"]), 20, lambda _: pytest.fail("no need"))
            kept = every.ids[0][mask.permits(every.ids[0])]
            assert sorted(table.items_of("text", kept).tolist()) == [1, 1, 2]


class TestText:
    @pytest.mark.parametrize(
        ("text", "canonical"),
        [
            ("price<50", "price < 50"),
            ("  price\n<\t5.0 ", "price < 5"),
            ("price = +.5e2", "price = 50"),
            ("price = -0", "price = 0"),
            ("price = 1e300", "price = 1e+300"),
            ("a='x' AND b=\"y\" Or NOT c IS Not NULL", 'a = "x" and b = "y" or not c is not null'),
            ("(a = 1 and b = 2) and c = 3", "a = 1 and b = 2 and c = 3"),
            ("(a = 1 or b = 2) and ((c = 3))", "(a = 1 or b = 2) and c = 3"),
            ("not (a = 1)", "not a = 1"),
            ("a Not  In ( 1 , 2 ,)", "a not in (1, 2)"),
            ("a STARTS   WITH 'x'", 'a starts with "x"'),
            ("a = TRUE or b = False", "a = true or b = false"),
            (r"a = 'it\'s \"\\\n\t\r\u0141'", r'''a = "it's \"\\\n\t\rŁ"'''),
            ("`made in` = 'x'", '`made in` = "x"'),
            ("`a``b` = 1", "`a``b` = 1"),
            ("`price` = 1", "price = 1"),
            ("`And` = 1 or `null` is null", "`And` = 1 or `null` is null"),
            ("android = 1 and orange = 2 and notes = 3 and is_new = 4 and in-stock = 5 and null.x = 6", None),
            ("größe = 1 and 価格 = 2 and _x9 = 3", None),
            ("`9x` = 1", "`9x` = 1"),
            ("with = 1", "with = 1"),
        ],
    )
    def test_canonical(self, text: str, canonical: str | None) -> None:
        asked = parse(text)
        assert str(asked) == (text if canonical is None else canonical)
        assert repr(parse(str(asked))) == repr(asked)

    def test_equal_filters_are_one_key(self) -> None:
        assert len({parse("a<5"), parse("a < 5.0"), parse("(a < 5)")}) == 1
        assert parse("a = 1") != parse("a = true")
        assert parse("a = 1") != parse('a = "1"')
        assert parse("a = 1") & parse("b = 2 or c = 3") == parse("a = 1 and (b = 2 or c = 3)")
        assert parse("b = 1 and (a = 2 or b = 3)").fields == ("b", "a")

    @pytest.mark.parametrize(
        ("text", "said", "hint", "at"),
        [
            ("", "is empty", "price < 50", None),
            (" \n", "is empty", "price < 50", None),
            ("price <", "expected a value", "price < 50", 7),
            ("price < \t ", "but the filter ends here", "price < 50", 7),
            ("price < and x = 1", 'expected a value, such as 50, "text" or true, not and', "", 8),
            ("price", "expected =, !=, <", "", 5),
            ("price 5", "expected =, !=, <", "", 6),
            ("a = 1 b = 2", "expected and, or, or the end, not b", "", 6),
            ("a = 1)", "expected and, or, or the end, not )", "", 5),
            ("(a = 1", "expected a closing parenthesis, but the filter ends", "", 6),
            ("not", "expected a field", "", 3),
            ("= 5", "expected a field, not =", "", 0),
            ("a in 5", "expected a list of values in parentheses", "", 5),
            ("a in ()", "expected a value", "", 6),
            ("a in (1 2)", "expected a comma or a closing parenthesis", "", 8),
            ("a between 1", "expected and", "", 11),
            ("a between 1 or 2", "expected and, not or", "", 12),
            ("a is 5", "expected null or not null", "", 5),
            ("a not = 5", "expected in", "", 6),
            ('a = "Black', "the text that begins here has no end", 'close it with "', 4),
            ("a = 'Bl\"ack", "the text that begins here has no end", "close it with '", 4),
            (r"a = 'x\'", "the text that begins here has no end", "close it with '", 4),
            ("`made in = 5", "the name that begins here has no end", "close it with `", 0),
            ("`` = 5", "expected a field", "", 0),
            ("a = black", "expected a value", 'text stands in quotes: "black"', 4),
            ("a = “x”", "not a typographic quote", "plain quotes", 4),
            ("a == 5", "expected a value", "write =", 3),
            ("a <> 5", "expected a value", "write !=", 3),
            ("a =< 5", "expected a value", "write <=", 3),
            ("a = 1 && b = 2", "expected and, or", "write and", 6),
            ("a = 1 || b = 2", "expected and, or", "write or", 6),
            ("!a = 1", "expected a field", "write not", 0),
            ("a like 'x'", "expected =, !=", "write contains", 2),
            ("in = 5", "expected a field, not in", "in backticks: `in`", 0),
            ("a = 5x", "expected a value", "", 4),
            ("a = 1.2.3", "expected a value", "", 4),
            ("a = 1e999", "too large", "1.8e308", 4),
            (r"b = 1 and a = 'x\q'", r"unknown escape \q", r"\\", 14),
            (r"a = 'x\u12'", r"unknown escape \u", r"\\", 4),
            ("a ~ 5", "expected =, !=", "write contains", 2),
            ("a = $5", "expected a value", "", 4),
            ("a = null", "expected a value", "", 4),
        ],
    )
    def test_what_cannot_be_read(self, text: str, said: str, hint: str, at: int | None) -> None:
        with pytest.raises(FilterError) as caught:
            parse(text)
        message, *below = str(caught.value).split("\n")
        assert said in message
        assert hint in caught.value.hint
        if at is None:
            assert below == []
        else:
            shown, caret = below
            assert caret == " " * (at + 2) + "^"
            assert shown[2:] == text.replace("\t", " ")

    @pytest.mark.parametrize("at", [5, 300, 1200])
    def test_a_long_text_is_shown_around_the_place(self, at: int) -> None:
        text = " and ".join(f"x{n} = 1" for n in range(200))
        at = text.index("=", at)
        text = f"{text[:at]}?{text[at + 1 :]}"
        with pytest.raises(FilterError) as caught:
            parse(text)
        _, shown, caret = str(caught.value).split("\n")
        assert len(shown) <= 80
        assert shown[len(caret) - 1] == "?"
        assert ("…" in shown[:4], shown.endswith("…")) == (at > 40, True)

    def test_wide_characters_take_two_columns(self) -> None:
        with pytest.raises(FilterError) as caught:
            parse("名前 = 価格")
        assert str(caught.value).split("\n")[2] == "  " + " " * 7 + "^"

    def test_errors_are_query_errors(self) -> None:
        with pytest.raises(QueryError):
            parse("=")

    def test_text_that_is_no_unicode(self) -> None:
        for text in ("a = '\udc80'", r"a = '\ud800'"):
            with pytest.raises(FilterError, match="Unicode"):
                parse(text)


class TestLimits:
    def test_length(self) -> None:
        parse(f"a = '{'x' * (MAX_LENGTH - 6)}'")
        with pytest.raises(FilterError, match="10,001 characters"):
            parse(f"a = '{'x' * (MAX_LENGTH - 5)}'")

    @pytest.mark.parametrize("text", ["{}a = 1{}", "not {}a = 1{}"])
    def test_parentheses_alone_are_no_depth(self, text: str) -> None:
        assert len(str(parse(text.format("(" * 4000, ")" * 4000)))) < 20

    def test_depth(self) -> None:
        parse("not " * (MAX_DEPTH - 1) + "a = 1")
        with pytest.raises(FilterError, match="levels"):
            parse("not " * MAX_DEPTH + "a = 1")
        with pytest.raises(FilterError, match="levels"):
            parse("not (a = 1 and " * 300 + "a = 1" + ")" * 300)

    def test_many_comparisons(self) -> None:
        assert len(parse(" or ".join(["a=1"] * 1400)).root.comparisons) == 1400

    def test_hostile_text_is_refused_quickly(self) -> None:
        started = time.monotonic()
        for text in ("(" * 9999, "not " * 2499, "a=1 and " * 1249, '"' + "\\" * 9990, "a in (" + "1," * 4990):
            with pytest.raises(FilterError):
                parse(text)
        assert time.monotonic() - started < 5

    def test_hostile_json_is_refused(self) -> None:
        deep: Any = {"field": "a", "=": 1}
        for _ in range(MAX_DEPTH):
            deep = {"not": deep}
        with pytest.raises(FilterError, match="levels"):
            Filter.from_json(deep)
        for _ in range(100_000):
            deep = {"and": [deep]}
        with pytest.raises(FilterError, match="levels"):
            Filter.from_json(deep)
        leaf = {"field": "a", "=": 1}
        with pytest.raises(FilterError, match="2,000"):
            Filter.from_json({"or": [leaf] * (MAX_PARTS + 1)})
        with pytest.raises(FilterError, match="2,000"):
            Filter.from_json({"or": [{"and": [leaf] * 1500}] * 3})
        with pytest.raises(FilterError, match="10,001 values"):
            Filter.from_json({"field": "a", "in": [1] * (MAX_VALUES + 1)})
        with pytest.raises(FilterError, match="characters"):
            Filter.from_json({"field": "a", "=": "x" * (MAX_LENGTH + 1)})
        assert len(Filter.from_json({"field": "a", "in": list(range(MAX_VALUES))}).root.comparisons) == 1


class TestJson:
    @pytest.mark.parametrize(
        ("value", "text"),
        [
            ({"field": "price", "<": 50}, "price < 50"),
            ({"field": "made in", "=": "here"}, '`made in` = "here"'),
            ({"<=": 1.5, "field": "price"}, "price <= 1.5"),
            ({"field": "a", "between": [1, 2]}, "a between 1 and 2"),
            ({"field": "a", "in": ["x", "y"]}, 'a in ("x", "y")'),
            ({"field": "a", "not in": [1]}, "a not in (1)"),
            ({"field": "a", "is null": True}, "a is null"),
            ({"field": "a", "is null": False}, "a is not null"),
            ({"field": "a", "is not null": True}, "a is not null"),
            ({"field": "a", "is not null": False}, "a is null"),
            ({"field": "a", "=": True}, "a = true"),
            ({"field": "a", "starts with": "x"}, 'a starts with "x"'),
            ({"and": [{"field": "a", "=": 1}]}, "a = 1"),
            ({"or": [{"field": "a", "=": 1}, {"not": {"field": "b", "contains": "x"}}]}, 'a = 1 or not b contains "x"'),
            ("a = 1 or b = 2", "a = 1 or b = 2"),
        ],
    )
    def test_forms(self, value: Any, text: str) -> None:
        asked = Filter.from_json(value)
        assert str(asked) == text
        assert Filter.from_json(json.loads(json.dumps(asked.to_json()))) == asked

    @pytest.mark.parametrize(
        ("value", "said"),
        [
            ([], "an empty list"),
            (5, "a number"),
            (None, "null"),
            ({}, "this has none"),
            ({"and": []}, "an empty list"),
            ({"and": {"field": "a", "=": 1}}, "an object"),
            ({"and": [1]}, "a number"),
            ({"and": [{"field": "a", "=": 1}], "or": []}, '"and", "or"'),
            ({"nand": []}, '"nand"'),
            ({"not": []}, "an empty list"),
            ({"field": "a"}, '"field"'),
            ({"field": "a", "<": 1, ">": 2}, "compared in one way"),
            ({"field": 5, "=": 1}, "name of a field"),
            ({"field": "", "=": 1}, "name of a field"),
            ({"field": "a", "==": 1}, '"==" is no comparison'),
            ({"field": "a", "=": None}, "None cannot be compared"),
            ({"field": "a", "=": [1]}, "cannot be compared"),
            ({"field": "a", "=": math.nan}, "too large"),
            ({"field": "a", "=": 10**400}, "too large"),
            ({"field": "a", "=": "\ud800"}, "Unicode"),
            ({"field": "\ud800", "=": 1}, "Unicode"),
            ({"field": "a", "between": [1]}, "a list of 1"),
            ({"field": "a", "between": 1}, "a number"),
            ({"field": "a", "in": []}, "an empty list"),
            ({"field": "a", "in": "x"}, "a text"),
            ({"field": "a", "is null": 1}, "true or false"),
            ({"field": "a", 5: 1}, '"5" is no comparison'),
        ],
    )
    def test_what_is_refused(self, value: Any, said: str) -> None:
        with pytest.raises(FilterError) as caught:
            Filter.from_json(value)
        assert said in str(caught.value)
        assert caught.value.hint


class TestFields:
    @pytest.mark.parametrize(
        ("text", "said", "hint"),
        [
            ("prise < 5", "no item has a field prise", "did you mean price?"),
            ("Price < 5", "no item has a field Price", "did you mean price?"),
            ("`made_in` = 'x'", "no item has a field made_in", "did you mean `made in`?"),
            ("zzz = 5", "no item has a field zzz", "the fields are added, brand, item_id"),
            ('price < "abc"', 'price is a number and is never the text "abc"', "price < 50"),
            ("price = true", "price is a number and is never true", "price < 50"),
            ('price contains "5"', "never the text", "price < 50"),
            ("price contains 5", "no `contains`", "price < 50"),
            ("title < 5", "title is text and is never the number 5", 'title = "some text"'),
            ("brand in ('x', 5)", "brand is text and is never the number 5", "brand ="),
            ("tags = 5", "tags is a list of texts", 'tags = "one of them"'),
            ("stock = 1", "stock is true or false and is never the number 1", "stock = true"),
            ("stock < true", "no `<`", "stock = true"),
            ("stock between false and true", "no `between`", "stock = true"),
            ("stock contains true", "no `contains`", "stock = true"),
            ("`made in` = 5", "`made in` is text", '`made in` = "some text"'),
            ("price between 1 and 'x'", "never the text", "price < 50"),
            ("size = 42", "size is text", 'size = "some text"'),
            (f"title = 5 or brand = '{'x' * 90}'", "title is text", ""),
            (f"price = '{'x' * 90}'", "xxx…", ""),
        ],
    )
    def test_what_does_not_fit(self, text: str, said: str, hint: str) -> None:
        for act in (check, matching):
            with pytest.raises(FilterError) as caught:
                act(parse(text), TABLE)
            assert said in str(caught.value)
            assert hint in caught.value.hint
            assert all(len(line) < 120 for line in str(caught.value).split("\n"))

    def test_a_field_of_no_value_is_none(self) -> None:
        with pytest.raises(FilterError, match="no item has a field empty"):
            check(parse("empty is null"), ItemTable.of_rows([{"title": "x", "empty": None}]))


def slow(expression: Expression, row: Row, kinds: Mapping[str, str]) -> bool:
    """The obvious twin: one item, plain Python."""
    match expression:
        case Joined(word=word, joined=parts):
            return (all if word == "and" else any)(slow(part, row, kinds) for part in parts)
        case Not(part=part):
            return not slow(part, row, kinds)
    value = row.get(expression.field)  # type: ignore[attr-defined]
    elements = [part for part in (value if isinstance(value, list) else [value]) if is_value(part)]
    if kinds[expression.field] in {"text", "list"}:  # type: ignore[attr-defined]
        elements = [as_text(part) for part in elements]
    match expression:
        case IsNull(negated=negated):
            return bool(elements) == negated
        case In(values=wanted, negated=negated):
            return any(part in wanted for part in elements) != negated
        case Between(low=low, high=high):
            return any(low <= part <= high for part in elements)
        case Comparison(operator="!=", value=other):
            return not any(part == other for part in elements)
        case Comparison(operator=operator, value=other):
            compared = {
                "=": lambda part: part == other,
                "<": lambda part: part < other,
                "<=": lambda part: part <= other,
                ">": lambda part: part > other,
                ">=": lambda part: part >= other,
                "contains": lambda part: other.casefold() in part.casefold(),
                "starts with": lambda part: part.casefold().startswith(other.casefold()),
            }
            return any(compared[operator](part) for part in elements)
    raise TypeError(expression)


# Few different values, so that filters hit; with letters that fold, that are wide, and that are in two planes.
TEXTS = st.sampled_from(
    ["a", "A", "ab", "b", "ß", "SS", "ǅ", "İ", "é", "e\u0301", "日本", "😀", "\\", '"', "a\nb", "10", "9"]
)
NUMBERS = st.sampled_from([-1.5, 0, 1, 2, 3, 2.5, 1e300]) | st.integers(-5, 5)
LISTS = st.lists(TEXTS | st.none() | st.just(""), max_size=3)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "number": NUMBERS | st.just(math.nan),
    "boolean": st.booleans(),
    "text": TEXTS | st.just(""),
    "list": TEXTS | LISTS,
    "mixed": st.one_of(TEXTS, NUMBERS, st.booleans()),
    "mixed list": st.one_of(TEXTS, NUMBERS, st.booleans(), LISTS),
}
NAMES = ["n", "b", "t", "made in", "m", "and"]


@st.composite
def catalogues(draw: st.DrawFn) -> list[dict[str, Any]]:
    kinds = {name: draw(st.sampled_from(sorted(VALUES))) for name in NAMES}
    row = st.fixed_dictionaries({}, optional={name: st.none() | VALUES[kind] for name, kind in kinds.items()})
    return draw(st.lists(row, min_size=1, max_size=12))


@st.composite
def fitting(draw: st.DrawFn, kinds: Mapping[str, str]) -> Expression:
    """An expression that fits fields of these kinds."""
    word = draw(st.sampled_from(["and", "or", "not", *["leaf"] * 6]))
    if word == "not":
        return Not(draw(fitting(kinds)))
    if word in {"and", "or"}:
        return join(word, [draw(fitting(kinds)) for _ in range(draw(st.integers(2, 3)))])
    name = draw(st.sampled_from(sorted(kinds)))
    kind = kinds[name]
    operand = {"number": NUMBERS.map(float), "boolean": st.booleans()}.get(kind, TEXTS)
    forms = ["null", "in", "="] if kind == "boolean" else ["null", "in", "between", *OPERATORS]
    form = draw(
        st.sampled_from(forms if kind in {"text", "list"} else [f for f in forms if " " not in f and f != "contains"])
    )
    match form:
        case "null":
            return IsNull(name, draw(st.booleans()))
        case "in":
            return In(name, tuple(draw(st.lists(operand, min_size=1, max_size=12))), draw(st.booleans()))
        case "between":
            return Between(name, draw(operand), draw(operand))
    return Comparison(name, form, draw(operand))


class TestAgainstTheTwin:
    @settings(max_examples=200, deadline=None)
    @given(data=st.data(), rows=catalogues())
    def test_random_filters_on_random_catalogues(self, data: st.DataObject, rows: Sequence[Row]) -> None:
        table = ItemTable.of_rows(rows)
        kinds = {name: kind for name, kind in table.fields().items() if name in NAMES}
        if not kinds:
            return
        asked = Filter(data.draw(fitting(kinds)))
        assert matching(asked, table).tolist() == [slow(asked.root, row, kinds) for row in rows]
        assert repr(parse(str(asked))) == repr(asked)
        assert Filter.from_json(json.loads(json.dumps(asked.to_json()))) == asked

    @settings(max_examples=150, deadline=None)
    @given(
        name=st.text(min_size=1, max_size=8) | st.sampled_from(RESERVED),
        value=st.text(max_size=8) | st.floats(allow_nan=False, allow_infinity=False) | st.booleans(),
    )
    def test_any_name_and_value_survive_printing(self, name: str, value: Any) -> None:
        try:
            asked = Filter.from_json({"field": name, "=": value})
        except FilterError as error:
            assert "Unicode" in str(error)
            return
        assert repr(parse(str(asked))) == repr(asked)

    @settings(max_examples=300, deadline=None)
    @given(
        st.lists(
            st.sampled_from(["a", " ", "=", "<", "1", "'", '"', "`", "(", ")", ",", "\\", "."])
            | st.sampled_from([" and ", " not ", " in ", " is ", "null", "a = 1", "a in (1)"]),
            max_size=25,
        ).map("".join)
    )
    def test_any_text_is_read_or_refused(self, text: str) -> None:
        try:
            asked = parse(text)
        except FilterError as error:
            assert error.hint
            return
        assert repr(parse(str(asked))) == repr(asked)


def test_lark_and_pyarrow_are_loaded_by_filters_only() -> None:
    program = "import sys, retrieval.search, retrieval.filters; print({'lark', 'pyarrow'} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=Path(__file__).parents[1], capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "set()", done.stderr


def test_what_makes_a_column_of_numbers_text_is_named() -> None:
    table = ItemTable.of_rows([{"price": text} for text in ("10", "20", "1,200.50", "30", "40")])
    with pytest.raises(FilterError, match=r'price is text, since some of its values are no numbers \("1,200.50"\)'):
        matching(parse("price < 15"), table)
    words = ItemTable.of_rows([{"name": text} for text in ("a", "b", "3")])
    with pytest.raises(FilterError, match="name is text and is never the number 15"):
        matching(parse("name < 15"), words)
