"""`catalens explain`: its options. What it does is in `api/cli/explain_commands.py`."""

from pathlib import Path
from typing import Annotated

import typer

from api.cli.options import (
    ByOption,
    CollectionOption,
    DiversityOption,
    DuplicatesOption,
    FilterOption,
    GroupOption,
    ImageOption,
    JsonOption,
    KOption,
    LikeOption,
    MinConfidenceOption,
    OffsetOption,
    PartsArgument,
    RuntimeOption,
    SortOption,
    UnlikeOption,
    query_of,
)
from api.defaults import DEFAULT_COLLECTION


def explain(
    item_id: Annotated[str, typer.Option("--id", help="The item to explain, by its id.")],
    parts: PartsArgument = None,
    image: ImageOption = None,
    like: LikeOption = None,
    unlike: UnlikeOption = None,
    k: KOption = 10,
    offset: OffsetOption = 0,
    by: ByOption = "image",
    filter: FilterOption = None,
    sort: SortOption = None,
    group: GroupOption = None,
    duplicates: DuplicatesOption = None,
    diversity: DiversityOption = 0.0,
    min_confidence: MinConfidenceOption = None,
    heatmap: Annotated[
        Path | None,
        typer.Option(metavar="PNG", help="Also draw what part of its best photo the query matches. Loads PyTorch."),
    ] = None,
    collection: CollectionOption = DEFAULT_COLLECTION,
    runtime: RuntimeOption = None,
    json: JsonOption = False,
) -> None:
    """Say why one item is where it is in the answer to a query, or at which step of the search it fell out."""
    from api.cli import explain_commands as commands

    query = query_of(
        parts,
        image,
        like,
        unlike,
        k=k,
        offset=offset,
        by=by,
        filter=filter,
        sort=sort,
        group=group,
        duplicates=duplicates,
        diversity=diversity,
        min_confidence=min_confidence,
    )
    commands.explain(query, item_id, collection, heatmap, runtime=runtime, as_json=json)


def register(main: typer.Typer) -> None:
    """Add `explain` to the program."""
    main.command(short_help="Say why an item is, or is not, in an answer.")(explain)
