"""The routes, a module for each kind; `ROUTERS` is all of them, in the order in which they are looked through."""

from fastapi import APIRouter

from api.http.routes import (
    collections,
    embeddings,
    explanations,
    facets,
    health,
    metrics,
    page,
    photos,
    rerank,
    search,
)

ROUTERS: tuple[APIRouter, ...] = (
    page.router,
    health.router,
    metrics.router,
    collections.router,
    search.router,
    photos.router,
    explanations.router,
    facets.router,
    embeddings.router,
    rerank.router,
)
