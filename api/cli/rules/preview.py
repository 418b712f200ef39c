"""What `catalens rules preview` does and prints: the summary first, then each query that changes."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, cast

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from api.cli.formats import one_line
from api.cli.output import out, print_json
from retrieval.errors import QueryError, StorageError

if TYPE_CHECKING:
    from retrieval.query.value import By
    from retrieval.rules.preview import Change, Preview, QueryPreview

MAX_QUERIES = 10_000
SHOWN_QUERIES = 50  # in words; --json and --html have them all
ID_WIDTH = 14
LEAST_TITLE = 20


def preview(
    file: Path,
    queries: Path,
    k: int,
    by: str,
    html: Path | None,
    collection: Path,
    *,
    runtime: str | None,
    as_json: bool,
) -> None:
    """Compare the answers with the rules that hold and with those of a file, and print what changes."""
    from retrieval.query import Query
    from retrieval.rules.load import parse_file
    from retrieval.rules.preview import Seen, preview_rules
    from retrieval.rules.ruleset import RuleSet
    from retrieval.search import Searcher

    if html is not None and html.suffix.lower() not in (".html", ".htm"):  # before anything is written over
        raise StorageError(f"{html} is no name for a page", hint="name a file that ends in .html")
    new = RuleSet(parse_file(file))  # first, so that a file that cannot be read is said so before a model is loaded
    asked = read_queries(queries)
    with Searcher.open(collection, runtime=runtime) as searcher:
        view, items = searcher.collection.view_with_items(new.fields)

        def search(words: str, rules: RuleSet) -> list[Seen]:
            hits = searcher.answer(Query.of(words, k=k, by=cast("By", by)), rules=rules).hits
            return [Seen(hit.item_id, hit.title, hit.photo, hit.rules) for hit in hits]

        found = preview_rules(search, items, asked, held=view.rules, new=new, k=k)
    if html is not None:
        from api.cli.rules.page import write_page

        write_page(html, file.name, found)
    if as_json:
        print_json(found.to_json())
        return
    print_summary(found, new.rules.lines)
    for one in found.changed[:SHOWN_QUERIES]:
        print_query(one)
    if len(found.changed) > SHOWN_QUERIES:
        out.print(f"\nand {len(found.changed) - SHOWN_QUERIES:,} queries more; all of them: --json or --html")


def read_queries(path: Path) -> list[str]:
    """The queries of a file, one a line, each once; blank lines and such that begin with # count for nothing.

    path: `-` is standard input. Raises QueryError when it cannot be read or has none.
    """
    try:
        content = sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
        lines = [one_line(line) for line in content.decode("utf-8-sig").splitlines()]
    except UnicodeDecodeError:
        raise QueryError(f"{path} is not UTF-8", hint="write the queries as UTF-8, one a line") from None
    except OSError as error:
        said = f"{path} cannot be read: {error.strerror or error}"
        raise QueryError(said, hint="write a file with one query a line") from error
    found = list(dict.fromkeys(line for line in lines if line and not line.startswith("#")))
    if not found:
        raise QueryError(f"{path} has no queries", hint="write one a line")
    if len(found) > MAX_QUERIES:
        raise QueryError(f"{path} has {len(found):,} queries", hint=f"give at most {MAX_QUERIES:,}")
    return found


def print_summary(found: "Preview", lines: Mapping[str, int]) -> None:
    """`3 of 20 queries change`, and which rules change none."""
    changed, asked = len(found.changed), len(found.queries)
    verb = "change" if changed != 1 else "changes"
    out.print(
        f"{changed:,} of {asked:,} {'query' if asked == 1 else 'queries'} {verb} (first {found.k} hits).",
        soft_wrap=True,
    )
    if found.silent:
        named = ", ".join(f"{path} (line {lines[path]})" for path in found.silent)
        out.print(f"Change none of these answers: {named}", markup=False, soft_wrap=True)
    for note in dict.fromkeys(note for one in found.queries for note in one.notes):
        out.print(note, markup=False, soft_wrap=True)


def print_query(one: "QueryPreview") -> None:
    """The items of a query that rules moved, that are new or gone; the rest, which made room, is counted."""
    spoken = tuple(rule for rule in one.fired if rule.startswith("synonyms"))  # these touch every hit alike
    out.print()
    heading = Text(one_line(one.query), style="bold")
    out.print(heading.append(f"  {', '.join(sorted(spoken))}" if spoken else "", style="not bold dim"), soft_wrap=True)
    rest = 0
    for change in one.changes:
        rules = [rule for rule in change.rules if rule not in spoken]
        if rules or change.kind in ("entered", "left"):
            out.print(_line(change, ", ".join(rules), out.width), no_wrap=True)
        else:
            rest += 1
    if rest:
        out.print(f"  {rest} other{'s' * (rest != 1)} moved to make room or fill up")


def _line(change: "Change", rules: str, width: int) -> Text:
    """One item in `width` columns, its title cut; where too little is left of it, the rules stand in a line below."""
    place, move = _places(change)
    start = f"{place:>4}  {move:<9}  {_cut(one_line(change.item.item_id), ID_WIDTH)}  "
    room = width - cell_len(start)
    beside = room - cell_len(rules) - 2 >= LEAST_TITLE
    title = one_line(change.item.title)
    if not rules:
        return Text(start + _cut(title, room).rstrip())
    if beside:
        return Text(f"{start}{_cut(title, room - cell_len(rules) - 2)}  ").append(rules, style="dim")
    below = " " * 6 + rules
    return Text(start + _cut(title, room).rstrip() + "\n").append(
        set_cell_size(below, min(width, cell_len(below))), style="dim"
    )


def _cut(text: str, width: int) -> str:
    """The text in exactly so many columns of the terminal."""
    return set_cell_size(text, width) if cell_len(text) <= width else set_cell_size(text, width - 1) + "…"


def _places(change: "Change") -> tuple[str, str]:
    """Where the item stands now, and where it stood: `3` and `from 5`."""
    if change.before is None:
        return str(change.after), "new"
    return ("gone", f"was {change.before}") if change.after is None else (str(change.after), f"from {change.before}")
