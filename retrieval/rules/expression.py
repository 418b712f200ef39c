"""What `add` computes: a number for each item from its attributes, in NumPy.

An attribute that an item lacks is 0. What comes out not finite (a division by zero) counts as 0, and for how many items
is said.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache, reduce
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from lark import Lark
    from lark.exceptions import UnexpectedInput

Numbers = npt.NDArray[np.float64]

MAX_LENGTH = 1_000  # characters
MAX_DEPTH = 100  # operations inside each other; Python's own recursion ends at 1,000 calls, and one takes three


class Attributes(Protocol):
    """The items' attributes as an expression reads them."""

    def numbers(self, name: str) -> Numbers:
        """float64 [n]: numbers, true as 1 and false as 0; NaN where there is none."""
        ...

    def is_text(self, name: str, text: str) -> npt.NDArray[np.bool_]:
        """bool [n]: does the item have this text as that attribute, or in its list?"""
        ...


class ExpressionError(ValueError):
    """An expression that cannot be read; the message says where."""


@dataclass(frozen=True)
class Tree:
    """An operation on other trees. name: the attribute, if it does no more than to read one."""

    evaluate: Callable[[Attributes], Any]
    depth: int = 1
    fields: frozenset[str] = frozenset()
    name: str | None = None


@dataclass(frozen=True)
class Expression:
    """text: as written; tree: how to compute it."""

    text: str
    tree: Tree = field(repr=False, compare=False)

    @property
    def fields(self) -> frozenset[str]:
        """The attributes that it reads."""
        return self.tree.fields

    def values(self, attributes: Attributes, count: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
        """float32 [count], always finite, and which of them would not have been and are 0 for it."""
        with np.errstate(all="ignore"):
            found = np.broadcast_to(np.asarray(self.tree.evaluate(attributes), dtype=np.float64), (count,))
            narrow = found.astype(np.float32)
        bad = ~np.isfinite(narrow)
        narrow[bad] = 0
        return narrow, bad


def parse(text: str) -> Expression:
    """Read an expression. Raises ExpressionError."""
    from lark.exceptions import UnexpectedInput, VisitError

    if len(text) > MAX_LENGTH:
        raise ExpressionError(f"it has {len(text):,} characters; at most {MAX_LENGTH:,} are read")
    try:
        tree: Any = _parser().parse(text)
    except VisitError as error:
        raise ExpressionError(str(error.orig_exc)) from None
    except UnexpectedInput as error:
        raise ExpressionError(_said(error, text)) from None
    return Expression(text, tree)


def _said(error: "UnexpectedInput", text: str) -> str:
    token = getattr(error, "token", None)
    if token is not None and token.type == "$END":
        return "it ends too early"
    place = error.pos_in_stream or 0
    return f"it cannot be read at {text[place:].split(maxsplit=1)[0][:40]!r}"


def _compared(operation: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    return lambda left, right: np.asarray(operation(left, right), dtype=np.float64)  # bool + bool would be bool


def _folded(operation: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    return lambda *values: reduce(operation, values)


COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    "=": _compared(np.equal),
    "!=": _compared(np.not_equal),
    "<": _compared(np.less),
    "<=": _compared(np.less_equal),
    ">": _compared(np.greater),
    ">=": _compared(np.greater_equal),
}
FUNCTIONS: dict[str, tuple[Callable[..., Any], int, int]] = {
    "abs": (np.abs, 1, 1),
    "sqrt": (np.sqrt, 1, 1),
    "log1p": (np.log1p, 1, 1),
    "min": (_folded(np.minimum), 2, 20),
    "max": (_folded(np.maximum), 2, 20),
    "clamp": (lambda value, low, high: np.minimum(np.maximum(value, low), high), 3, 3),
}
"""Function, and how many arguments it takes at least and at most; `default` besides."""

_GRAMMAR = r"""
?start: compared
?compared: sum
    | sum COMPARISON (sum | TEXT)  -> compare
?sum: product
    | sum "+" product              -> add
    | sum "-" product              -> subtract
?product: signed
    | product "*" signed           -> multiply
    | product "/" signed           -> divide
?signed: atom
    | "-" signed                   -> negate
    | "+" signed
?atom: NUMBER                      -> number
    | "true"                       -> yes
    | "false"                      -> no
    | (WORD | QUOTED)              -> attribute
    | "default" "(" (WORD | QUOTED) "," compared ")" -> default
    | WORD "(" compared ("," compared)* ")"          -> call
    | "(" compared ")"
COMPARISON: "<=" | ">=" | "!=" | "=" | "<" | ">"
NUMBER: /[0-9]+(\.[0-9]*)?([eE][-+]?[0-9]{1,3})?/ | /\.[0-9]+([eE][-+]?[0-9]{1,3})?/
WORD: /[^\W\d]\w*/
QUOTED: /`[^`\n]+`/
TEXT: /"[^"\n]*"/ | /'[^'\n]*'/
%ignore /[ \t\r\n]+/
"""


@lru_cache(maxsize=1)
def _parser() -> "Lark":
    from lark import Lark, Transformer

    class Build(Transformer[Any, Tree]):
        """Makes the tree from its leaves up while the text is read, so that no depth of brackets costs recursion."""

        def number(self, parts: list[Any]) -> Tree:
            value = float(parts[0])
            return Tree(lambda _: value)

        def yes(self, _: list[Any]) -> Tree:
            return Tree(lambda _: 1.0)

        def no(self, _: list[Any]) -> Tree:
            return Tree(lambda _: 0.0)

        def attribute(self, parts: list[Any]) -> Tree:
            return _attribute(_name(parts[0]), Tree(lambda _: 0.0))

        def default(self, parts: list[Any]) -> Tree:
            return _attribute(_name(parts[0]), parts[1])

        def compare(self, parts: list[Any]) -> Tree:
            left, sign, right = parts
            if isinstance(right, Tree):
                return _made(COMPARISONS[str(sign)], left, right)
            return _text_compared(left, str(sign), str(right)[1:-1])

        def call(self, parts: list[Any]) -> Tree:
            name, *arguments = parts
            if name not in FUNCTIONS:
                raise ExpressionError(f"there is no function {name}; there are {', '.join([*FUNCTIONS, 'default'])}")
            function, least, most = FUNCTIONS[name]
            if not least <= len(arguments) <= most:
                asked = f"{least}" if least == most else f"{least} to {most}"
                raise ExpressionError(f"{name} takes {asked} value{'s' * (most != 1)}, not {len(arguments)}")
            return _made(function, *arguments)

        def add(self, parts: list[Any]) -> Tree:
            return _made(np.add, *parts)

        def subtract(self, parts: list[Any]) -> Tree:
            return _made(np.subtract, *parts)

        def multiply(self, parts: list[Any]) -> Tree:
            return _made(np.multiply, *parts)

        def divide(self, parts: list[Any]) -> Tree:
            return _made(np.divide, *parts)

        def negate(self, parts: list[Any]) -> Tree:
            return _made(np.negative, *parts)

    return Lark(_GRAMMAR, parser="lalr", transformer=Build())


def _name(written: str) -> str:
    return str(written).strip("`")


def _made(operation: Callable[..., Any], *parts: Tree) -> Tree:
    depth = 1 + max(part.depth for part in parts)
    if depth > MAX_DEPTH:
        raise ExpressionError(f"it has more than {MAX_DEPTH} operations inside each other")
    steps = [part.evaluate for part in parts]
    fields = frozenset[str]().union(*(part.fields for part in parts))
    return Tree(lambda attributes: operation(*[step(attributes) for step in steps]), depth, fields)


def _attribute(name: str, otherwise: Tree) -> Tree:
    def evaluate(attributes: Attributes) -> Any:
        found = attributes.numbers(name)
        return np.where(np.isnan(found), otherwise.evaluate(attributes), found)

    return Tree(evaluate, otherwise.depth + 1, otherwise.fields | {name}, name)


def _text_compared(left: Tree, sign: str, text: str) -> Tree:
    name = left.name
    if name is None or sign not in ("=", "!="):
        raise ExpressionError(f'"{text}" can only stand behind an attribute with = or !=')
    wanted = 1.0 if sign == "=" else 0.0

    def evaluate(attributes: Attributes) -> Any:
        return np.where(attributes.is_text(name, text), wanted, 1.0 - wanted)

    return Tree(evaluate, 2, frozenset({name}), name=None)
