"""What `catalens rules` does and prints, but for its preview."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from api.cli.formats import one_line
from api.cli.output import err, out, print_json
from retrieval.errors import RulesError

if TYPE_CHECKING:
    from retrieval.rules.mistakes import Mistake
    from retrieval.rules.model import Rules

SHOWN_DOUBTS = 20


def show(collection: Path, version: int | None) -> None:
    """Print a version of the rules as it was written."""
    from indexer.rules import no_such_version
    from retrieval.collection import Collection

    with Collection.open(collection) as opened:
        stored = opened.stored_rules(version)
        newest = opened.stored_rules()
    if stored is None and version is None:
        err.print("The collection has no rules. Write some and: catalens rules apply FILE", soft_wrap=True)
        return
    if stored is None:
        raise no_such_version(collection, version or 0, newest.version if newest else 0)
    sys.stdout.write(stored.yaml if stored.yaml.endswith("\n") else f"{stored.yaml}\n")
    note = f": {one_line(stored.note)}" if stored.note else ""
    err.print(f"version {stored.version}, applied {stored.applied_at}{note}", markup=False, soft_wrap=True)


def check(file: Path, collection: Path, *, strict: bool, as_json: bool) -> None:
    """Print what is doubtful about a file that can be read. Raises RulesError when it cannot."""
    from retrieval.rules.load import parse_file

    rules = parse_file(file)
    doubts = _doubts(rules, collection)
    if as_json:
        found = {
            "file": str(file),
            "rules": counts(rules),
            "doubts": [{"line": one.line, "path": one.path, "message": one.message} for one in doubts],
        }
        print_json(found)
    else:
        for doubt in doubts:
            out.print(str(doubt), markup=False, soft_wrap=True)
        err.print(
            f"{file}: {in_words(rules)}; {len(doubts) or 'no'} doubt{'s'[: len(doubts) != 1]}",
            markup=False,
            soft_wrap=True,
        )
    if doubts and strict:
        raise RulesError(f"{file} has {len(doubts):,} doubts", hint="mend these lines, or leave --strict out")


def apply(file: Path, note: str, collection: Path) -> None:
    """Make a file the rules of a collection, and say what is doubtful about it."""
    from indexer.rules import apply_rules
    from retrieval.rules.load import parse_file, read_file

    content = read_file(file)
    rules = parse_file(file, content)
    applied = apply_rules(collection, content, name=str(file), note=note)
    for doubt in _doubts(rules, collection)[:SHOWN_DOUBTS]:
        err.print(f"doubtful: {doubt}", markup=False, soft_wrap=True)
    said = "holds now" if applied.changed else "holds already; nothing was changed"
    err.print(f"catalens rules: version {applied.version} {said} ({in_words(rules)})", markup=False, soft_wrap=True)


def revert(version: int, note: str, collection: Path) -> None:
    """Make an older version the rules of a collection again."""
    from indexer.rules import revert_rules

    applied = revert_rules(collection, version, note=note)
    said = f"is version {version}" if applied.changed else f"was version {version} before; nothing was changed"
    err.print(f"catalens rules: version {applied.version} holds now; it {said}", soft_wrap=True)


def history(collection: Path, *, as_json: bool) -> None:
    """Print all versions, newest first."""
    from retrieval.collection import Collection

    with Collection.open(collection) as opened:
        versions = opened.rules_history()
    if as_json:
        found = [
            {"version": one.version, "applied_at": one.applied_at, "sha256": one.sha256, "note": one.note}
            for one in versions
        ]
        print_json({"versions": found})
        return
    if not versions:
        err.print("The collection has no rules. Write some and: catalens rules apply FILE", soft_wrap=True)
        return
    table = Table(box=None, pad_edge=False)
    table.add_column("version", justify="right")
    table.add_column("applied (UTC)", no_wrap=True)
    table.add_column("sha256", no_wrap=True)
    table.add_column("note", overflow="fold")
    for one in versions:
        row = (str(one.version), one.applied_at[:16].replace("T", " "), one.sha256[:8], one_line(one.note))
        table.add_row(*map(Text, row))
    out.print(table)


def counts(rules: "Rules") -> dict[str, int]:
    """How many rules of each kind stand in the file."""
    found = dict.fromkeys(("synonyms", "boosts", "pins", "hides"), 0)
    for path in rules.lines:
        found[path.partition("[")[0]] += 1
    return found


def in_words(rules: "Rules") -> str:
    """`2 boosts, 1 pin`."""
    named = [f"{n} {kind if n > 1 else kind.removesuffix('s')}" for kind, n in counts(rules).items() if n]
    return ", ".join(named) or "no rules"


def _doubts(rules: "Rules", collection: Path) -> "Sequence[Mistake]":
    from retrieval.collection import Collection
    from retrieval.rules.check import check as doubts_about

    with Collection.open(collection) as opened:
        _, items = opened.view_with_items(rules.fields)
        return doubts_about(rules, items)
