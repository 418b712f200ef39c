"""Is the server there, and can it answer?"""

from fastapi import APIRouter
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
async def ready(server: ServerDep) -> Ready:
    """Say that every collection can be searched and at which revision; 503 where one cannot. Needs no key.

    It waits for no thread of the server's: one that is busy is ready all the same.
    """
    return await run_in_threadpool(_ready, server)


def _ready(server: Server) -> Ready:
    return Ready(status="ready", collections=[_collection(served) for served in server.all()])


def _collection(served: Served) -> ReadyCollection:
    try:
        revision = served.searcher.collection.view().revision
    except CatalensError as error:
        raise NotReady(
            f"the collection '{served.name}' cannot be searched: {served.told(str(error))}",
            hint=served.told(error.hint) or "the server's log has more",
        ) from error
    return ReadyCollection(name=served.name, model=model_name(served.searcher.encoder.spec.name), revision=revision)
