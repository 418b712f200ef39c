"""`add` against a slow twin: each item by itself, in plain Python arithmetic."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.rules.expression import MAX_DEPTH, MAX_LENGTH, ExpressionError, parse
from tests.rule_items import RowItems

ROWS = [
    {"id": "a", "price": 10, "stock": 0, "brand": "Acme", "new": True, "units sold": 5, "größe": 2.5},
    {"id": "b", "price": 0.5, "stock": 7, "brand": "Other", "new": False},
    {"id": "c", "brand": "Acme", "price": -3},
    {"id": "d"},
]


def values(text: str) -> list[float]:
    return parse(text).values(RowItems(ROWS), len(ROWS))[0].tolist()


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("0.25", [0.25] * 4),
        (".5e1", [5] * 4),
        ("price", [10, 0.5, -3, 0]),
        ("-price", [-10, -0.5, 3, 0]),
        ("7 - 2 - 1", [4] * 4),
        ("8 / 2 / 2 * 3", [6] * 4),
        ("1 + 2 * 3", [7] * 4),
        ("(1 + 2) * 3", [9] * 4),
        ("2 - -1", [3] * 4),
        ("price > 0", [1, 1, 0, 0]),
        ("(price >= 0.5) + (price >= 10)", [2, 1, 0, 0]),
        ("stock = 0", [1, 0, 1, 1]),
        ("default(stock, 1) = 0", [1, 0, 0, 0]),
        ("default(stock, price + 1)", [0, 7, -2, 1]),
        ('brand = "Acme"', [1, 0, 1, 0]),
        ("0.5 * (brand != 'Acme')", [0, 0.5, 0, 0.5]),
        ("new", [1, 0, 0, 0]),
        ("new = true", [1, 0, 0, 0]),
        ("default(new, true) = false", [0, 1, 0, 0]),
        ("brand", [0] * 4),
        ("nothing_of_this_name + 1", [1] * 4),
        ("`units sold` * größe", [12.5, 0, 0, 0]),
        ("log1p(stock)", [0, pytest.approx(math.log(8)), 0, 0]),
        ("sqrt(default(stock, 4))", [0, pytest.approx(math.sqrt(7)), 2, 2]),
        ("min(price, stock, 1)", [0, 0.5, -3, 0]),
        ("max(price, stock)", [10, 7, 0, 0]),
        ("abs(price)", [10, 0.5, 3, 0]),
        ("clamp(price, -1, 1)", [1, 0.5, -1, 0]),
        ("true + true", [2] * 4),
        ("min", [0] * 4),
    ],
)
def test_values(text: str, wanted: list[float]) -> None:
    assert values(text) == wanted


def test_the_attributes_that_are_read() -> None:
    assert parse("a * (`b c` = 1) + min(d, default(e, f)) + (g = 'x')").fields == {"a", "b c", "d", "e", "f", "g"}
    assert parse("2 * true").fields == frozenset()


@pytest.mark.parametrize(
    "text", ["1 / stock", "log1p(-1 - stock)", "sqrt(0 - 1 - stock)", "1e200 * 1e200 + stock", "1e39"]
)
def test_what_is_not_finite_counts_as_0_and_is_counted(text: str) -> None:
    found, bad = parse(text).values(RowItems(ROWS), len(ROWS))
    assert found.dtype == np.float32
    assert np.isfinite(found).all()
    assert np.count_nonzero(bad) == (3 if text == "1 / stock" else 4)
    assert np.count_nonzero(found) == (1 if text == "1 / stock" else 0)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "it ends too early"),
        ("1 +", "it ends too early"),
        ("(1", "it ends too early"),
        ("1)", "it cannot be read at ')'"),
        ("a b", "it cannot be read at 'b'"),
        ("a ** 2", "it cannot be read at '*'"),
        ("a.b", "it cannot be read at '.b'"),
        ("1 < 2 < 3", "it cannot be read at '<'"),
        ("__import__('os')", "it cannot be read at \"'os')\""),
        ("a[0]", "it cannot be read at '[0]'"),
        ("lambda: 0", "it cannot be read at ':'"),
        ("'x'", "it cannot be read at \"'x'\""),
        ("'x' = a", "it cannot be read at \"'x'\""),
        ("a < 'x'", '"x" can only stand behind an attribute with = or !='),
        ("a + 1 = 'x'", '"x" can only stand behind an attribute with = or !='),
        ("exp(1)", "there is no function exp; there are abs, sqrt, log1p, min, max, clamp, default"),
        ("eval(1)", "there is no function eval"),
        ("min(1)", "min takes 2 to 20 values, not 1"),
        ("clamp(1, 2)", "clamp takes 3 values, not 2"),
        ("abs(1, 2)", "abs takes 1 value, not 2"),
        ("default(1, 2)", "it cannot be read at '1,'"),
        ("-" * (MAX_DEPTH + 1) + "1", f"it has more than {MAX_DEPTH} operations inside each other"),
        ("1" + "+1" * (MAX_DEPTH + 1), f"it has more than {MAX_DEPTH} operations"),
        ("1" * (MAX_LENGTH + 1), "it has 1,001 characters; at most 1,000 are read"),
        ("a\0", "it cannot be read at '\\x00'"),
    ],
    ids=lambda value: value[:30],
)
def test_mistakes(text: str, said: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        parse(text)
    assert said in str(caught.value)


def test_brackets_cost_no_recursion() -> None:
    assert values("(" * 490 + "2" + ")" * 490) == [2] * 4
    assert values("-" * (MAX_DEPTH - 2) + "(2)") == [2] * 4


# --- the twin: Python's own grammar has the same precedences, and `eval` knows nothing of NumPy ---


class Row(dict[str, Any]):
    """Names as an expression sees them for one item: what is missing is 0."""

    def __missing__(self, name: str) -> float:
        return 0.0


def either(choose: Callable[..., float]) -> Callable[..., float]:
    """min and max of NumPy: what is no number stays none."""
    return lambda *numbers: math.nan if any(map(math.isnan, numbers)) else choose(numbers)


def guarded(function: Callable[[float], float]) -> Callable[[float], float]:
    def call(x: float) -> float:
        try:
            return function(x)
        except ValueError:
            return math.nan

    return call


class Number(float):
    """A float that divides as IEEE 754 says instead of raising."""

    def __truediv__(self, other: float) -> "Number":
        if other:
            return Number(float(self) / float(other))
        return Number(
            math.nan if self == 0 or math.isnan(self) else math.copysign(math.inf, self) * math.copysign(1, other)
        )

    def __add__(self, other: float) -> "Number":
        return Number(float(self) + float(other))

    def __sub__(self, other: float) -> "Number":
        return Number(float(self) - float(other))

    def __mul__(self, other: float) -> "Number":
        return Number(float(self) * float(other))

    def __neg__(self) -> "Number":
        return Number(-float(self))


NAMES = ("price", "stock", "sold")
FUNCTIONS: dict[str, Callable[..., float]] = {
    "min": either(min),
    "max": either(max),
    "abs": abs,
    "log1p": lambda x: -math.inf if x == -1 else guarded(math.log1p)(x),
    "sqrt": guarded(math.sqrt),
    "clamp": lambda x, low, high: either(min)(either(max)(x, low), high),
}


@st.composite
def expressions(draw: st.DrawFn, depth: int = 4) -> tuple[str, str]:
    """The same expression for us and for Python; where brackets are not needed, there are none."""
    kind = (
        draw(st.sampled_from(["number", "name", "sum", "sum", "product", "negate", "compare", "call"]))
        if depth
        else "name"
    )
    if kind == "number":
        text = draw(st.sampled_from(["0", "1", "2", "0.5", "3.25", "1e2"]))
        return text, f"N({text})"
    if kind == "name":
        name = draw(st.sampled_from(NAMES))
        if draw(st.integers(0, 4)):
            return name, name
        text, python = draw(expressions(depth=max(depth - 2, 0)))
        return f"default({name}, {text})", f"N({name} if has('{name}') else {python})"
    if kind in ("sum", "product"):
        signs = "+-" if kind == "sum" else "*/"
        parts = [draw(expressions(depth=depth - 1)) for _ in range(draw(st.integers(2, 3)))]
        joins = [draw(st.sampled_from(signs)) for _ in parts[1:]]
        bracketed = draw(st.booleans())
        out = []
        for side in (0, 1):
            text = parts[0][side] + "".join(
                f" {sign} {part[side]}" for sign, part in zip(joins, parts[1:], strict=True)
            )
            out.append(f"({text})" if bracketed else text)
        return out[0], out[1]
    if kind == "negate":
        text, python = draw(expressions(depth=depth - 1))
        return f"-({text})", f"-({python})"
    if kind == "compare":
        (left, python), (right, other) = draw(expressions(depth=depth - 1)), draw(expressions(depth=depth - 1))
        sign = draw(st.sampled_from(["=", "!=", "<", "<=", ">", ">="]))
        return f"({left} {sign} {right})", f"N({python} {'==' if sign == '=' else sign} {other})"
    name = draw(st.sampled_from(sorted(FUNCTIONS)))
    count = {"min": 2, "max": 3, "clamp": 3}.get(name, 1)
    parts = [draw(expressions(depth=depth - 1)) for _ in range(count)]
    return f"{name}({', '.join(a for a, _ in parts)})", f"N({name}({', '.join(b for _, b in parts)}))"


amounts = st.sampled_from([0, 1, 2, -1, 0.5, 1000, True])
rows = st.lists(st.dictionaries(st.sampled_from(NAMES), amounts), min_size=1, max_size=5)


@settings(max_examples=300, deadline=None)
@given(expression=expressions(), table=rows)
def test_twin(expression: tuple[str, str], table: list[dict[str, float]]) -> None:
    text, python = expression
    if len(text) > MAX_LENGTH:
        return
    found, bad = parse(text).values(RowItems(table), len(table))
    wanted = []
    for row in table:
        numbers = Row({name: Number(value) for name, value in row.items()})
        known = {**FUNCTIONS, "N": Number, "has": row.__contains__, **{name: Number(numbers[name]) for name in NAMES}}
        wanted.append(float(eval(python, {"__builtins__": {}}, known)))
    with np.errstate(over="ignore"):
        narrow = np.array(wanted).astype(np.float32)
    finite = np.isfinite(narrow)
    assert bad.tolist() == (~finite).tolist()
    assert found.tolist() == np.where(finite, narrow, np.float32(0)).tolist()
