"""Clients of an HTTP server, in a process of their own, each on one connection that it keeps open.

Raw sockets on one event loop: a request costs this process about 0.1 ms, so that the server is what is measured. How
much of a core the process took stands beside its figures.

A plan comes as JSON on standard input: port, clients, seconds, and paths, of which each client takes the next one (`{}`
in it becomes a number that never comes again). The figures go as JSON to standard output.
"""

import asyncio
import itertools
import json
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

HEAD = "GET {} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nAccept: application/json\r\n\r\n"
WARM_UP = 0.1  # of the seconds; what is asked then does not count


@dataclass
class Told:
    """Of what was asked after the warm-up latencies, in milliseconds; answers that came between it and the end.

    statuses: how often each came, and errors of connections by name, from the beginning.
    """

    latencies: list[float] = field(default_factory=list)
    answers: int = 0
    statuses: Counter[str] = field(default_factory=Counter)


def main() -> None:
    plan = json.load(sys.stdin)
    print(json.dumps(asyncio.run(run(**plan))))


async def run(port: int, clients: int, seconds: float, paths: list[str]) -> dict[str, Any]:
    """Ask for `seconds` with so many clients, each at once again when it has its answer."""
    told, numbers = Told(), itertools.count()
    starts = time.perf_counter() + seconds * WARM_UP
    ends = starts + seconds
    asked = (path.format(next(numbers)) for path in itertools.cycle(paths))
    core = time.process_time()
    began = time.perf_counter()
    await asyncio.gather(*(client(port, asked, starts, ends, told) for _ in range(clients)))
    took = time.perf_counter() - began
    p50, p95, p99 = np.percentile(told.latencies, [50, 95, 99]) if told.latencies else [0, 0, 0]
    return {
        "clients": clients,
        "requests_per_second": round(told.answers / seconds, 1),
        "p50_ms": round(float(p50), 2),
        "p95_ms": round(float(p95), 2),
        "p99_ms": round(float(p99), 2),
        "requests": sum(told.statuses.values()),
        "errors": sum(count for status, count in told.statuses.items() if status != "200"),
        "statuses": dict(told.statuses),
        "client_cores": round((time.process_time() - core) / took, 2),
    }


async def client(port: int, paths: Iterator[str], starts: float, ends: float, told: Told) -> None:
    """One client until it is time to end; it connects again after an error."""
    while time.perf_counter() < ends:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError as error:
            told.statuses[type(error).__name__] += 1
            await asyncio.sleep(0.05)
            continue
        try:
            while (asked := time.perf_counter()) < ends:
                writer.write(HEAD.format(next(paths), port).encode())
                status = await answer(reader)
                now = time.perf_counter()
                told.statuses[status] += 1
                told.answers += starts <= now < ends
                if asked >= starts:
                    told.latencies.append((now - asked) * 1000)
        except (OSError, EOFError, ValueError) as error:
            told.statuses[type(error).__name__] += 1
        finally:
            writer.close()


async def answer(reader: asyncio.StreamReader) -> str:
    """The status of the next answer, its body read and left. Raises ValueError for one without a length."""
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    at = head.index(b"content-length:") + len(b"content-length:")
    await reader.readexactly(int(head[at : head.index(b"\r\n", at)]))
    return head[9:12].decode("ascii")


if __name__ == "__main__":
    main()
