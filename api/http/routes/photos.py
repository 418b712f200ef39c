"""Photos of items, by id: small pictures that the server makes, never a file's own bytes."""

from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request, Response

from api.http.dependencies import ItemId, ServedDep, ServerDep
from api.http.photos import gone, photo_of
from api.http.thumbnails import SIZES, etag, is_known, kind_for, snapped
from retrieval.catalogue.photo_queries import PhotoRow
from retrieval.errors import ImageError

router = APIRouter(prefix="/v1/collections/{name}", tags=["items"])

DEFAULT_SIZE = 320
NAMED_SECONDS = 3_600  # a photo's id is never given to another, but another collection may have this name tomorrow

_PICTURE: dict[str, Any] = {"schema": {"type": "string", "format": "binary"}}
_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"description": "The picture.", "content": {"image/webp": _PICTURE, "image/jpeg": _PICTURE}},
    304: {"description": "The copy that If-None-Match names is still right."},
}


@router.head("/items/{item_id:path}/photo", include_in_schema=False)
@router.get("/items/{item_id:path}/photo", responses=_ANSWERS, response_class=Response)
async def get_photo(
    request: Request,
    server: ServerDep,
    served: ServedDep,
    item_id: ItemId,
    photo: Annotated[
        int | None, Query(ge=1, description="The id of one of the item's photos; by default its first.")
    ] = None,
    size: Annotated[
        int,
        Query(
            ge=1,
            le=100_000,
            description=f"Longest side in pixels; the next larger of {', '.join(map(str, SIZES))} is given, and none "
            "larger than the photo.",
        ),
    ] = DEFAULT_SIZE,
    if_none_match: Annotated[str | None, Header(description="The ETag of a copy.")] = None,
) -> Response:
    """Show a photo of an item: WebP if the header Accept names it, else JPEG. Ranges are not served."""
    kind, step = kind_for(request.headers.get("accept", "")), snapped(size)

    def made() -> tuple[PhotoRow, bytes | None]:
        found = photo_of(served, item_id, photo)
        if is_known(etag(found, step, kind), if_none_match):
            return found, None
        try:
            return found, server.thumbnails.of(found, step, kind)
        except ImageError as error:
            raise gone(item_id, error) from error

    found, picture = await server.run(made)
    headers = {
        "ETag": etag(found, step, kind),
        "Vary": "Accept",
        # Of an item without a photo's id the first may be another one tomorrow, so it is asked for each time.
        "Cache-Control": "private, no-cache" if photo is None else f"private, max-age={NAMED_SECONDS}",
    }
    if picture is None:
        return Response(status_code=304, headers=headers)
    return Response(picture, media_type=f"image/{kind}", headers=headers)
