"""`catalens search`: its options. What it does is in `api/search_commands.py`."""

from typing import Annotated

import typer

from api.options import (
    DEFAULT_COLLECTION,
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


def search(
    parts: PartsArgument = None,
    image: ImageOption = None,
    like: LikeOption = None,
    unlike: UnlikeOption = None,
    k: KOption = 10,
    offset: OffsetOption = 0,
    by: ByOption = "image",
    filter: FilterOption = None,
    sort: SortOption = None,
    facet: Annotated[
        list[str] | None, typer.Option(help="Count this field's values; FIELD:0,25,50 counts ranges.")
    ] = None,
    group: GroupOption = None,
    duplicates: DuplicatesOption = None,
    diversity: DiversityOption = 0.0,
    min_confidence: MinConfidenceOption = None,
    rerank: Annotated[int, typer.Option(help="Hits that a reranker orders anew; there is none yet.")] = 0,
    collection: CollectionOption = DEFAULT_COLLECTION,
    runtime: RuntimeOption = None,
    json: JsonOption = False,
) -> None:
    """Search a collection by words, pictures and stored items, added and taken away, each with a weight if you like.

    Piped output is tab-separated, tabs inside as \\t.
    """
    from api import search_commands

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
        facets=facet,
        group=group,
        duplicates=duplicates,
        diversity=diversity,
        min_confidence=min_confidence,
        rerank=rerank,
    )
    search_commands.search(query, collection, runtime=runtime, as_json=json)


def register(main: typer.Typer) -> None:
    """Add `search` to the program."""
    main.command(short_help="Search by words, pictures and stored items, added and taken away.")(search)
