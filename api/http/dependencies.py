"""What routes ask for: `server: ServerDep`, `served: ServedDep` for the collection named in the address."""

from typing import Annotated, cast

from fastapi import Depends, Path, Request

from api.http.metrics import Metrics
from api.http.server import Served, Server

CollectionName = Annotated[
    str, Path(description="The collection, as GET /v1/collections names it.", examples=["shop"], max_length=200)
]
ItemId = Annotated[
    str, Path(description="The item's own id; a slash in it may be written as it is, or as %2F.", examples=["sku-red"])
]


# All are coroutines: FastAPI sends plain functions through a thread, which cost 0.1 ms each.
async def _server(request: Request) -> Server:
    return cast(Server, request.app.state.server)


async def _metrics(request: Request) -> Metrics:
    return cast(Metrics, request.app.state.metrics)


ServerDep = Annotated[Server, Depends(_server)]
MetricsDep = Annotated[Metrics, Depends(_metrics)]


async def _served(server: ServerDep, name: CollectionName) -> Served:
    return await server.current(name)


ServedDep = Annotated[Served, Depends(_served)]
