"""Whether a filter fits the fields of the items; what does not is said with the field's type and an example."""

from collections.abc import Collection
from difflib import get_close_matches

from retrieval.errors import FilterError
from retrieval.filters.expression import Between, Comparison, Leaf, Value, name_text, value_text
from retrieval.filters.filter import Filter
from retrieval.items import ItemTable
from retrieval.items.columns import Column, Kind, TextColumn

_SEARCHES = {"contains", "starts with"}
_EQUALITIES = {"=", "!="}
SHOWN = 12  # names of fields in a hint
WORDS_SEEN = 1_000  # different values of a column that are looked at for what makes it text

_TAKES: dict[Kind, type] = {"number": float, "boolean": bool, "text": str, "list": str}
_EXAMPLES: dict[Kind, str] = {
    "number": "{} < 50",
    "boolean": "{} = true",
    "text": '{} = "some text"',
    "list": '{} = "one of them"',
}
_ARE: dict[Kind, str] = {
    "number": "a number",
    "boolean": "true or false",
    "text": "text",
    "list": "a list of texts",
}


def check(asked: Filter, table: ItemTable) -> None:
    """Raise FilterError where a field does not exist or is compared with what it cannot be."""
    for leaf in asked.root.comparisons:
        _check_leaf(leaf, known(leaf.field, table))


def known(name: str, table: ItemTable) -> Column:
    """The column of a field. Raises FilterError, which names the nearest fields, where there is none."""
    column = table.column(name)
    if column is None:
        raise FilterError(
            f"no item has a field {name_text(name)}", hint=_nearest(name, table.fields() if len(table) else ())
        )
    return column


def _nearest(name: str, names: Collection[str]) -> str:
    if not names:
        return "the collection is empty"
    folded: dict[str, str] = {}
    for each in names:
        folded.setdefault(each.casefold(), each)
    near = get_close_matches(name.casefold(), folded, n=3)
    if near:
        return f"did you mean {' or '.join(name_text(folded[each]) for each in near)}?"
    more = ", …" if len(names) > SHOWN else ""
    return f"the fields are {', '.join(map(name_text, sorted(names)[:SHOWN]))}{more}"


def _check_leaf(leaf: Leaf, column: Column) -> None:
    kind, name = column.kind, name_text(leaf.field)
    example = f"write it like this: {_EXAMPLES[kind].format(name)}"
    for value in leaf.operands:
        if type(value) is not _TAKES[kind]:
            because = _because(column) if isinstance(value, float | int) and isinstance(column, TextColumn) else ""
            raise FilterError(f"{name} is {_ARE[kind]}{because} and is never {_named(value)}", hint=example)
    word = leaf.operator if isinstance(leaf, Comparison) else "between" if isinstance(leaf, Between) else "="
    if (kind == "number" and word in _SEARCHES) or (kind == "boolean" and word not in _EQUALITIES):
        raise FilterError(f"{name} is {_ARE[kind]}, for which there is no `{word}`", hint=example)


def _because(column: TextColumn) -> str:
    """Why a column that is mostly numbers is text all the same."""
    words = column.words.array[:WORDS_SEEN].to_pylist()
    odd = [word for word in words if not _is_number(word)]
    if not odd or 2 * len(odd) > len(words):
        return ""
    return f", since some of its values are no numbers ({value_text(odd[0][:20])}),"


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def _named(value: Value) -> str:
    shown = value_text(value)
    shown = shown if len(shown) <= 40 else f"{shown[:40]}…"
    match value:
        case bool():
            return shown
        case str():
            return f"the text {shown}"
        case _:
            return f"the number {shown}"
