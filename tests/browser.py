"""A real browser before a real server on loopback, and a shop of painted things whose right answers are knowable."""

import base64
import io
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image, ImageDraw

from api.http.app import create_app
from api.http.settings import ServerSettings
from indexer.sources.base import SourceItem
from tests import raw_http
from tests.fakes import COLOURS, ColourEncoder
from tests.listed import fill

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

SCREENSHOTS = os.environ.get("CATALENS_SCREENSHOTS")
CHROMIUM = shutil.which("chromium")
KINDS = ("mug", "lamp", "vase", "bowl")
DESKTOP, PHONE = (1280, 800), (390, 844)


@contextmanager
def chromium() -> Iterator["Browser"]:
    """Debian's Chromium without a window. Skips where it, or Playwright, is not installed."""
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("no chromium on this machine: the page is not tried out in a browser")
    with playwright.sync_playwright() as started:
        # No sandbox: where tests run as root, as in containers, Chromium refuses to start with one.
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def serving(*collections: Path, port: int = 0, **settings: Any) -> Iterator[str]:
    """The address of a server of these collections, on a thread of its own."""
    made = ServerSettings({folder.name: folder for folder in collections}, **settings)
    encoder = ColourEncoder()
    app = create_app(made, load=lambda _: encoder)
    with raw_http.serving(app, port=port, timeout_graceful_shutdown=1) as bound:
        yield f"http://127.0.0.1:{bound}"


def shop(folder: Path) -> Path:
    """36 things, one of each colour and kind: `red-mug` and so on, with prices from 10 to 45."""
    folder.mkdir(parents=True)
    items = []
    for number, (colour, kind) in enumerate((colour, kind) for colour in COLOURS for kind in KINDS):
        photo = painted(folder / f"{colour}-{kind}.png", COLOURS[colour], kind)
        items.append(
            SourceItem(
                f"{colour}-{kind}",
                f"{colour.capitalize()} {kind}",
                (photo,),
                texts={"description": f"A {kind} of stoneware, glazed by hand."},
                attributes={
                    "colour": colour.capitalize(),
                    "kind": kind.capitalize(),
                    "price": 10.0 + number,
                    "in_stock": number % 3 != 0,
                    "rooms": ["Kitchen", "Table"] if kind in ("mug", "bowl") else ["Living room"],
                },
            )
        )
    fill(folder / "pottery", items, ColourEncoder())
    return folder / "pottery"


def painted(path: Path, colour: tuple[int, int, int], kind: str = "mug") -> Path:
    """A thing in its colour on a ground of the same, so that the mean colour says which it is."""
    picture = Image.new("RGB", (240, 240), colour)
    brush = ImageDraw.Draw(picture)
    shade, gloss = (_mixed(colour, to, 0.35) for to in ((0, 0, 0), (255, 255, 255)))
    if kind == "mug":
        brush.ellipse((140, 95, 205, 165), outline=shade, width=14)
        brush.rounded_rectangle((60, 70, 165, 190), 18, fill=shade)
        brush.ellipse((60, 58, 165, 88), fill=gloss)
    elif kind == "lamp":
        brush.polygon(((90, 50), (150, 50), (185, 130), (55, 130)), fill=gloss)
        brush.rectangle((114, 130, 126, 195), fill=shade)
        brush.rounded_rectangle((80, 190, 160, 204), 7, fill=shade)
    elif kind == "vase":
        brush.rectangle((102, 45, 138, 95), fill=shade)
        brush.ellipse((70, 80, 170, 205), fill=shade)
        brush.ellipse((98, 38, 142, 54), fill=gloss)
    else:
        brush.pieslice((45, 20, 195, 190), 0, 180, fill=shade)
        brush.ellipse((45, 90, 195, 122), fill=gloss)
    picture.save(path)
    return path


def _mixed(colour: tuple[int, int, int], to: tuple[int, int, int], share: float) -> tuple[int, int, int]:
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(colour, to, strict=True))
    return red, green, blue


def png(colour: tuple[int, int, int]) -> str:
    """A picture file of one colour, in base64."""
    out = io.BytesIO()
    Image.new("RGB", (64, 48), colour).save(out, "PNG")
    return base64.b64encode(out.getvalue()).decode()


@dataclass
class Visit:
    """A page of its own, and all that went wrong on it. Screenshots go to the folder `pictures`."""

    page: "Page"
    base: str
    pictures: Path
    wrong: list[str] = field(default_factory=list)
    running: set[Any] = field(default_factory=set)

    def watch(self) -> None:
        """Note down what the console, scripts and requests complain of."""

        def began(request: Any) -> None:  # Playwright takes no methods of built-in types
            self.running.add(request)

        def ended(request: Any) -> None:
            self.running.discard(request)

        def failed(request: Any) -> None:
            if request.failure != "net::ERR_ABORTED":  # a stale search was given up
                self.wrong.append(f"{request.url}: {request.failure}")

        self.page.on("request", began)
        self.page.on("requestfinished", ended)
        self.page.on("requestfailed", ended)
        self.page.on("console", lambda said: said.type in ("error", "warning") and self.wrong.append(said.text))
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("requestfailed", failed)
        self.page.on("response", lambda answer: answer.status >= 400 and self.wrong.append(answer.url))

    def go(self, address: str = "/") -> "Page":
        """Open an address of the page and wait for hits, or for what is said in their place."""
        self.page.goto(self.base + address)
        self.page.locator(".card:not(.ghost), .notice").first.wait_for()
        return self.page

    def leave(self) -> None:
        """Let what is under way end, and go."""
        if not self.page.is_closed():
            self.settle(rounds=2)
            self.page.close()

    def ids(self) -> list[str]:
        """The hits that are shown, in their order."""
        return self.page.eval_on_selector_all(".card:not(.ghost)", "cards => cards.map(card => card.dataset.id)")

    def search(self, words: str) -> None:
        """Type words, and wait for their answer."""
        with self.page.expect_response(lambda answer: answer.url.endswith("/search")):
            self.page.fill("#q", words)
        self.settle()

    def settle(self, rounds: int = 10) -> None:
        """Wait until nothing was asked of the server for 20 ms a round: for longer than the pause after typing."""
        quiet = 0
        while quiet < rounds:
            self.page.wait_for_timeout(20)
            quiet = 0 if self.running else quiet + 1

    def shoot(self, name: str) -> None:
        """Keep a picture of the page, once its photos are there."""
        with suppress(Exception):
            self.page.wait_for_function(
                "[...document.images].every(image => image.complete || image.loading === 'lazy')", timeout=2_000
            )
        if SCREENSHOTS:
            self.page.wait_for_timeout(350)  # photos fade in
        self.page.screenshot(path=self.pictures / f"{name}.png")


def pictures_folder(otherwise: Path) -> Path:
    """Where screenshots go."""
    folder = Path(SCREENSHOTS or otherwise)
    folder.mkdir(parents=True, exist_ok=True)
    return folder
