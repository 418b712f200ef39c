"""The app: `create_app(ServerSettings({"shop": Path(".catalens")}))`, for any ASGI server."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware

from api.http.encoders import Load
from api.http.errors import UnexpectedErrors, add_handlers
from api.http.models.errors import ERRORS
from api.http.routes import ROUTERS
from api.http.server import Server
from api.http.settings import ServerSettings
from retrieval.errors import CatalensError

ABOUT = """Find pictures by words and words by pictures.

A search is one value: parts (words, pictures, stored items, embeddings), each with a weight, negative for what hits
should be unlike; a filter, facets, sorting, pages. Every error has the shape `{"error": {type, message, hint, field}}`.
"""


def create_app(settings: ServerSettings, *, load: Load | None = None) -> FastAPI:
    """The server as an ASGI app; its collections are opened and its models loaded when it starts.

    load: makes an encoder of a model's name; None for `load_encoder` on the settings' runtime.
    A start that fails raises; `app.state.failed` keeps why.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        server: Server = app.state.server
        try:
            await run_in_threadpool(server.open)
        except CatalensError as error:
            app.state.failed = error
            raise
        try:
            yield
        finally:
            await run_in_threadpool(server.close)

    app = FastAPI(
        title="Catalens",
        version=version("catalens"),
        description=ABOUT,
        lifespan=lifespan,
        middleware=middleware(settings),
        generate_unique_id_function=_operation_id,
        docs_url=None,  # FastAPI's pages load scripts from elsewhere
        redoc_url=None,
    )
    app.state.server, app.state.failed = Server(settings, load), None
    add_handlers(app)
    for router in ROUTERS:
        app.include_router(router, responses=ERRORS)
    return app


def middleware(_: ServerSettings) -> list[Middleware]:
    """What every request goes through before its route, the outermost first."""
    return [Middleware(UnexpectedErrors)]


def _operation_id(route: APIRoute) -> str:
    return route.name
