"""`catalens index --add-tokens`, and how `catalens status` says what is there for reranking."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from api.cli.formats import one_line
from api.cli.output import err, print_json
from retrieval.errors import SourceError

LABELS = {"photos": "Looking at photos", "texts": "Reading texts"}
SHOWN_PROBLEMS = 20


def add_tokens(collection: Path, *, runtime: str | None = None, as_json: bool) -> None:
    """Give a collection the tokens it lacks, and report what could not get any."""
    from api.cli.progress import show_progress
    from indexer.add_tokens import add_tokens as add
    from indexer.add_tokens import made_with
    from retrieval.encoders import load_encoder

    encoder = load_encoder(made_with(collection), runtime=runtime)
    try:
        with show_progress(err, LABELS) as on_progress:
            added = add(collection, encoder, on_progress=on_progress)
    except KeyboardInterrupt:
        err.print("\nStopped. What is there stays; to go on, run the same command again.")
        sys.exit(130)
    if added.replaced:
        err.print("The tokens that were there are of another kind; they are replaced.")
    if added.failed:
        err.print(f"{added.failed:,} photos got no tokens:")
        for path, reason in added.problems[:SHOWN_PROBLEMS]:
            err.print(f"  {one_line(path)}: {one_line(reason)}", soft_wrap=True, markup=False)
        if added.failed > SHOWN_PROBLEMS:
            err.print(f"  and {added.failed - SHOWN_PROBLEMS:,} more")
    counts = added.to_json()
    if as_json:
        problems = [{"where": path, "reason": reason} for path, reason in added.problems]
        print_json({**counts, "problems": problems})
    said = {name: int(value) if isinstance(value, bool) else value for name, value in counts.items()}
    err.print("catalens index: " + " ".join(f"{name}={value}" for name, value in said.items()), soft_wrap=True)
    if added.failed and not added.photos:
        raise SourceError(
            f"none of the {added.failed:,} photos without tokens could be read as they were indexed",
            hint="index their sources again, or mount the disk that they lie on",
        )


def told(tokens: Mapping[str, Any]) -> str:
    """What `Collection.status` says of tokens, in one line."""
    if tokens["fingerprint"] is None:
        return "none"
    return f"{tokens['photos']:,} photos, {tokens['texts']:,} texts, {tokens['bytes_per_photo']:,} bytes a photo"
