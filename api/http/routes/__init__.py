"""The routes, a module for each kind; `ROUTERS` is all of them, in the order in which they are looked through."""

from fastapi import APIRouter

from api.http.routes import collections, health, metrics, search

ROUTERS: tuple[APIRouter, ...] = (health.router, metrics.router, collections.router, search.router)
