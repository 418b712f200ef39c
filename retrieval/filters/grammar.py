"""The text of a filter: `price < 50 and category in ("Shoes", "Bags") and not colour = "Black"`.

    comparison  field = value, !=, <, <=, >, >=       field between value and value
                field in (value, …), not in            field contains "text", starts with "text"
                field is null, is not null
    joined by   and, or, not, parentheses; `not` binds most tightly, then `and`
    field       letters, digits, _ . and -; others, and keywords, in backticks: `made in`
    value       12, -0.5, 1e3, "text" or 'text' (\\" \\' \\\\ \\n \\r \\t \\u0041), true, false

Keywords may be written in any case. `contains` and `starts with` do not regard case; `=` does.
"""

import re
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

from retrieval.errors import FilterError
from retrieval.filters.expression import (
    BARE_NAME,
    MAX_LENGTH,
    OPERATORS,
    RESERVED,
    Between,
    Comparison,
    Expression,
    In,
    IsNull,
    Not,
    Value,
    bounded,
    checked_text,
    checked_value,
    checked_values,
    join,
)
from retrieval.filters.pointing import pointed

if TYPE_CHECKING:
    from lark import Lark, Token, UnexpectedInput

_END = r"(?![\w.\-])"  # a keyword ends here: `android` begins with no `and`
_KEYWORDS = {
    "AND": "and",
    "OR": "or",
    "NOT": "not",
    "IN": "in",
    "BETWEEN": "between",
    "CONTAINS": "contains",
    "STARTS": r"starts\s+with",
    "IS": "is",
    "NULL": "null",
    "TRUE": "true",
    "FALSE": "false",
}
_GRAMMAR = rf"""
?start: any
?any: all (OR all)*               -> any
?all: negation (AND negation)*    -> all
?negation: NOT negation           -> negation
    | "(" any ")"
    | comparison
?comparison: field OPERATOR value             -> comparison
    | field CONTAINS value                    -> contains
    | field STARTS value                      -> starts
    | field BETWEEN value AND value           -> between
    | field NOT? IN "(" value ("," value)* ","? ")"   -> is_in
    | field IS NOT? NULL                      -> is_null
field: NAME | QUOTED_NAME
value: NUMBER | TEXT | TRUE | FALSE

OPERATOR: "=" | "!=" | "<=" | ">=" | "<" | ">"
NUMBER: /[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]+)?(?![\w.])/i
TEXT: /"(\\.|[^"\\])*"|'(\\.|[^'\\])*'/s
QUOTED_NAME: /`(``|[^`])+`/s
NAME: /(?!({"|".join(RESERVED)}){_END}){BARE_NAME}/i
{"".join(f"{name}.2: /{pattern}{_END}/i{chr(10)}" for name, pattern in _KEYWORDS.items())}
%ignore /\s+/
"""
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", '"': '"', "'": "'", "\\": "\\"}
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)

_WHOLE = re.compile(r"\"(\\.|[^\"\\])*\"|'(\\.|[^'\\])*'|`(``|[^`])*`", re.DOTALL)
_FOUND = re.compile(r"[\w.\-]+|[<>=!&|~]+|.", re.DOTALL)
_TYPOGRAPHIC = {"“", "”", "‘", "’", "«", "„"}
_OTHERWISE = {  # what other languages write
    **{"==": "=", "<>": "!=", "=<": "<=", "=>": ">=", "!": "not"},
    **{"&&": "and", "&": "and", "||": "or", "|": "or"},
    **{"like": "contains", "ilike": "contains", "~": "contains", "=~": "contains", "isnull": "is null"},
}
_VALUE, _FIELD, _JOIN = {"NUMBER", "TEXT"}, {"NAME"}, {"AND", "OR"}
# What the parser could have gone on with, in words; the first that fits is said.
_EXPECTED: tuple[tuple[set[str], str], ...] = (
    (_VALUE, 'a value, such as 50, "text" or true'),
    (_FIELD, "a field"),
    ({"OPERATOR"}, "=, !=, <, <=, >, >=, between, in, contains, starts with or is null"),
    ({"NULL"}, "null or not null"),
    ({"IN"}, "in"),
    (_JOIN, "and, or, or the end"),
    ({"OR"}, "and, or, or the end"),
    ({"$END"}, "and, or, or the end"),
    ({"COMMA"}, "a comma or a closing parenthesis"),
    ({"LPAR"}, "a list of values in parentheses"),
    ({"AND"}, "and"),
    ({"RPAR"}, "a closing parenthesis"),
)


class _Misread(Exception):
    """at: where in the text; said, hint: what is wrong there and what to write."""

    def __init__(self, at: int, said: str, hint: str) -> None:
        super().__init__(said)
        self.at, self.said, self.hint = at, said, hint


class _Build:
    """Makes expressions from the bottom up while the text is read, so that no depth of nesting is walked."""

    def any(self, children: list[Any]) -> Expression:
        return join("or", [child for child in children if isinstance(child, Expression)])

    def all(self, children: list[Any]) -> Expression:
        return join("and", [child for child in children if isinstance(child, Expression)])

    def negation(self, children: list[Any]) -> Expression:
        return bounded(Not(children[-1]))

    def comparison(self, children: list[Any]) -> Expression:
        return Comparison(children[0], next(o for o in OPERATORS if o == str(children[1])), children[2])

    def contains(self, children: list[Any]) -> Expression:
        return Comparison(children[0], "contains", children[2])

    def starts(self, children: list[Any]) -> Expression:
        return Comparison(children[0], "starts with", children[2])

    def between(self, children: list[Any]) -> Expression:
        return Between(children[0], children[2], children[4])

    def is_in(self, children: list[Any]) -> Expression:
        negated = _kind(children[1]) == "NOT"
        return In(children[0], checked_values(children[3 if negated else 2 :]), negated)

    def is_null(self, children: list[Any]) -> Expression:
        return IsNull(children[0], _kind(children[2]) == "NOT")

    def field(self, children: list[Any]) -> str:
        name = str(children[0])
        return name[1:-1].replace("``", "`") if _kind(children[0]) == "QUOTED_NAME" else name

    def value(self, children: list[Any]) -> Value:
        (token,) = children
        try:
            match _kind(token):
                case "NUMBER":
                    return checked_value(float(token))
                case "TEXT":
                    return checked_value(_unquoted(token))
        except FilterError as error:
            raise _Misread(token.start_pos, str(error), error.hint) from None
        return _kind(token) == "TRUE"


@lru_cache(maxsize=512)  # 0.1 ms each, and a page or a shop asks with few filters
def read(text: str) -> Expression:
    """The expression that a text means. Raises FilterError, which points at the place."""
    if len(text) > MAX_LENGTH:
        raise FilterError(
            f"the filter has {len(text):,} characters; at most {MAX_LENGTH:,} are allowed",
            hint='name several values at once: field in ("a", "b")',
        )
    checked_text(text)
    if not text.strip():
        raise FilterError("the filter is empty", hint="write one, such as: price < 50")
    from lark import UnexpectedInput

    try:
        tree: Expression = _parser().parse(text)  # type: ignore[assignment] # the transformer makes it
    except UnexpectedInput as error:
        raise _explained(text, error) from None
    except _Misread as error:
        raise FilterError(f"{error.said}\n{pointed(text, error.at)}", hint=error.hint) from None
    return tree


@cache
def _parser() -> "Lark":
    # Imported here: it takes 50 ms and only a search with a filter needs it.
    from lark import Lark, Transformer

    builder = type("_Builder", (_Build, Transformer), {})
    return Lark(_GRAMMAR, parser="lalr", transformer=builder(), maybe_placeholders=False)


def _kind(token: "Token") -> str:
    return str(getattr(token, "type", ""))


def _unquoted(token: "Token") -> str:
    def one(found: re.Match[str]) -> str:
        escape = found[1]
        if escape[0] == "u" and len(escape) == 5:
            return chr(int(escape[1:], 16))
        if escape not in _ESCAPES:
            raise FilterError(
                f"the filter cannot be read: the text has an unknown escape \\{escape}",
                hint=r"write a backslash as \\",
            )
        return _ESCAPES[escape]

    return _ESCAPE.sub(one, str(token)[1:-1])


def _explained(text: str, error: "UnexpectedInput") -> FilterError:
    from lark import UnexpectedCharacters, UnexpectedToken

    at = error.pos_in_stream
    accepted: set[str] = set()
    if isinstance(error, UnexpectedToken):
        accepted = error.accepts or error.expected
    elif isinstance(error, UnexpectedCharacters):
        accepted = error.allowed or set()
    at = len(text) if at is None or at < 0 or _kind(getattr(error, "token", None)) == "$END" else at
    ends = not text[at:].strip()
    at = len(text.rstrip()) if ends else at
    expected = next((words for kinds, words in _EXPECTED if kinds <= accepted), "something else")
    if ends and "RPAR" in accepted and not accepted >= _VALUE:
        expected = "a closing parenthesis"
    rest = "" if ends else text[at:]
    if rest[:1] in {'"', "'", "`"} and not _WHOLE.match(rest):
        what = "the name" if rest[0] == "`" else "the text"
        said, hint = f"{what} that begins here has no end", f"close it with {rest[0]}"
    elif rest[:1] in _TYPOGRAPHIC:
        said, hint = f"expected {expected}, not a typographic quote", "write plain quotes: \" or '"
    else:
        found = _FOUND.match(rest)
        said = f"expected {expected}, " + (f"not {found[0]:.30}" if found else "but the filter ends here")
        hint = _advice(text[:at], found[0] if found else "", accepted)
    return FilterError(f"the filter cannot be read: {said}\n{pointed(text, at)}", hint=hint)


def _advice(before: str, found: str, accepted: set[str]) -> str:
    written = before[-1:] + found if before[-1:] in {"=", "<", ">", "!"} else found
    if written.lower() in _OTHERWISE:
        return f"write {_OTHERWISE[written.lower()]}"
    if accepted >= _VALUE and re.match(r"[^\W\d]", found) and found.lower() not in RESERVED:
        return f'text stands in quotes: "{found:.30}"'
    if found.lower() in RESERVED and accepted >= _FIELD:
        return f"a field of this name stands in backticks: `{found}`"
    return 'write it like this: price < 50 and category in ("Shoes", "Bags")'
