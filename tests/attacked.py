"""A server to attack, what a refusal looks like, and what must still be true at the end."""

import json
import os
from pathlib import Path

from fastapi import FastAPI
from PIL import Image

from api.http.app import create_app
from api.http.settings import ServerSettings
from tests.fakes import ColourEncoder
from tests.http_server import colour_shop
from tests.raw_http import Answer, ask

LIMIT = 300_000
SHOP = "/v1/collections/shop"

READING = [
    f"{SHOP}/search",
    f"{SHOP}/explain",
    f"{SHOP}/items/sku-red/heatmap",
    "/v1/embeddings",
    "/v1/rerank",
]
JSON_ROUTES = [
    *(("POST", path) for path in READING),
    ("POST", f"{SHOP}/items"),
    ("POST", f"{SHOP}/items/delete"),
    ("POST", f"{SHOP}/tags"),
    ("PUT", f"{SHOP}/items/new"),
]
"""Method and path of all that takes JSON."""


def attacked_app(folder: Path) -> FastAPI:
    """Takes photos by path and by URL, and bodies of `LIMIT` bytes; asks for no keys."""
    (folder / "secret.txt").write_text("the secret", encoding="utf-8")
    lay_out_photos(folder)
    settings = ServerSettings(
        {"shop": colour_shop(folder)}, upload_limit=LIMIT, allow_url=True, image_roots=(folder / "photos",)
    )
    return create_app(settings, load=lambda _: ColourEncoder())


def lay_out_photos(folder: Path) -> None:
    """A folder that photos may be named in, with links and more that lead out of it."""
    photos = folder / "photos"
    photos.mkdir()
    picture = Image.new("RGB", (8, 8), (220, 20, 20))
    for place in (photos / "in.png", folder / "outside.png"):
        picture.save(place)
    (photos / "link.png").symlink_to(folder / "outside.png")
    (photos / "away").symlink_to(folder)
    (photos / "chain.png").symlink_to(photos / "link.png")
    (photos / "passwd").symlink_to("/etc/passwd")
    (photos / "round.png").symlink_to(photos / "round.png")
    os.mkfifo(photos / "pipe.png")


def refused(answer: Answer, folder: Path, *statuses: int) -> None:
    """A refusal in the one shape, that tells nothing about this machine."""
    assert answer.status in (statuses or range(400, 500)), (answer.status, answer.body[:300])
    assert answer.error["type"] != "internal_error"
    assert str(folder).encode() not in answer.body
    assert b"Traceback" not in answer.body
    assert "x-request-id" in answer.headers
    assert answer.headers["x-content-type-options"] == "nosniff"


def is_well(port: int) -> None:
    """Nothing was a surprise, no thread hangs, and search works as before."""
    shown = ask(port, "GET", "/metrics").body.decode()
    assert 'type="internal_error"' not in shown
    assert "catalens_busy_threads 0.0" in shown
    hits = json.loads(ask(port, "GET", f"{SHOP}/search?q=red&k=1").body)["hits"]
    assert hits[0]["item_id"] == "sku-red"
