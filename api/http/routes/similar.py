"""More like this: the items that are most like a stored one."""

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query
from starlette.responses import JSONResponse, Response

from api.http.answers import search_json
from api.http.dependencies import ItemId, ServedDep, ServerDep
from api.http.known import known_parameters
from api.http.models.search import SearchAnswer
from api.http.photos import item_key
from retrieval.query import Part
from retrieval.query import Query as SearchQuery

router = APIRouter(prefix="/v1/collections/{name}", tags=["search"], dependencies=[Depends(known_parameters)])


@router.get("/items/{item_id:path}/similar", response_model=SearchAnswer)
async def get_similar(
    server: ServerDep,
    served: ServedDep,
    item_id: ItemId,
    k: Annotated[int, Query(description="How many hits.")] = 10,
    by: Annotated[
        Literal["image", "text", "hybrid"], Query(description="By photos, by titles and texts, or by both.")
    ] = "image",
    filter: Annotated[str | None, Query(description="Only such items.", examples=["price < 50"])] = None,
    offset: Annotated[int, Query(description="How many of the best to leave out first.")] = 0,
) -> Response:
    """Find the items that are most like a stored one; it is not among them itself."""
    query = SearchQuery((Part(item=item_id),), k=k, by=by, filter=filter, offset=offset)

    def found() -> Response:
        item_key(served, item_id)
        return JSONResponse(search_json(served, served.searcher.answer(query)))

    return await server.run(found)
