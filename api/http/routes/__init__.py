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

# One after the other is compared with the address, so what is asked most stands first: 40 others before cost a search
# 0.1 ms. Those of one thing of an item stand before the item, whose id may hold slashes and would take it for a part.
ROUTERS: tuple[APIRouter, ...] = (
    search.router,
    photos.router,
    facets.router,
    similar.router,
    explanations.router,
    tags.router,
    items.router,
    collections.router,
    embeddings.router,
    rerank.router,
    health.router,
    metrics.router,
    docs.router,
    page.router,
)
