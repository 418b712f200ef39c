"""Labels for all items, found by the model; kept as an attribute if asked for."""

from typing import Annotated

from fastapi import APIRouter, Path
from starlette.responses import JSONResponse, Response

from api.answers import tagged_json
from api.http.dependencies import ServedDep, ServerDep
from api.http.models.tags import TaggedAnswer, TagRequest, UntaggedAnswer
from indexer.tagging import remove_tags, tag

router = APIRouter(prefix="/v1/collections/{name}/tags", tags=["tags"])


@router.post("", response_model=TaggedAnswer)
async def tag_items(server: ServerDep, served: ServedDep, body: TagRequest) -> Response:
    """Find the labels that fit each item with a photo, as `catalens tag` does."""
    labels = list(dict.fromkeys(" ".join(label.split()) for label in body.labels))

    def work() -> Response:
        found = tag(
            served.folder,
            served.searcher.encoder,
            labels,
            field=body.field,
            min_confidence=body.min_confidence,
            top=body.top,
            store=body.store,
        )
        value = tagged_json(found, labels, body.field, stored=body.store)
        return JSONResponse({**value, "items": value["items"][: body.limit], "with_labels": len(value["items"])})

    return await (server.writing.run(served, work) if body.store else server.run(work))


@router.delete("/{field}")
async def untag_items(
    server: ServerDep, served: ServedDep, field: Annotated[str, Path(examples=["tags"], max_length=64)]
) -> UntaggedAnswer:
    """Take a field of labels away from all items."""
    removed = await server.writing.run(served, remove_tags, served.folder, field)
    return UntaggedAnswer(field=field, removed_from=removed)
