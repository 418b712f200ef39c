"""What `catalens tag` does and prints."""

import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from api.answers import tagged_json
from api.cli.formats import escaped, one_line
from api.cli.output import err, out, print_json
from retrieval.errors import QueryError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from indexer.tagging import Tagged

SHOWN_ITEMS = 15
BAR = 24  # characters


def tag(
    labels_file: Path | None,
    collection: Path,
    field: str,
    min_confidence: float,
    top: int,
    *,
    store: bool,
    runtime: str | None,
    as_json: bool,
) -> None:
    """Label the items and print who got what."""
    from indexer.label_file import read_labels
    from indexer.tagging import tag as tag_items
    from retrieval.collection import Collection
    from retrieval.encoders import load_encoder

    if labels_file is None:
        raise QueryError("there are no labels", hint="name a file with one label a line: --labels labels.txt")
    labels = read_labels(labels_file)
    with Collection.open(collection) as opened:
        model = opened.encoder.name
    found = tag_items(
        collection,
        load_encoder(model, runtime=runtime),
        labels,
        field=field,
        min_confidence=min_confidence,
        top=top,
        store=store,
    )
    if as_json:
        print_json(tagged_json(found, labels, field, stored=store))
    elif out.is_terminal:
        _show(found, labels)
    else:
        for key, tags in found.tags.items():
            for one in tags:
                columns = (found.names[key][0], one.label, f"{one.confidence:.4f}")
                sys.stdout.write("\t".join(map(escaped, columns)) + "\n")
    untagged = found.items - len(found.tags)
    kept = f"; kept as {field}" if store else "; not kept, see --store"
    err.print(f"catalens tag: {len(found.tags):,} items got labels, {untagged:,} fit none{kept}", soft_wrap=True)


def remove(collection: Path, field: str, labels: Path | None, *, store: bool, as_json: bool) -> None:
    """Remove a field of labels."""
    from indexer.tagging import remove_tags

    if store or labels is not None:
        raise QueryError("--remove takes a field away; --labels and --store give one", hint="leave one of them out")
    count = remove_tags(collection, field)
    if as_json:
        print_json({"field": field, "removed_from": count})
    err.print(f"catalens tag: {field} removed from {count:,} items")


def _show(found: "Tagged", labels: "Sequence[str]") -> None:
    """How often each label was given, and the first items with theirs."""
    counts = Counter(one.label for tags in found.tags.values() for one in tags)
    summary = Table(box=None, pad_edge=False)
    summary.add_column("label", overflow="ellipsis", max_width=32, no_wrap=True)
    summary.add_column("items", justify="right")
    summary.add_column("")
    most = max(counts.values(), default=1)
    for label in sorted(labels, key=lambda one: (-counts[one], one)):
        bar = "█" * max(round(BAR * counts[label] / most), int(counts[label] > 0))
        summary.add_row(Text(one_line(label)), f"{counts[label]:,}", Text(bar, style="cyan"))
    untagged = found.items - len(found.tags)
    summary.add_row(Text("(none fits)", style="dim"), Text(f"{untagged:,}", style="dim"), "")
    out.print(summary)
    if not found.tags:
        return
    items = Table(box=None, pad_edge=False)
    items.add_column("id", overflow="fold", max_width=20)
    items.add_column("title", overflow="ellipsis", no_wrap=True, max_width=30)
    items.add_column("labels")
    for key, tags in list(found.tags.items())[:SHOWN_ITEMS]:
        item_id, title = found.names[key]
        said = Text(", ").join(
            Text.assemble(one_line(one.label), (f" {one.confidence:.2f}", "green" if one.confidence >= 0.8 else "dim"))
            for one in tags
        )
        items.add_row(Text(one_line(item_id)), Text(one_line(title)), said)
    out.print()
    out.print(items)
    if len(found.tags) > SHOWN_ITEMS:
        out.print(f"and {len(found.tags) - SHOWN_ITEMS:,} more items; all of them: catalens tag … --json", style="dim")
