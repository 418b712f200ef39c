"""The app: `create_app(ServerSettings({"shop": Path(".catalens")}))`, for any ASGI server."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware

from api.http.encoders import Load
from api.http.errors import add_handlers
from api.http.key_docs import describe_keys
from api.http.keys import ApiKeys
from api.http.measuring import watch
from api.http.metrics import Metrics
from api.http.middleware.access_log import AccessLog
from api.http.middleware.api_keys import ApiKeyCheck
from api.http.middleware.body_limit import BodyLimit
from api.http.middleware.cross_site import CrossSiteCheck
from api.http.middleware.hosts import HostCheck
from api.http.middleware.measured import Measured
from api.http.middleware.rate_limit import RateLimit
from api.http.middleware.request_ids import RequestIds
from api.http.middleware.security_headers import SecurityHeaders
from api.http.middleware.unexpected_errors import UnexpectedErrors
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
    A start that fails raises; `app.state.failed` keeps why. Raises KeyFileError for a file of API keys at once.
    """
    metrics = Metrics()

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
        middleware=middleware(settings, metrics),
        generate_unique_id_function=_operation_id,
        docs_url=None,  # FastAPI's pages load scripts from elsewhere
        redoc_url=None,
    )
    app.state.server, app.state.failed, app.state.metrics = Server(settings, load), None, metrics
    watch(app.state.server, metrics)
    add_handlers(app)
    for router in ROUTERS:
        app.include_router(router, responses=ERRORS)
    if settings.api_key_file is not None:
        describe_keys(app)
    return app


def middleware(settings: ServerSettings, metrics: Metrics) -> list[Middleware]:
    """What every request goes through before its route, the outermost first.

    Those that refuse stand inside those that note down, so that refusals have an id, a log line and the headers.
    A preflight has no key, so CORS comes before keys; a client's key says whose share a request counts to; and nobody
    reads a body before it is known who sends it.
    """
    keys = None if settings.api_key_file is None else ApiKeys.read(settings.api_key_file)
    order = [Middleware(RequestIds), Middleware(AccessLog), Middleware(Measured, metrics)]
    order.append(Middleware(SecurityHeaders, embeddable=bool(settings.cors)))
    if settings.hosts:
        order.append(Middleware(HostCheck, settings.hosts))
    if settings.cors:
        order.append(
            Middleware(
                CORSMiddleware,
                allow_origins=settings.cors,
                allow_methods=["GET", "POST", "PUT", "DELETE"],
                allow_headers=["Authorization", "Content-Type", "X-API-Key", "X-Request-ID"],
                expose_headers=["ETag", "Retry-After", "X-Request-ID"],
                allow_credentials=False,  # keys are in headers; a cookie would make any named site act for the visitor
            )
        )
    order.append(Middleware(CrossSiteCheck, settings.cors))
    if keys is not None:
        order.append(Middleware(ApiKeyCheck, keys))
    if settings.rate_limit is not None:
        order.append(Middleware(RateLimit, settings.rate_limit))
    return [*order, Middleware(BodyLimit, settings.upload_limit), Middleware(UnexpectedErrors)]


def _operation_id(route: APIRoute) -> str:
    return route.name
