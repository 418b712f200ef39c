"""`catalens search`: its options. What it does is in `api/cli/search_commands.py`."""

from typing import Annotated, Any

import typer
from typer.core import TyperCommand

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
    RerankDeadlineOption,
    RerankerOption,
    RerankOption,
    RerankWhenOption,
    RuntimeOption,
    SortOption,
    UnlikeOption,
    query_of,
)
from api.defaults import DEFAULT_COLLECTION


class SearchCommand(TyperCommand):
    """`--rerank` may stand before words: only a number after it is how many."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Give each `--rerank` its number."""
        from retrieval.query.text_form import with_depth

        options = (one for one in self.params if one.param_type_name == "option" and not getattr(one, "is_flag", False))
        valued = {name for one in options for name in one.opts}
        return super().parse_args(ctx, with_depth(args, valued))


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
    rerank: RerankOption = None,
    rerank_deadline: RerankDeadlineOption = None,
    rerank_when: RerankWhenOption = "always",
    reranker: RerankerOption = None,
    collection: CollectionOption = DEFAULT_COLLECTION,
    runtime: RuntimeOption = None,
    json: JsonOption = False,
) -> None:
    """Search a collection by words, pictures and stored items, added and taken away, each with a weight if you like.

    Piped output is tab-separated, tabs inside as \\t.
    """
    from api.cli import search_commands
    from retrieval.query.text_form import USUAL_DEPTH

    if rerank is None:
        rerank = USUAL_DEPTH if reranker else 0

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
        rerank_deadline=rerank_deadline,
        rerank_when=rerank_when,
    )
    if not rerank:
        for name, given in (
            ("--rerank-deadline", rerank_deadline is not None),
            ("--rerank-when", rerank_when != "always"),
        ):
            if given:
                raise typer.BadParameter("it says how to rerank; add --rerank", param_hint=name)
    search_commands.search(query, collection, runtime=runtime, reranker=reranker, as_json=json)


def register(main: typer.Typer) -> None:
    """Add `search` to the program."""
    main.command(cls=SearchCommand, short_help="Search by words, pictures and stored items, added and taken away.")(
        search
    )
