"""A filter as a value: which fields it compares with what. Equal filters have equal canonical text.

Two-valued logic: a comparison with a missing value is false, and `not` negates. `!=` and `not in` are `not` of their
positives, so they hold for items without a value too; `is not null` beside them leaves those out. For a list every
comparison means: any element. Text compares by code point, so ISO dates in order of time.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from retrieval.errors import FilterError

MAX_LENGTH = 10_000  # characters of a filter's text, and of one text in it
MAX_DEPTH = 50  # levels of `not`, `and`, `or` inside each other
MAX_PARTS = 2_000  # comparisons of one filter
MAX_VALUES = 10_000  # of one `in`

Value = float | str | bool
Operator = Literal["=", "!=", "<", "<=", ">", ">=", "contains", "starts with"]
OPERATORS: tuple[Operator, ...] = ("=", "!=", "<", "<=", ">", ">=", "contains", "starts with")

RESERVED = ("and", "or", "not", "in", "between", "contains", "starts", "is", "null", "true", "false")
BARE_NAME = r"[^\W\d][\w.\-]*"
_bare = re.compile(rf"(?!(?:{'|'.join(RESERVED)})\Z)(?:{BARE_NAME})", re.IGNORECASE).fullmatch
_ESCAPED = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r"}


@dataclass(frozen=True, eq=False)
class Expression:
    """Base of all parts of a filter. `str` is the canonical text, by which two are compared."""

    @cached_property
    def text(self) -> str:
        """The canonical text, which parses to an equal expression."""
        raise NotImplementedError

    @property
    def parts(self) -> tuple["Expression", ...]:
        """The expressions that this one joins."""
        return ()

    @cached_property
    def depth(self) -> int:
        """1 for a comparison, and 1 more for each level of expressions around the deepest."""
        return 1 + max((part.depth for part in self.parts), default=0)

    @cached_property
    def comparisons(self) -> tuple["Leaf", ...]:
        """All comparisons in it, from left to right."""
        return tuple(leaf for part in self.parts for leaf in part.comparisons)

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        raise NotImplementedError

    def __str__(self) -> str:
        return self.text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Expression) and self.text == other.text

    def __hash__(self) -> int:
        return hash(self.text)


@dataclass(frozen=True, eq=False)
class Leaf(Expression):
    """Base of what looks at one field."""

    field: str

    @property
    def operands(self) -> tuple[Value, ...]:
        """The values that the field is compared with."""
        return ()

    @cached_property
    def comparisons(self) -> tuple["Leaf", ...]:
        return (self,)


@dataclass(frozen=True, eq=False)
class Comparison(Leaf):
    """`price < 50`; value: a float, a text or a bool."""

    operator: Operator
    value: Value

    @property
    def operands(self) -> tuple[Value, ...]:
        return (self.value,)

    @cached_property
    def text(self) -> str:
        return f"{name_text(self.field)} {self.operator} {value_text(self.value)}"

    def to_json(self) -> dict[str, Any]:
        return {"field": self.field, self.operator: _json(self.value)}


@dataclass(frozen=True, eq=False)
class Between(Leaf):
    """`price between 10 and 20`, both ends included."""

    low: Value
    high: Value

    @property
    def operands(self) -> tuple[Value, ...]:
        return (self.low, self.high)

    @cached_property
    def text(self) -> str:
        return f"{name_text(self.field)} between {value_text(self.low)} and {value_text(self.high)}"

    def to_json(self) -> dict[str, Any]:
        return {"field": self.field, "between": [_json(self.low), _json(self.high)]}


@dataclass(frozen=True, eq=False)
class In(Leaf):
    """`colour in ("red", "blue")`, or `not in`."""

    values: tuple[Value, ...]
    negated: bool = False

    @property
    def operands(self) -> tuple[Value, ...]:
        return self.values

    @cached_property
    def text(self) -> str:
        return f"{name_text(self.field)} {self._word} ({', '.join(map(value_text, self.values))})"

    def to_json(self) -> dict[str, Any]:
        return {"field": self.field, self._word: [_json(value) for value in self.values]}

    @property
    def _word(self) -> str:
        return "not in" if self.negated else "in"


@dataclass(frozen=True, eq=False)
class IsNull(Leaf):
    """`brand is null`: there is no value; or `is not null`."""

    negated: bool = False

    @cached_property
    def text(self) -> str:
        return f"{name_text(self.field)} is {'not null' if self.negated else 'null'}"

    def to_json(self) -> dict[str, Any]:
        return {"field": self.field, "is null": not self.negated}


@dataclass(frozen=True, eq=False)
class Not(Expression):
    """`not` of another expression."""

    part: Expression

    @property
    def parts(self) -> tuple[Expression, ...]:
        return (self.part,)

    @cached_property
    def text(self) -> str:
        return f"not ({self.part})" if isinstance(self.part, Joined) else f"not {self.part}"

    def to_json(self) -> dict[str, Any]:
        return {"not": self.part.to_json()}


@dataclass(frozen=True, eq=False)
class Joined(Expression):
    """Two or more expressions joined by `and` or by `or`. Made by `joined`."""

    word: Literal["and", "or"]
    joined: tuple[Expression, ...]

    @property
    def parts(self) -> tuple[Expression, ...]:
        return self.joined

    @cached_property
    def text(self) -> str:
        loose = [self.word == "and" and isinstance(part, Joined) for part in self.joined]
        return f" {self.word} ".join(
            f"({part})" if is_loose else str(part) for part, is_loose in zip(self.joined, loose, strict=True)
        )

    def to_json(self) -> dict[str, Any]:
        return {self.word: [part.to_json() for part in self.joined]}


def join(word: Literal["and", "or"], parts: Sequence[Expression]) -> Expression:
    """All of the parts, or any; those joined by the same word are taken apart: (a and b) and c is a and b and c."""
    flat: list[Expression] = []
    for part in parts:
        flat.extend(part.joined if isinstance(part, Joined) and part.word == word else [part])
    return flat[0] if len(flat) == 1 else bounded(Joined(word, tuple(flat)))


def bounded(expression: Expression) -> Expression:
    """The expression, if it is not too deep or too long. Raises FilterError."""
    if expression.depth > MAX_DEPTH:
        raise FilterError(
            f"the filter is nested more than {MAX_DEPTH} levels deep", hint="write it with fewer parentheses and nots"
        )
    if len(expression.parts) > 1 and len(expression.comparisons) > MAX_PARTS:
        raise FilterError(
            f"the filter has more than {MAX_PARTS:,} comparisons",
            hint='name several values at once: field in ("a", "b")',
        )
    return expression


def checked_value(value: Any) -> Value:
    """A number as float, a text or a bool, as a filter holds it. Raises FilterError for what no field can have."""
    match value:
        case bool():
            return value
        case int() | float():
            try:
                number = float(value)
            except OverflowError:
                number = math.inf
            if not math.isfinite(number):
                raise FilterError("a number in the filter is too large", hint="the largest are about 1.8e308")
            return number + 0.0  # -0.0 is 0
        case str():
            if len(value) > MAX_LENGTH:
                raise FilterError(
                    f"a text in the filter has {len(value):,} characters; at most {MAX_LENGTH:,} are allowed",
                    hint="compare with a shorter one",
                )
            return checked_text(value)
    raise FilterError(
        f"{value!r:.60} cannot be compared with a field", hint="a filter compares numbers, texts, true and false"
    )


def checked_values(values: Sequence[Any]) -> tuple[Value, ...]:
    """The values of an `in`. Raises FilterError for too many of them, and as `checked_value`."""
    if len(values) > MAX_VALUES:
        raise FilterError(
            f"a list in the filter has {len(values):,} values; at most {MAX_VALUES:,} are allowed",
            hint="search several times, with a part of them each",
        )
    return tuple(map(checked_value, values))


def checked_text(text: str) -> str:
    """The text, if it can be written as UTF-8. Raises FilterError."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise FilterError("the filter is not valid Unicode", hint="write it in UTF-8") from None
    return text


def name_text(name: str) -> str:
    """A field's name as a filter writes it: bare where that can be read, else in backticks."""
    return name if _bare(name) else "`{}`".format(name.replace("`", "``"))


def value_text(value: Value) -> str:
    """A value as a filter writes it."""
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return '"{}"'.format("".join(_ESCAPED.get(character, character) for character in value))
        case _:
            return repr(value).removesuffix(".0")


def _json(value: Value) -> Value | int:
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 2**53 else value
