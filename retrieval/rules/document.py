"""YAML as plain nodes that know their line, read so that no file can do harm or take long.

Nothing is constructed: the parser's events become lists, mappings and text as written, so that there is no tag to abuse
and no `no` that turns into false. Aliases are refused, so that no file can be larger in memory than on disk.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from retrieval.rules.mistakes import Mistake, Mistaken

MAX_BYTES = 1_000_000
MAX_DEPTH = 8  # the format needs 4
MAX_NODES = 200_000

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # 25 times as fast where PyYAML was built with libyaml


@dataclass
class Node:
    """A place in the file. value: text as written, a list of nodes, or a mapping of them; quoted text is no number.

    line: from 1. path: such as `boosts[2].when`; empty for the whole file. key_lines: where a mapping's keys stand.
    """

    value: "str | list[Node] | dict[str, Node]"
    line: int
    path: str = ""
    quoted: bool = False
    key_lines: dict[str, int] = field(default_factory=dict)

    @property
    def is_blank(self) -> bool:
        """Nothing stands there, or YAML's own words for nothing."""
        return not self.quoted and self.value in ("", "~", "null", "Null", "NULL")

    def mistake(self, message: str) -> Mistake:
        """A mistake at this place."""
        return Mistake(self.line, self.path, message)


def read(content: bytes) -> Node:
    """The one document of a file. Raises Mistaken for what is no YAML, or YAML that rules do not need."""
    if len(content) > MAX_BYTES:
        raise Mistaken(Mistake(1, "", f"the file has {len(content):,} bytes; at most {MAX_BYTES:,} are read"))
    text = _decoded(content)
    try:
        return _document(yaml.parse(text, Loader=_LOADER))
    except yaml.MarkedYAMLError as error:
        mark: Any = error.problem_mark or error.context_mark
        last = text.count("\n", 0, len(text.rstrip()))
        said = ", ".join(part for part in (error.context, error.problem) if part)
        hint = ""
        if "\t" in text:
            hint = "; indent with blanks, not with tabs"
        elif "flow" in said:
            hint = "; put a filter with commas or quotes into single quotes"
        raise Mistaken(Mistake(min(mark.line, last) + 1, "", f"this is no YAML: {said}{hint}")) from None
    except yaml.reader.ReaderError as error:
        code: int = error.character  # its position is in bytes or in characters, by loader, so it is looked for instead
        line = text.count("\n", 0, text.find(chr(code))) + 1
        raise Mistaken(Mistake(line, "", f"character U+{code:04X} has no place in YAML")) from None


def _decoded(content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise Mistaken(Mistake(line, "", "the file is not UTF-8")) from None


def _document(events: Iterator[Any]) -> Node:
    root: Node | None = None
    for event in events:
        if isinstance(event, yaml.DocumentStartEvent):
            if root is not None:
                line = root.line if event.start_mark is None else event.start_mark.line + 1
                raise Mistaken(Mistake(line, "", "a second document; rules are one"))
            root = _Builder(events).node(next(events), "", 0)
    return root or Node("", 1)


class _Builder:
    def __init__(self, events: Iterator[Any]) -> None:
        self._events = events
        self._nodes = 0

    def node(self, event: Any, path: str, depth: int) -> Node:
        line = event.start_mark.line + 1
        self._nodes += 1
        if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
            raise Mistaken(Mistake(line, path, "aliases (*) and anchors (&) are not read; write it out, or quote it"))
        if event.tag is not None:
            raise Mistaken(Mistake(line, path, f"the tag {event.tag} is not read; leave it out, or quote the text"))
        if depth > MAX_DEPTH:
            raise Mistaken(Mistake(line, path, f"nested more than {MAX_DEPTH} deep"))
        if self._nodes > MAX_NODES:
            raise Mistaken(Mistake(line, path, f"more than {MAX_NODES:,} values"))
        if isinstance(event, yaml.ScalarEvent):
            return Node(event.value, line, path, quoted=bool(event.style))
        if isinstance(event, yaml.SequenceStartEvent):
            return self._list(line, path, depth)
        return self._mapping(line, path, depth)

    def _list(self, line: int, path: str, depth: int) -> Node:
        found: list[Node] = []
        for event in self._until(yaml.SequenceEndEvent):
            found.append(self.node(event, f"{path}[{len(found)}]", depth + 1))
        return Node(found, line, path)

    def _mapping(self, line: int, path: str, depth: int) -> Node:
        found: dict[str, Node] = {}
        lines: dict[str, int] = {}
        for event in self._until(yaml.MappingEndEvent):
            key = self.node(event, path, depth + 1)
            if not isinstance(key.value, str):
                raise Mistaken(Mistake(key.line, path, "a key must be a word; quote what begins with [ or {"))
            if key.value in found:
                raise Mistaken(
                    Mistake(key.line, path, f"{key.value} stands here twice; the first is in line {lines[key.value]}")
                )
            lines[key.value] = key.line
            found[key.value] = self.node(next(self._events), f"{path}.{key.value}".lstrip("."), depth + 1)
        return Node(found, line, path, key_lines=lines)

    def _until(self, end: type) -> Iterator[Any]:
        while not isinstance(event := next(self._events), end):
            yield event
