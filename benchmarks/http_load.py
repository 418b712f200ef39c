"""How many searches a second `catalens serve` answers, and what becomes of it in ten minutes of them.

    python -m benchmarks.http_load --data DIR [--pictures 1000] [--seconds 10] [--out FILE]
    python -m benchmarks.http_load --data DIR --minutes 10 [--out benchmarks/results/http_load.jsonl]

DIR holds fashion (`products.csv` and `images`). So many of its products are indexed with the starter, and served by the
real command in a process of its own. The clients are another process on the same machine (`benchmarks.http_clients`).

Without --minutes: 1, 8 and 64 clients ask for words, each at once again when it has its answer. `cached` queries are
100 that the server has seen before, `uncached` ones come once each. The bare handler (`benchmarks.http_bare`) only
encodes, and never remembers: what stands between its figure and that of the uncached searches is search, and what
batching texts gains.

With --minutes: 64 clients, half of their queries cached, while a writer adds a product with its photo every second,
deletes the one of a minute ago, and looks each time whether a search finds what it added. Told are errors of both,
and the server's resident memory: every half minute, and how it grows a minute (least squares, without the first fifth,
in which caches fill).
"""

import argparse
import csv
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import Any
from urllib.parse import quote

import numpy as np

from benchmarks.environment import describe

SERVE = "from api.cli import main; main()"
CLIENTS = (1, 8, 64)
CACHED = 100
STARTING = 120.0  # seconds that a server may take to load its model
SAMPLE = 5.0  # seconds between two looks at the memory
TOLD = 30.0
KEPT = 60  # products that the writer leaves at any time
SEARCH = "/v1/collections/shop/search"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--pictures", type=int, default=1_000)
    parser.add_argument("--seconds", type=float, default=10.0, help="of each measurement")
    parser.add_argument("--minutes", type=float, help="run with a writer for so long instead")
    parser.add_argument("--folder", type=Path, help="keep the collection there, or take it from there")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        rows = products(arguments.data / "fashion", arguments.pictures + 2 * KEPT)
        collection = (arguments.folder or Path(temporary)) / "shop"
        if not (collection / "catalog.db").exists():
            indexed(collection, rows[: arguments.pictures], arguments.data / "fashion")
        titles = [row["title"] for row in rows[: arguments.pictures]]
        figures = (
            endured(collection, titles, rows[arguments.pictures :], arguments.data / "fashion", arguments.minutes)
            if arguments.minutes
            else measured(collection, titles, arguments.seconds)
        )
        for each in figures:
            line = json.dumps({"benchmark": "http_load", "pictures": arguments.pictures, **each, **describe()})
            print(line, flush=True)
            if arguments.out:
                with arguments.out.open("a") as out:
                    out.write(line + "\n")


def products(folder: Path, count: int) -> list[dict[str, str]]:
    """The first products of the catalogue."""
    with (folder / "products.csv").open(encoding="utf-8") as file:
        return [row for row, _ in zip(csv.DictReader(file), range(count), strict=False)]


def indexed(collection: Path, rows: list[dict[str, str]], images: Path) -> None:
    """Index products with the real command."""
    collection.parent.mkdir(parents=True, exist_ok=True)
    catalogue = collection.parent / "products.csv"
    with catalogue.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    command = ["index", str(catalogue), "--images-dir", str(images), "--collection", str(collection)]
    subprocess.run([sys.executable, "-c", SERVE, *command], check=True, stdout=subprocess.DEVNULL)


def measured(collection: Path, titles: list[str], seconds: float) -> Iterator[dict[str, Any]]:
    """A line for each number of clients and kind of query, right behind one for the bare handler."""
    cached = [f"{SEARCH}?q={quote(title)}&k=10" for title in titles[:CACHED]]
    uncached = [f"{SEARCH}?q={quote(title)}%20{{}}&k=10" for title in titles]
    bare = [f"/encode?q={quote(title)}%20{{}}" for title in titles]
    with running("-m", "benchmarks.http_bare") as (other, _), running(*serving(collection)) as (port, _):
        asked(port, 1, 5.0, cached)  # seen once
        for clients in CLIENTS:  # both servers run, and one at a time is asked: the machine is the same for both
            reference = asked(other, clients, seconds, bare)
            yield {"server": "bare", "queries": "encode", **reference, "load": os.getloadavg()[0]}
            for kind, paths in {"cached": cached, "uncached": uncached}.items():
                found = asked(port, clients, seconds, paths)
                of_bare = round(found["requests_per_second"] / max(reference["requests_per_second"], 0.1), 3)
                yield {"server": "catalens", "queries": kind, **found, "of_bare": of_bare, "load": os.getloadavg()[0]}


def endured(
    collection: Path, titles: list[str], spare: list[dict[str, str]], folder: Path, minutes: float
) -> Iterator[dict[str, Any]]:
    """One line: what became of the clients, of the writer and of the server's memory."""
    paths = [f"{SEARCH}?q={quote(title)}&k=10" for title in titles[:CACHED]]
    paths += [f"{SEARCH}?q={quote(title)}%20{{}}&k=10" for title in titles[:CACHED]]
    with running(*serving(collection)) as (port, pid), sampled(pid) as samples:
        clients = started_clients(port, max(CLIENTS), minutes * 60, paths)
        writes, errors, took = 0, list[str](), list[float]()
        while clients.poll() is None:
            now = time.monotonic()
            row = spare[writes % len(spare)]
            try:
                written(port, f"added-{writes}", row["title"], (folder / row["image"]).read_bytes())
                if writes >= KEPT:
                    call(port, "DELETE", f"/v1/collections/shop/items/added-{writes - KEPT}")
            except (OSError, http.client.HTTPException, RuntimeError) as error:
                errors.append(f"{type(error).__name__}: {error}"[:200])
            took.append(time.monotonic() - now)
            writes += 1
            time.sleep(max(0.0, 1 - (time.monotonic() - now)))
        found = json.loads(clients.communicate()[0])
    yield {
        "server": "catalens",
        "queries": "half cached, with a writer",
        "minutes": minutes,
        **found,
        "writes": writes,
        "write_errors": len(errors),
        "first_write_errors": errors[:3],
        "write_p50_ms": round(float(np.percentile(took, 50)) * 1000, 1),
        **memory(samples),
        "load": os.getloadavg()[0],
    }


@contextmanager
def sampled(pid: int) -> Iterator[list[tuple[float, float]]]:
    """Seconds from now and megabytes of a process, looked at in a thread of its own."""
    began, samples, ended = time.monotonic(), list[tuple[float, float]](), Event()

    def look() -> None:
        while not ended.wait(SAMPLE if samples else 0):
            samples.append((time.monotonic() - began, resident(pid)))

    looking = Thread(target=look)
    looking.start()
    try:
        yield samples
    finally:
        ended.set()
        looking.join()


def memory(samples: list[tuple[float, float]]) -> dict[str, Any]:
    """samples: (seconds, MB). The resident memory over time, and its growth."""
    seconds, sizes = np.array(samples).T
    late = seconds >= seconds[-1] / 5
    slope = float(np.polyfit(seconds[late] / 60, sizes[late], 1)[0]) if late.sum() > 1 else 0.0
    step = max(1, round(TOLD / SAMPLE))
    return {
        "resident_mb": [round(float(size), 1) for size in sizes[::step]],
        "resident_most_mb": round(float(sizes.max()), 1),
        "growth_mb_per_minute": round(slope, 3),
    }


def resident(pid: int) -> float:
    """Megabytes of a process's resident set."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


def written(port: int, item_id: str, title: str, photo: bytes) -> None:
    """Add a product with its photo, and find it. Raises RuntimeError for any answer but 200, and if it is not found."""
    border = "photo-border"
    parts = [
        ('name="item"', "application/json", json.dumps({"title": f"{title} {item_id}"}).encode()),
        ('name="photo"; filename="photo.jpg"', "image/jpeg", photo),
    ]
    body = b"".join(
        f"--{border}\r\nContent-Disposition: form-data; {name}\r\nContent-Type: {kind}\r\n\r\n".encode()
        + data
        + b"\r\n"
        for name, kind, data in parts
    )
    body += f"--{border}--\r\n".encode()
    call(port, "PUT", f"/v1/collections/shop/items/{item_id}", body, f"multipart/form-data; boundary={border}")
    found = json.loads(call(port, "GET", f"{SEARCH}?q={item_id}&by=lexical&k=1"))
    if [hit["item_id"] for hit in found["hits"]] != [item_id]:
        raise RuntimeError(f"{item_id} was added and is not found")


def call(port: int, method: str, path: str, body: bytes | None = None, kind: str = "application/json") -> bytes:
    """The body of an answer. Raises RuntimeError for any status but 200."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request(method, path, body, {"Content-Type": kind} if body else {})
        answer = connection.getresponse()
        data = answer.read()
    finally:
        connection.close()
    if answer.status != 200:
        raise RuntimeError(f"{method} {path}: {answer.status} {data[:100]!r}")
    return data


def asked(port: int, clients: int, seconds: float, paths: list[str]) -> dict[str, Any]:
    """What clients in a process of their own tell."""
    process = started_clients(port, clients, seconds, paths)
    figures: dict[str, Any] = json.loads(process.communicate()[0])
    return figures


def started_clients(port: int, clients: int, seconds: float, paths: list[str]) -> "subprocess.Popen[bytes]":
    """The process of the clients, at work."""
    command = [sys.executable, "-m", "benchmarks.http_clients"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    if process.stdin is None:
        raise AssertionError
    plan = {"port": port, "clients": clients, "seconds": seconds, "paths": paths}
    process.stdin.write(json.dumps(plan).encode())
    process.stdin.close()
    process.stdin = None  # communicate() would close it again
    return process


def serving(collection: Path) -> tuple[str, ...]:
    """What starts `catalens serve` on a collection; the port comes behind it."""
    return ("-c", SERVE, "serve", "--collection", str(collection), "--no-access-log")


@contextmanager
def running(*command: str) -> Iterator[tuple[int, int]]:
    """A server in a process of its own: its port, and the process's id. Ended in order."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen([sys.executable, *command, "--port", str(port)], stderr=subprocess.DEVNULL)
    try:
        ends = time.monotonic() + STARTING
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                if process.poll() is not None or time.monotonic() > ends:
                    raise SystemExit(f"the server did not start: {' '.join(command)}") from None
                time.sleep(0.1)
        if "serve" in command:  # it listens before its model is loaded, and answers when it is
            call(port, "GET", "/ready")
        yield port, process.pid
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)


if __name__ == "__main__":
    main()
