"""Facets of a collection, before anything is searched for."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query

from api.http.dependencies import ServedDep, ServerDep
from api.http.known import known_parameters
from api.http.models.facets import Facets
from retrieval.counting import counted
from retrieval.query.value import MAX_FACETS

router = APIRouter(prefix="/v1/collections/{name}", tags=["search"], dependencies=[Depends(known_parameters)])


@router.get("/facets", response_model=Facets, response_model_exclude_unset=True)
async def get_facets(
    server: ServerDep,
    served: ServedDep,
    field: Annotated[
        list[str],
        Query(
            min_length=1,
            max_length=MAX_FACETS,
            description="A field, with how many values or with edges: `category`, `category:20`, `price:0,25,50`. "
            "May be given several times.",
            examples=["category"],
        ),
    ],
    filter: Annotated[str | None, Query(description="Which items count.", examples=["price < 50"])] = None,
) -> dict[str, Any]:
    """Count the values of fields, over all items or those that pass a filter."""
    found = await server.run(counted, served.searcher, field, filter)
    return {
        "facets": [facet.to_json() for facet in found.facets],
        "matched": found.matched,
        "revision": found.revision,
    }
