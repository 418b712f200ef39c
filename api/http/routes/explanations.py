"""Why an item is where it is in an answer, and which part of its photo says so."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Response

from api.captions import caption
from api.http.answers import explanation_json
from api.http.dependencies import ItemId, ServedDep, ServerDep
from api.http.models.explanation import Explanation
from api.http.models.search import ExplainRequest, QueryFields
from api.http.photo_files import picture_of
from api.http.photos import gone, item_key, photo_of
from api.http.server import Served
from retrieval.arrays import FloatArray
from retrieval.catalogue.photo_queries import PhotoRow
from retrieval.errors import ImageError, QueryError
from retrieval.explain.drawing import MAX_SIDE, alone, draw
from retrieval.explain.heat_map import heat_map
from retrieval.explain.why import explain
from retrieval.query import Query as SearchQuery
from retrieval.query.json_form import from_json

router = APIRouter(prefix="/v1/collections/{name}", tags=["explain"])

_PNG: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The heat map.",
        "content": {"image/png": {"schema": {"type": "string", "format": "binary"}}},
    }
}
Overlay = Annotated[
    bool, Query(description="The map alone, transparent, in the shape of the photo, to be laid over it.")
]
PhotoId = Annotated[
    int | None, Query(ge=1, description="The id of one of the item's photos; by default the one that fits best.")
]


@router.post("/explain")
async def explain_item(server: ServerDep, served: ServedDep, asked: ExplainRequest) -> Explanation:
    """Say what a search makes of one item: its exact places, and the step at which it fell out."""

    def explained() -> Explanation:
        query = from_json(asked.query.query_json())
        item_key(served, asked.item_id)
        return Explanation.model_validate(explanation_json(served, explain(served.searcher, query, asked.item_id)))

    return await server.run(explained)


@router.get("/items/{item_id:path}/heatmap", responses=_PNG, response_class=Response)
async def get_heat_map(
    server: ServerDep,
    served: ServedDep,
    item_id: ItemId,
    q: Annotated[str, Query(min_length=1, description="Words to look for.", examples=["the sole"])],
    photo: PhotoId = None,
    overlay: Overlay = False,
) -> Response:
    """Show where in its photo an item fits words."""
    return await server.run(drawn, served, item_id, SearchQuery.of(q), photo, overlay=overlay)


@router.post("/items/{item_id:path}/heatmap", responses=_PNG, response_class=Response)
async def post_heat_map(
    server: ServerDep,
    served: ServedDep,
    item_id: ItemId,
    query: QueryFields,
    photo: PhotoId = None,
    overlay: Overlay = False,
) -> Response:
    """Show where in its photo an item fits a query of any parts."""
    return await server.run(lambda: drawn(served, item_id, from_json(query.query_json()), photo, overlay=overlay))


def drawn(served: Served, item_id: str, query: SearchQuery, photo_id: int | None, *, overlay: bool) -> Response:
    """The map as an answer. Raises NotFound for an item or photo that is not there, QueryError for an empty query."""
    searcher = served.searcher
    if not query.parts:
        raise QueryError("a heat map needs something to look for", hint="give words or a picture")
    photos = searcher.collection.item_photos(item_key(served, item_id))
    vector = searcher.vectors(query).of("image", searcher.collection.view().rules)[0]
    photo = photo_of(served, item_id, photo_id) if photo_id or not photos else best_of(served, photos, vector)
    try:
        picture = picture_of(photo, MAX_SIDE).image
    except ImageError as error:
        raise gone(item_id, error) from error
    made = heat_map(searcher.encoder, picture, vector, tested=False)
    content = alone(made, picture.size) if overlay else draw(picture, made, caption(query))
    return Response(content, media_type="image/png", headers={"Cache-Control": "private, max-age=60"})


def best_of(served: Served, photos: list[PhotoRow], vector: FloatArray) -> PhotoRow:
    """The photo that is nearest to a query's vector; the first if none has one."""
    ids, stored = served.searcher.collection.vectors("image", [photo.id for photo in photos])
    if not len(ids):
        return photos[0]
    best = int(ids[(stored @ vector).argmax()])
    return next(photo for photo in photos if photo.id == best)
