"""`catalens explain`: its options. What it does is in `api/explain_commands.py`."""

from pathlib import Path
from typing import Annotated

import typer

from api.export_cli import RuntimeOption

DEFAULT_COLLECTION = Path(".catalens")


def explain(
    item_id: Annotated[str, typer.Option("--id", help="The item to explain, by its id.")],
    parts: Annotated[
        list[str] | None,
        typer.Argument(help='Words, paths of pictures, or both, as for search: "red dress" - "stripes"'),
    ] = None,
    image: Annotated[list[Path] | None, typer.Option(help="A picture that hits should be like; several times.")] = None,
    like: Annotated[list[str] | None, typer.Option(help="Id of an item that hits should be like.")] = None,
    unlike: Annotated[list[str] | None, typer.Option(help="Id of an item that hits should be unlike.")] = None,
    k: Annotated[int, typer.Option("-k", help="How many items the search is asked for.")] = 10,
    offset: Annotated[int, typer.Option(help="How many of the best items it leaves out before them.")] = 0,
    by: Annotated[
        str,
        typer.Option(help="Compare with photos (image), titles and texts (text), their words (lexical), or hybrid."),
    ] = "image",
    filter: Annotated[str | None, typer.Option(help='Only such items: price < 50 and brand in ("A", "B")')] = None,
    sort: Annotated[list[str] | None, typer.Option(help="Order the best hits by this field; -FIELD descends.")] = None,
    group: Annotated[str | None, typer.Option(help="Show the best item for each value of this field only.")] = None,
    duplicates: Annotated[
        float | None, typer.Option(help="Show one of several photos whose cosine is at least this, such as 0.97.")
    ] = None,
    diversity: Annotated[float, typer.Option(help="0 for relevance alone to 1 for different hits.")] = 0.0,
    min_confidence: Annotated[float | None, typer.Option(help="Leave out hits below it, 0 to 1.")] = None,
    heatmap: Annotated[
        Path | None,
        typer.Option(metavar="PNG", help="Also draw what part of its best photo the query matches. Loads PyTorch."),
    ] = None,
    collection: Annotated[
        Path,
        typer.Option("--collection", envvar="CATALENS_COLLECTION", help="Folder of the collection.", show_default=True),
    ] = DEFAULT_COLLECTION,
    runtime: RuntimeOption = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")] = False,
) -> None:
    """Say why one item is where it is in the answer to a query, or at which step of the search it fell out."""
    from api import explain_commands as commands
    from retrieval.query import Part, Query
    from retrieval.query.text_form import parts_of

    query = Query(
        (
            *parts_of(parts or ()),
            *(Part(image=path) for path in image or ()),
            *(Part(item=item) for item in like or ()),
            *(Part(item=item, weight=-1) for item in unlike or ()),
        ),
        k=k,
        offset=offset,
        by=by,  # type: ignore[arg-type]
        filter=filter,
        sort=tuple(sort or ()),
        group=group,
        duplicates=duplicates,
        diversity=diversity,
        min_confidence=min_confidence,
    )
    commands.explain(query, item_id, collection, heatmap, runtime=runtime, as_json=json)


def register(main: typer.Typer) -> None:
    """Add `explain` to the program."""
    main.command(short_help="Say why an item is, or is not, in an answer.")(explain)
