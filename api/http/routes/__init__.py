"""The routes, a module for each kind; `ROUTERS` is all of them, in the order in which they are looked through."""

from fastapi import APIRouter

from api.http.routes import collections, health, items, search, tags

ROUTERS: tuple[APIRouter, ...] = (health.router, collections.router, search.router, tags.router, items.router)
