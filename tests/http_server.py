"""A real collection of colours behind a real app, in the test's own process or in one of its own."""

import logging
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fastapi.testclient import TestClient

from api.http.app import create_app
from api.http.encoders import Load
from api.http.settings import ServerSettings
from indexer.sources.base import SourceItem
from retrieval.encoders.base import DualEncoder
from tests.fakes import COLOURS, ColourEncoder
from tests.listed import fill, paint

ROOT = Path(__file__).parents[1]


def colour_shop(folder: Path, name: str = "shop") -> Path:
    """A collection with one item of each colour: `sku-red` and so on, with a photo, a title, a price and a brand."""
    folder.mkdir(parents=True, exist_ok=True)
    items = [
        SourceItem(
            f"sku-{colour}",
            f"{colour} thing",
            (paint(folder / f"{colour}.png", rgb),),
            attributes={"price": 10.0 * (i + 1), "brand": "A" if i % 2 else "B"},
        )
        for i, (colour, rgb) in enumerate(COLOURS.items())
    ]
    fill(folder / name, items, ColourEncoder())
    return folder / name


@contextmanager
def client_of(
    *collections: Path,
    encoder: DualEncoder | None = None,
    encoders: Mapping[str, DualEncoder] | None = None,
    load: Load | None = None,
    **settings: Any,
) -> Iterator[TestClient]:
    """A client of an app that serves these collections by their folders' names. settings: of `ServerSettings`.

    encoder: of all collections; encoders: by the model's name; load: makes the encoder of a model's name.
    A failure of the server is an answer, not an exception.
    """
    made = ServerSettings({folder.name: folder for folder in collections}, **settings)
    one = encoder or ColourEncoder()
    loading = load or (lambda name: (encoders or {}).get(name, one))
    with TestClient(create_app(made, load=loading), raise_server_exceptions=False) as client:
        yield client


@contextmanager
def process_as_before() -> Iterator[None]:
    """What a server changes in a process that it has for itself is put back: loggers, and what SIGTERM does."""
    before = signal.getsignal(signal.SIGTERM)
    loggers = [logging.getLogger(name) for name in ("catalens", "catalens.access")]
    kept = [(one, one.handlers, one.propagate, one.disabled, one.level) for one in loggers]
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
        for one, handlers, propagate, disabled, level in kept:
            one.handlers, one.propagate, one.disabled = handlers, propagate, disabled
            one.setLevel(level)


@contextmanager
def served(mark: Path, *arguments: object) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """`catalens serve` on a free port in a process of its own, see `serve_driver`, and its address."""
    command = [sys.executable, "-m", "tests.serve_driver", str(mark), "serve", "--port", "0", *map(str, arguments)]
    with subprocess.Popen(
        command, cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"}, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stderr is not None
            line = process.stderr.readline()
            found = re.search(r"Catalens is at (http://127\.0\.0\.1:\d+)/", line)
            assert found, line + process.stderr.read()
            yield process, found[1]
        finally:
            process.kill()
