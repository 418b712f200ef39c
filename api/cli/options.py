"""Options that several commands have, each worded once."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from retrieval.query import Query


CollectionOption = Annotated[
    Path,
    typer.Option("--collection", envvar="CATALENS_COLLECTION", help="Folder of the collection.", show_default=True),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
RuntimeOption = Annotated[
    str | None,
    typer.Option(
        "--runtime",
        metavar="auto|openvino|torch",
        help="What encodes: an export if there is one (auto), made first if need be (openvino), or torch. "
        "Otherwise $CATALENS_RUNTIME, else auto.",
    ),
]

# The query: `retrieval/query/text_form.py` reads the same options from a text.
PartsArgument = Annotated[
    list[str] | None,
    typer.Argument(help='Words, paths of pictures, or both: "red dress" + ./photo.jpg - "stripes" + 0.5:vintage'),
]
ImageOption = Annotated[list[Path] | None, typer.Option(help="A picture that hits should be like; several times.")]
LikeOption = Annotated[list[str] | None, typer.Option(help="Id of an item that hits should be like.")]
UnlikeOption = Annotated[list[str] | None, typer.Option(help="Id of an item that hits should be unlike.")]
KOption = Annotated[int, typer.Option("-k", help="How many items.")]
OffsetOption = Annotated[int, typer.Option(help="How many of the best items to leave out before them.")]
ByOption = Annotated[
    str, typer.Option(help="Compare with photos (image), titles and texts (text), their words (lexical), or hybrid.")
]
FilterOption = Annotated[str | None, typer.Option(help='Only such items: price < 50 and brand in ("A", "B")')]
SortOption = Annotated[
    list[str] | None, typer.Option(help="Order the best hits by this field; --sort=-FIELD descends.")
]
GroupOption = Annotated[str | None, typer.Option(help="Show the best item for each value of this field only.")]
DuplicatesOption = Annotated[
    float | None, typer.Option(help="Show one of several photos whose cosine is at least this, such as 0.97.")
]
DiversityOption = Annotated[float, typer.Option(help="0 for relevance alone to 1 for different hits.")]
RerankOption = Annotated[
    int | None,
    typer.Option("--rerank", metavar="[N]", help="Have a reranker order the best N anew; 20 if no number follows."),
]
RerankDeadlineOption = Annotated[
    float | None, typer.Option(metavar="MS", help="Milliseconds that reranking may take; the rest keeps its order.")
]
RerankWhenOption = Annotated[
    str, typer.Option(metavar="always|uncertain", help="uncertain: not where the first hit is far before the second.")
]
RerankerOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME|DIR",
        help="Reranker: starter, or a folder of catalens train reranker; otherwise the encoder's. Implies --rerank.",
    ),
]
MinConfidenceOption = Annotated[float | None, typer.Option(help="Leave out hits below it, 0 to 1.")]


def query_of(
    parts: Sequence[str] | None,
    image: Sequence[Path] | None,
    like: Sequence[str] | None,
    unlike: Sequence[str] | None,
    **fields: Any,
) -> "Query":
    """The query that the options say. fields: those of `Query` but its parts; None where an option was not given."""
    from retrieval.query import Part, Query
    from retrieval.query.text_form import parts_of

    made = (
        *parts_of(parts or ()),
        *(Part(image=path) for path in image or ()),
        *(Part(item=item) for item in like or ()),
        *(Part(item=item, weight=-1) for item in unlike or ()),
    )
    given: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()}
    chosen: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    return Query(made, **chosen)
