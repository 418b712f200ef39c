"""The reference of the API for people: a page of our own, which draws /openapi.json and needs no other server."""

from importlib.resources import files

from fastapi import APIRouter
from starlette.responses import HTMLResponse

router = APIRouter(include_in_schema=False)

PAGE = files("api.page").joinpath("docs.html")


@router.get("/docs")
async def docs() -> HTMLResponse:
    """The page; its script and its style are assets of the search page."""
    return HTMLResponse(PAGE.read_bytes(), headers={"Cache-Control": "no-cache"})
