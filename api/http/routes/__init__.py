"""The routes, a module for each kind; `ROUTERS` is all of them, in the order in which they are looked through."""

from fastapi import APIRouter

from api.http.routes import (
    collections,
    docs,
    embeddings,
    explanations,
    facets,
    health,
    items,
    metrics,
    page,
    photos,
    rerank,
    search,
    similar,
    tags,
)

# Those of one thing of an item stand before the item: its id may hold slashes, and would take them for a part of it.
ROUTERS: tuple[APIRouter, ...] = (
    page.router,
    docs.router,
    health.router,
    metrics.router,
    collections.router,
    search.router,
    facets.router,
    explanations.router,
    photos.router,
    similar.router,
    embeddings.router,
    rerank.router,
    tags.router,
    items.router,
)
