"""From a rules file to `Rules`: every key, type and limit checked, all mistakes named at once with their lines."""

from collections.abc import Callable, Hashable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from difflib import get_close_matches
from typing import TypeVar

from retrieval.errors import FilterError
from retrieval.filters import Filter
from retrieval.rules import expression
from retrieval.rules.document import Node, read
from retrieval.rules.mistakes import Mistake, Mistaken, as_error
from retrieval.rules.model import Boost, Hide, Pin, Rules, Synonym
from retrieval.rules.words import QueryMatch, keys

VERSION = 1
MAX_RULES = {"synonyms": 5_000, "boosts": 200, "pins": 5_000, "hides": 5_000}
MAX_ITEMS = 1_000  # ids in one rule
MAX_TERMS = 50  # of one synonym
MAX_QUERIES = 100  # of one rule
MAX_PLACE = 1_000
MAX_TEXT = 200  # characters of an id, a term or a query in the file
MAX_CONDITION = 2_000

Rule = TypeVar("Rule")


def parse(content: bytes, name: str) -> Rules:
    """Read the content of a rules file.

    name: of the file, for messages. Raises RulesError, which names all mistakes with line and path.
    """
    try:
        root = read(content)
    except Mistaken as error:
        raise as_error(name, [error.mistake]) from None
    reader = _Reader()
    rules = reader.rules(root)
    if reader.mistakes:
        raise as_error(name, reader.mistakes)
    return rules


class _Reader:
    """One pass over the nodes. A rule with a mistake is left out, and the reading goes on with the next."""

    def __init__(self) -> None:
        self.mistakes: list[Mistake] = []

    @contextmanager
    def _noting(self) -> Iterator[None]:
        try:
            yield
        except Mistaken as error:
            self.mistakes.append(error.mistake)

    def rules(self, root: Node) -> Rules:
        with self._noting():
            if root.is_blank:
                raise Mistaken(root.mistake("the file is empty; one without rules says: version: 1"))
            parts = _mapping(root, {"version", *MAX_RULES}, required={"version"})
            if _integer(parts["version"]) != VERSION:
                raise Mistaken(parts["version"].mistake(f"this program reads version {VERSION}"))
            return Rules(
                synonyms=tuple(self._each(parts, "synonyms", self._synonym)),
                boosts=tuple(self._each(parts, "boosts", self._boost)),
                pins=tuple(self._each(parts, "pins", self._pin)),
                hides=tuple(self._each(parts, "hides", self._hide)),
            )
        return Rules()

    def _each(self, parts: dict[str, Node], section: str, make: Callable[[Node], Sequence[Rule]]) -> Iterator[Rule]:
        if section not in parts or parts[section].is_blank:
            return
        with self._noting():
            for node in _list(parts[section], MAX_RULES[section]):
                with self._noting():
                    yield from make(node)

    def _synonym(self, node: Node) -> Sequence[Synonym]:
        if not isinstance(node.value, dict):
            texts = [_words(one) for one in _list(node, MAX_TERMS)]
            _distinct(node, texts, keys)
            if len(texts) < 2:
                raise Mistaken(node.mistake("a synonym has two terms at least"))
            return [
                Synonym(node.path, node.line, (keys(text),), tuple(other for other in texts if other != text))
                for text in texts
            ]
        parts = _mapping(node, {"from", "to"}, required={"from", "to"})
        terms = [_words(one) for one in _one_or_list(parts["from"], MAX_TERMS)]
        texts = [_words(one) for one in _one_or_list(parts["to"], MAX_TERMS)]
        _distinct(node, [*terms, *texts], keys)
        return [Synonym(node.path, node.line, tuple(map(keys, terms)), tuple(texts))]

    def _boost(self, node: Node) -> Sequence[Boost]:
        parts = _mapping(node, {"when", "add", "query"}, required={"add"})
        add = _text(parts["add"], expression.MAX_LENGTH)
        try:
            value = expression.parse(add)
        except expression.ExpressionError as error:
            raise Mistaken(parts["add"].mistake(str(error))) from None
        return [Boost(node.path, node.line, value, self._when(parts), self._query(parts))]

    def _pin(self, node: Node) -> Sequence[Pin]:
        parts = _mapping(node, {"query", "items", "id", "place"}, required={"query"})
        query = self._query(parts)
        assert query is not None  # noqa: S101 - required above
        if "items" in parts:
            if "id" in parts or "place" in parts:
                raise Mistaken(node.mistake("either items, which take the first places, or id and place"))
            # Each wants the first place that is free, so that they close up where one of them cannot be shown.
            return [Pin(node.path, node.line, query, item_id, 1) for item_id in _items(parts["items"])]
        if "id" not in parts or "place" not in parts:
            raise Mistaken(node.mistake("a pin has items, or id and place"))
        place = _integer(parts["place"])
        if not 1 <= place <= MAX_PLACE:
            raise Mistaken(parts["place"].mistake(f"{place} is no place; the first is 1, the last {MAX_PLACE:,}"))
        return [Pin(node.path, node.line, query, _text(parts["id"]), place)]

    def _hide(self, node: Node) -> Sequence[Hide]:
        parts = _mapping(node, {"query", "items", "when"})
        if "items" not in parts and "when" not in parts:
            raise Mistaken(node.mistake("a hide has items or when"))
        if "items" in parts and "when" in parts:
            raise Mistaken(node.mistake("either items or when; write two rules to hide both"))
        items = tuple(_items(parts["items"])) if "items" in parts else ()
        return [Hide(node.path, node.line, items, self._when(parts), self._query(parts))]

    def _when(self, parts: dict[str, Node]) -> Filter | None:
        if "when" not in parts:
            return None
        try:
            return Filter.parse(_text(parts["when"], MAX_CONDITION))
        except FilterError as error:
            said = str(error).partition("\n")[0]  # without the lines that point at the place
            raise Mistaken(parts["when"].mistake(f"{said}; {error.hint}" if error.hint else said)) from None

    def _query(self, parts: dict[str, Node]) -> QueryMatch | None:
        if "query" not in parts:
            return None
        node = parts["query"]
        if isinstance(node.value, dict):
            contains = _mapping(node, {"contains"}, required={"contains"})["contains"]
            texts = [_words(one) for one in _one_or_list(contains, MAX_QUERIES)]
            return QueryMatch(contained=tuple(map(keys, texts)))
        return QueryMatch(equal=frozenset(keys(_words(one)) for one in _one_or_list(node, MAX_QUERIES)))


def _mapping(node: Node, known: AbstractSet[str], *, required: AbstractSet[str] = frozenset()) -> dict[str, Node]:
    if not isinstance(node.value, dict):
        raise Mistaken(node.mistake(f"here stands {_kind(node)}; wanted are the keys {_named(known)}"))
    for key, value in node.value.items():
        if key not in known:
            near = get_close_matches(key, sorted(known), n=1, cutoff=0.5)
            guess = f"did you mean {near[0]}?" if near else f"there are {_named(known)}"
            if value.is_blank and not near:
                guess = "between { and } a text with a comma in it stands in quotes"
            raise Mistaken(Mistake(node.key_lines[key], value.path, f"there is no key {key}; {guess}"))
    if missing := required - node.value.keys():
        raise Mistaken(node.mistake(f"the key {_named(missing)} is missing"))
    return node.value


def _list(node: Node, most: int) -> list[Node]:
    if not isinstance(node.value, list):
        raise Mistaken(node.mistake(f"here stands {_kind(node)}; wanted is a list"))
    if len(node.value) > most:
        raise Mistaken(node.mistake(f"{len(node.value):,} entries; at most {most:,} are read"))
    return node.value


def _one_or_list(node: Node, most: int) -> list[Node]:
    if not isinstance(node.value, list):
        return [node]
    if not node.value:
        raise Mistaken(node.mistake("the list is empty"))
    return _list(node, most)


def _items(node: Node) -> list[str]:
    found = [_text(one) for one in _one_or_list(node, MAX_ITEMS)]
    _distinct(node, found, str)
    return found


def _text(node: Node, most: int = MAX_TEXT) -> str:
    if not isinstance(node.value, str):
        raise Mistaken(node.mistake(f"here stands {_kind(node)}; wanted is a text"))
    text = node.value.strip()
    if node.is_blank or not text:
        raise Mistaken(node.mistake("nothing stands here"))
    if len(text) > most:
        raise Mistaken(node.mistake(f"{len(text):,} characters; at most {most:,} are read"))
    return text


def _words(node: Node) -> str:
    text = _text(node)
    if not keys(text):
        raise Mistaken(node.mistake(f"{text} has no word in it"))
    return text


def _integer(node: Node) -> int:
    text = _text(node)
    if node.quoted or not text.isascii() or not text.removeprefix("-").isdigit():
        raise Mistaken(node.mistake(f"{text} is no whole number"))
    return int(text)


def _distinct(node: Node, texts: Sequence[str], key_of: Callable[[str], Hashable]) -> None:
    seen = set()
    for text in texts:
        key = key_of(text)
        if key in seen:
            raise Mistaken(node.mistake(f"{text} stands here twice"))
        seen.add(key)


def _kind(node: Node) -> str:
    if isinstance(node.value, dict):
        return "a mapping"
    return "a list" if isinstance(node.value, list) else "nothing" if node.is_blank else f"the text {node.value[:40]!r}"


def _named(names: AbstractSet[str]) -> str:
    return ", ".join(sorted(names))
