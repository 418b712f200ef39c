"""The routes, a module for each kind; `ROUTERS` is all of them, in the order in which they are looked through."""

from fastapi import APIRouter

from api.http.routes import collections, health, search

ROUTERS: tuple[APIRouter, ...] = (health.router, collections.router, search.router)
