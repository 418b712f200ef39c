"""Is the server there, and can it answer?"""

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool

from api.http.dependencies import ServerDep
from api.http.errors import NotReady
from api.http.models.health import Health, Ready, ReadyCollection
from api.http.privacy import model_name
from api.http.server import Served, Server
from retrieval.errors import CatalensError

router = APIRouter(tags=["server"])


@router.get("/health")
async def health() -> Health:
    """Say that the process runs. Needs no key and reads nothing."""
    return Health(status="ok")


@router.get("/ready")
async def ready(server: ServerDep, request: Request) -> Ready:
    """Say that every collection can be searched, with which model and at which revision; 503 where one cannot.

    Needs no key; where the server has keys, one that shows none is not told the names of the collections.
    """
    # On a thread of its own, not the server's: one that is busy is ready all the same.
    named = server.settings.api_key_file is None or request.state.api_key is not None
    return await run_in_threadpool(_ready, server, named=named)


def _ready(server: Server, *, named: bool) -> Ready:
    collections = [_collection(served, named=named) for served in server.all()]
    return Ready(status="ready", collections=collections if named else [])


def _collection(served: Served, *, named: bool) -> ReadyCollection:
    try:
        revision = served.searcher.collection.view().revision
    except CatalensError as error:
        if not named:
            raise NotReady("a collection cannot be searched", hint="show a key, to be told which") from error
        raise NotReady(
            f"the collection '{served.name}' cannot be searched: {served.told(str(error))}",
            hint=served.told(error.hint) or "the server's log has more",
        ) from error
    return ReadyCollection(name=served.name, model=model_name(served.searcher.encoder.spec.name), revision=revision)
