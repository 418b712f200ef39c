"""A filter as JSON values: {"and": [{"field": "price", "<": 50}, {"not": {"field": "colour", "=": "Black"}}]}."""

from typing import Any, Literal

from retrieval.errors import FilterError
from retrieval.filters.expression import (
    MAX_DEPTH,
    MAX_LENGTH,
    MAX_PARTS,
    OPERATORS,
    Between,
    Comparison,
    Expression,
    In,
    IsNull,
    Not,
    bounded,
    checked_text,
    checked_value,
    checked_values,
    join,
)

_JOINS: tuple[Literal["and", "or"], ...] = ("and", "or")
_LIKE = 'write it like this: {"and": [{"field": "price", "<": 50}, {"field": "brand", "in": ["Acme"]}]}'


def from_json(value: Any, depth: int = 1) -> Expression:
    """The expression that JSON values mean. Raises FilterError for any other form, and for hostile sizes."""
    if depth > MAX_DEPTH:
        raise FilterError(f"the filter is nested more than {MAX_DEPTH} levels deep", hint="write it with fewer levels")
    if not isinstance(value, dict):
        raise FilterError(f"a filter is an object, not {_name(value)}", hint=_LIKE)
    if "field" in value:
        return _comparison(value)
    if len(value) != 1:
        raise FilterError(f"a filter has one of and, or, not, field; this has {_keys(value)}", hint=_LIKE)
    ((word, inner),) = value.items()
    if word == "not":
        return bounded(Not(from_json(inner, depth + 1)))
    for join_word in _JOINS:
        if word == join_word:
            if not isinstance(inner, list) or not inner:
                raise FilterError(f'"{word}" takes a list of filters, not {_name(inner)}', hint=_LIKE)
            if len(inner) > MAX_PARTS:
                raise FilterError(
                    f"the filter has more than {MAX_PARTS:,} comparisons", hint='use "in" for many values'
                )
            return join(join_word, [from_json(part, depth + 1) for part in inner])
    raise FilterError(f"a filter has one of and, or, not, field; this has {_keys(value)}", hint=_LIKE)


def _comparison(value: dict[Any, Any]) -> Expression:
    others = [key for key in value if key != "field"]
    field = value["field"]
    if not isinstance(field, str) or not 0 < len(field) <= MAX_LENGTH:
        raise FilterError(f'"field" is the name of a field, not {_name(field)}', hint=_LIKE)
    checked_text(field)
    if len(others) != 1:
        raise FilterError(f"a field is compared in one way; this has {_keys(value)}", hint=_LIKE)
    (operator,) = others
    operand = value[operator]
    for known in OPERATORS:
        if operator == known:
            return Comparison(field, known, checked_value(operand))
    match operator:
        case "between":
            if not isinstance(operand, list) or len(operand) != 2:
                raise FilterError(f'"between" takes a list of two values, not {_name(operand)}', hint=_LIKE)
            return Between(field, checked_value(operand[0]), checked_value(operand[1]))
        case "in" | "not in":
            if not isinstance(operand, list) or not operand:
                raise FilterError(f'"{operator}" takes a list of values, not {_name(operand)}', hint=_LIKE)
            return In(field, checked_values(operand), negated=operator == "not in")
        case "is null" | "is not null":
            if not isinstance(operand, bool):
                raise FilterError(f'"{operator}" takes true or false, not {_name(operand)}', hint=_LIKE)
            return IsNull(field, negated=operand == (operator == "is not null"))
    known_words = ", ".join([*OPERATORS, "between", "in", "not in", "is null"])
    raise FilterError(f'"{str(operator)[:30]}" is no comparison', hint=f"one of {known_words}")


def _keys(value: dict[Any, Any]) -> str:
    return ", ".join(f'"{str(key)[:20]}"' for key in list(value)[:5]) or "none"


def _name(value: Any) -> str:
    if isinstance(value, list):
        return f"a list of {len(value)}" if value else "an empty list"
    names = {dict: "an object", str: "a text", bool: "true or false", int: "a number", float: "a number"}
    return names.get(type(value), "null" if value is None else type(value).__name__)
