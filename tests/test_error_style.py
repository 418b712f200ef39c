"""The house rule on errors: each says what to do next, in a hint that starts lower case and has no full stop."""

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path

import pytest

from retrieval import errors

ROOT = Path(__file__).parents[1]
MODULES = sorted(
    path.relative_to(ROOT) for package in ("retrieval", "indexer", "api") for path in (ROOT / package).rglob("*.py")
)

EXEMPT = {"ImageError", "EvaluationError"}
"""An ImageError is a reason in a report; an EvaluationError may say all in its message."""

FAMILY = {
    name for name, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, errors.CatalensError)
} - EXEMPT

NAMES = {"Catalens"}
"""Words that keep their capital. Codes and abbreviations need no entry: they have a second one (`SQLite`)."""


def violations(source: str) -> list[str]:
    """Every breach in a module, as `line: complaint`.

    An error is checked where it is made, not where it is raised, because helper functions make some. Of a hint that
    is computed only the literal parts are known; a name is looked up among the module's own constants.
    """
    tree = ast.parse(source)
    constants = {
        target.id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Raise) and (name := _last_name(node.exc)) in FAMILY:
            found.append((node.lineno, f"{name} has no hint"))  # the class itself, not called
        if not isinstance(node, ast.Call) or (name := _last_name(node.func)) not in FAMILY:
            continue
        hint = next((keyword.value for keyword in node.keywords if keyword.arg == "hint"), None)
        if hint is None:
            found.append((node.lineno, f"{name} has no hint"))
            continue
        found += [
            (node.lineno, complaint)
            for literal in _alternatives(hint, constants)
            for complaint in _complaints(literal, constants)
        ]
    return [f"{line}: {complaint}" for line, complaint in sorted(found)]


def _last_name(node: ast.expr | None) -> str:
    """`SourceError` of `SourceError` and of `errors.SourceError`."""
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case _:
            return ""


def _alternatives(hint: ast.expr, constants: dict[str, ast.expr]) -> Iterator[ast.expr]:
    """The expressions that the hint may be: both sides of `if` and `or`, and what a constant stands for."""
    match hint:
        case ast.IfExp():
            yield from _alternatives(hint.body, constants)
            yield from _alternatives(hint.orelse, constants)
        case ast.BoolOp():
            for value in hint.values[:-1]:  # if one of these is empty, the next takes its place
                yield from (each for each in _alternatives(value, constants) if not _is_empty(each))
            yield from _alternatives(hint.values[-1], constants)
        case ast.Name() if hint.id in constants:
            yield from _alternatives(constants[hint.id], constants)
        case _:
            yield hint


def _complaints(hint: ast.expr, constants: dict[str, ast.expr]) -> Iterator[str]:
    start, end = _edge(hint, 0, constants), _edge(hint, -1, constants)
    if _is_empty(hint):
        yield "the hint is empty"
    word = (start.split() or [""])[0].strip("`'\"(,.:;")
    if word[:1].isupper() and word[1:] == word[1:].lower() and word not in NAMES:
        yield f"the hint starts with a capital: {word}"
    if end.rstrip().endswith("."):
        yield f"the hint ends with a full stop: {end[-30:]}"


def _is_empty(hint: ast.expr) -> bool:
    return isinstance(hint, ast.Constant) and not str(hint.value or "").strip()


def _edge(hint: ast.expr, index: int, constants: dict[str, ast.expr]) -> str:
    """The literal text that the hint starts (0) or ends (-1) with; empty where it is computed."""
    match hint:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=[_, *_]):
            return _edge(hint.values[index], index, constants)
        case ast.FormattedValue(value=ast.Name(id=name)) if name in constants:
            return _edge(constants[name], index, constants)
        case _:
            return ""


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_every_error_has_a_hint_in_the_house_style(module: Path) -> None:
    assert violations((ROOT / module).read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("raise SourceError('no')", "SourceError has no hint"),
        ("raise SourceError", "SourceError has no hint"),
        ("raise errors.SourceError('no') from None", "SourceError has no hint"),
        ("def broken(): return StorageError('no')", "StorageError has no hint"),
        ("raise QueryError('no', hint='')", "the hint is empty"),
        ("raise QueryError('no', hint='Give words')", "the hint starts with a capital: Give"),
        ("raise QueryError('no', hint=f'Give {words}')", "the hint starts with a capital: Give"),
        ("raise QueryError('no', hint='A word or two')", "the hint starts with a capital: A"),
        ("raise QueryError('no', hint='give words.')", "the hint ends with a full stop: give words."),
        ("raise QueryError('no', hint=f'give {words}.')", "the hint ends with a full stop: ."),
        ("H = 'Reinstall it'\nraise EncoderError('no', hint=H)", "the hint starts with a capital: Reinstall"),
        ("H = 'try it.'\nraise EncoderError('no', hint=f'or {H}')", "the hint ends with a full stop: try it."),
        ("raise UnknownModel('no', hint='Try x' if x else 'try y')", "the hint starts with a capital: Try"),
        ("raise UnknownModel('no', hint=x or '')", "the hint is empty"),
        ("raise UnknownModel('no', hint=x or 'Try y')", "the hint starts with a capital: Try"),
    ],
)
def test_planted_violations_are_found(source: str, complaint: str) -> None:
    assert [found.partition(": ")[2] for found in violations(source)] == [complaint]


@pytest.mark.parametrize(
    "source",
    [
        "raise SourceError('no', hint='give another')",
        "raise SourceError('no', hint='--queries is for catalogues')",
        "raise SourceError('no', hint='`catalens models` lists them')",
        "raise SourceError('no', hint='SQLite needs it also for reading')",
        "raise SourceError('no', hint='Catalens 2 reads it')",
        "raise SourceError('no', hint=f'{guess}, or another')",
        "raise SourceError('no', hint=hub.HINT)",
        "raise SourceError('no', hint=(e.hint if e else '') or 'give another')",
        "raise ImageError('the file is empty')",
        "raise EvaluationError('no figure was computed')",
        "raise ValueError('no')",
        "raise",
    ],
)
def test_what_is_allowed(source: str) -> None:
    assert violations(source) == []
