"""Runs what writes to a collection in processes that can be killed, one for each line of JSON on its standard input.

python -m tests.crash_driver

Each run is a fork of this process, which itself never starts a thread: a child of a process that has run threads may
inherit a lock that nobody will ever free.
"""

import importlib
import json
import os
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, event

import indexer.compaction
import indexer.durable
import indexer.pipeline
from indexer.add_tokens import add_tokens
from indexer.items import PutItem, delete_items, put_items
from indexer.pipeline import index_sources
from indexer.rules import apply_rules
from indexer.sources import open_source
from indexer.tagging import tag
from retrieval.arrays import FloatArray
from tests.fakes import ColourEncoder, Pixels, PlaceEncoder

importlib.import_module("retrieval.index.faiss_index")  # once here, not 0.2 s in every child


class SlowColourEncoder(ColourEncoder):
    """Takes some milliseconds a photo, so that a kill meets every stage of the run."""

    def __init__(self, pause: float) -> None:
        super().__init__()
        self.pause = pause

    def encode_images(self, pixels: Pixels) -> FloatArray:
        time.sleep(self.pause * len(pixels))
        return super().encode_images(pixels)


def die_at(number: int, *, writes: bool = False) -> None:
    """Kill this process at the number-th commit, flush or rename; writes: rows that are written count as well."""
    step = 0

    def tick(*_: object) -> None:
        nonlocal step
        step += 1
        if step == number:
            os.kill(os.getpid(), signal.SIGKILL)

    event.listen(Engine, "commit", tick)
    if writes:

        def ticking_statement(_: object, __: object, statement: str, *___: object) -> None:
            if statement.split(maxsplit=1)[0] in {"INSERT", "UPDATE", "DELETE"}:
                tick()

        event.listen(Engine, "before_cursor_execute", ticking_statement)
    flush, replace = indexer.durable._flush, Path.replace

    def ticking_flush(path: Path) -> None:
        tick()
        flush(path)

    def ticking_replace(path: Path, target: Path) -> Path:
        tick()
        result = replace(path, target)
        tick()
        return result

    indexer.durable._flush = ticking_flush
    Path.replace = ticking_replace  # type: ignore[method-assign, assignment]


def die_while_calibrating(number: int) -> None:
    """Kill this process at the number-th write or commit after the calibrations are begun."""
    recalibrate = indexer.pipeline.recalibrate

    def counted(*given: Any) -> Any:
        die_at(number, writes=True)
        return recalibrate(*given)

    indexer.pipeline.recalibrate = counted


def work(job: dict[str, Any]) -> None:
    """One task: `index`, `calibrate` (an index run that can die at its end only), `tag`, `rules`, `tokens` or `add`.

    `tokens` is an index run that keeps tokens, `add` adds them to what is there. `put` writes items, `delete` takes
    some away.

    job: task, sources, collection, exact_rows; pause (s a photo), min_delta and die_at as wanted; labels, rules,
    items (id, title and photos in hex) or the ids to delete.
    """
    indexer.compaction.MIN_DELTA = job["min_delta"]
    folder, task, number = Path(job["collection"]), job["task"], job["die_at"]
    if task == "calibrate":
        die_while_calibrating(number)
    elif number:
        die_at(number, writes=task != "index")
    match task:
        case "tag":
            tag(folder, ColourEncoder(), job["labels"], field="look", min_confidence=0, top=1, store=True)
        case "rules":
            apply_rules(folder, job["rules"].encode(), name="rules.yaml")
        case "put":
            given = [PutItem(name, title, photos=tuple(map(bytes.fromhex, data))) for name, title, data in job["items"]]
            put_items(folder, ColourEncoder(), given)
        case "delete":
            delete_items(folder, job["items"])
        case "add":
            add_tokens(folder, PlaceEncoder())
        case "tokens":
            sources = [open_source(Path(source)) for source in job["sources"]]
            index_sources(folder, sources, PlaceEncoder(), rerank_tokens=True)
        case _:
            sources = [open_source(Path(source)) for source in job["sources"]]
            index_sources(folder, sources, SlowColourEncoder(job["pause"]), exact_rows=job["exact_rows"])


def run(job: dict[str, Any]) -> dict[str, Any]:
    """Fork a task and wait for it; kill it `kill_after` seconds later if that is given. Says if it died, and when."""
    started = time.monotonic()
    child = os.fork()
    if child == 0:
        try:
            work(job)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    limit = started + (job["kill_after"] or 60)
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            break
        if time.monotonic() >= limit:
            os.kill(child, signal.SIGKILL)
            limit += 60
        time.sleep(0.001)
    code = os.waitstatus_to_exitcode(status)
    return {"code": code, "seconds": time.monotonic() - started}


def main() -> None:
    for line in sys.stdin:
        sys.stdout.write(json.dumps(run(json.loads(line))) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
