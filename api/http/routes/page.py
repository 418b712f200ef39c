"""The page at `/` and its assets, by their names: no path that comes in is ever looked up."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from fastapi import APIRouter, Request, Response

router = APIRouter(include_in_schema=False)

START = "index.html"
TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
# Ask each time whether it is still the same: after an update nobody gets the modules of two releases.
CACHING = "no-cache"


@dataclass(frozen=True)
class Asset:
    """One file of the page. etag: of its bytes, quoted as the header has it."""

    content: bytes
    media_type: str
    etag: str


@cache
def assets() -> Mapping[str, Asset]:
    """All files of the page by name, read once: 140 kB."""
    found = {}
    for file in files("api.page").iterdir():
        media_type = TYPES.get("." + file.name.rpartition(".")[2])
        if media_type is not None:
            content = file.read_bytes()
            etag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
            found[file.name] = Asset(content, f"{media_type}; charset=utf-8", etag)
    return found


@router.api_route("/", methods=["GET", "HEAD"])
async def start(request: Request) -> Response:
    """The page."""
    return _answer(request, assets()[START])


def _answer(request: Request, asset: Asset) -> Response:
    headers = {"Cache-Control": CACHING, "ETag": asset.etag}
    asked = request.headers.get("if-none-match", "")
    if asset.etag in (each.strip().removeprefix("W/") for each in asked.split(",")):
        return Response(status_code=304, headers=headers)
    return Response(asset.content, media_type=asset.media_type, headers=headers)


def _add(name: str) -> None:
    async def answer(request: Request) -> Response:
        return _answer(request, assets()[name])

    router.add_api_route(f"/page/{name}", answer, methods=["GET", "HEAD"], name=f"page {name}")


for _name in sorted(assets()):
    if _name != START:
        _add(_name)
