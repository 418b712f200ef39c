"""The load benchmark counts what came back, and what did not."""

import asyncio
from typing import Any

import pytest

from benchmarks.http_clients import run
from benchmarks.http_load import memory

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
BUSY = b"HTTP/1.1 429 Too Many Requests\r\ncontent-length: 5\r\nRetry-After: 1\r\n\r\nabcde"


def told(answers: list[bytes], clients: int = 3, seconds: float = 0.3) -> tuple[dict[str, Any], list[str]]:
    """Figures of clients whose server gives these answers in turn, closing where one is empty; and what they asked."""
    asked: list[str] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                asked.append(head.split(b" ")[1].decode())
                answer = answers[len(asked) % len(answers)]
                if not answer:
                    break
                await asyncio.sleep(0.01)
                writer.write(answer)
        except asyncio.IncompleteReadError:
            pass
        writer.close()

    async def measure() -> dict[str, Any]:
        server = await asyncio.start_server(handle, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        figures = await run(port, clients, seconds, ["/a", "/b?n={}"])
        server.close()
        return figures

    return asyncio.run(measure()), asked


def test_answers_and_their_times() -> None:
    figures, asked = told([OK])
    assert figures["errors"] == 0
    assert figures["statuses"] == {"200": len(asked)}
    assert 10 <= figures["p50_ms"] <= figures["p95_ms"] <= figures["p99_ms"]
    assert figures["requests_per_second"] * 0.3 <= figures["requests"]
    assert "/a" in asked
    numbered = [path for path in asked if path != "/a"]
    assert len(set(numbered)) == len(numbered) > 1


def test_other_statuses_are_errors() -> None:
    figures, asked = told([OK, BUSY])
    assert figures["statuses"]["429"] == figures["errors"] == pytest.approx(len(asked) / 2, abs=1)


def test_a_connection_that_ends_is_an_error_and_made_again() -> None:
    figures, _ = told([OK, OK, b""])
    assert figures["statuses"]["IncompleteReadError"] == figures["errors"] > 1
    assert figures["statuses"]["200"] > 1


def test_nobody_there_is_an_error() -> None:
    figures = asyncio.run(run(1, 1, 0.1, ["/"]))
    assert figures["errors"] == figures["requests"] > 0
    assert figures["requests_per_second"] == 0


def test_growth_leaves_out_the_time_in_which_caches_fill() -> None:
    flat = [(5.0 * n, 100.0 if n < 20 else 300.0) for n in range(120)]
    assert memory(flat)["growth_mb_per_minute"] == pytest.approx(0, abs=1e-6)
    growing = [(5.0 * n, 100.0 + n) for n in range(120)]
    found = memory(growing)
    assert found["growth_mb_per_minute"] == pytest.approx(12)
    assert (found["resident_mb"][:3], found["resident_most_mb"]) == ([100, 106, 112], 219)
