"""Each middleware alone, around an app that echoes: ids, the log, limits, names, headers and metrics."""

import asyncio
import json
import logging
import re
import socket
import time

import pytest
from fastapi import FastAPI, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.http.metrics import CollectionState, Metrics
from api.http.middleware.access_log import AccessLog
from api.http.middleware.body_limit import BodyLimit
from api.http.middleware.cross_site import CrossSiteCheck
from api.http.middleware.hosts import HostCheck
from api.http.middleware.measured import Measured
from api.http.middleware.rate_limit import RateLimit
from api.http.middleware.request_ids import RequestIds
from api.http.middleware.security_headers import HEADERS, SecurityHeaders
from tests.asgi import ask, echo
from tests.raw_http import send, serving

# --- request ids


def test_a_request_gets_an_id_of_its_own() -> None:
    first, second = (ask(RequestIds(echo)).headers["x-request-id"] for _ in range(2))
    assert re.fullmatch(r"[0-9a-f]{32}", first)
    assert first != second


def test_a_sane_id_is_taken_over() -> None:
    assert ask(RequestIds(echo), headers=[("X-Request-ID", "job-7.A_1")]).headers["x-request-id"] == "job-7.A_1"


@pytest.mark.parametrize("given", ["", "a b", "a\nb", "a\n", "x" * 65, "ä", '{"a"', "a;b"])
def test_an_id_that_would_harm_a_log_is_replaced(given: str) -> None:
    answer = ask(RequestIds(echo), headers=[("X-Request-ID", given)])
    assert re.fullmatch(r"[0-9a-f]{32}", answer.headers["x-request-id"])


# --- access log


def logged(app: ASGIApp, caplog: pytest.LogCaptureFixture, **request: object) -> dict[str, object]:
    with caplog.at_level(logging.INFO, logger="catalens.access"):
        ask(RequestIds(AccessLog(app)), **request)  # type: ignore[arg-type]
    line = caplog.records[-1].getMessage()
    assert "\n" not in line
    assert line.isascii()
    value: dict[str, object] = json.loads(line)
    return value


def test_a_request_is_one_line_of_json(caplog: pytest.LogCaptureFixture) -> None:
    line = logged(echo, caplog, method="POST", path="/v1/x", chunks=[b"abc", b"de"], headers=[("X-Request-ID", "r1")])
    assert line["time"] > "2026-01-01T"  # type: ignore[operator]
    assert 0 <= line["ms"] < 5_000  # type: ignore[operator]
    expected = {"method": "POST", "path": "/v1/x", "status": 200, "bytes_in": 5, "bytes_out": 5, "request_id": "r1"}
    assert expected.items() <= line.items()
    assert line["client"] == "127.0.0.1"


def test_no_secret_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    headers = [("Authorization", "Bearer hunter2"), ("X-API-Key", "hunter2"), ("Cookie", "hunter2")]
    line = logged(echo, caplog, headers=headers, query=b"q=hunter2", chunks=[b"hunter2"])
    assert "hunter2" not in json.dumps(line)


def test_a_path_cannot_forge_a_line(caplog: pytest.LogCaptureFixture) -> None:
    line = logged(echo, caplog, path='/a\n{"status": 200}\x1b[31m' + "x" * 5_000)
    assert len(str(line["path"])) == 300


def test_a_request_that_fails_is_logged_too(caplog: pytest.LogCaptureFixture) -> None:
    async def fails(scope: Scope, receive: Receive, send: Send) -> None:
        raise RuntimeError("no")

    with caplog.at_level(logging.INFO, logger="catalens.access"), pytest.raises(RuntimeError):
        ask(AccessLog(fails))
    assert json.loads(caplog.records[-1].getMessage())["status"] is None


# --- body limit


def test_a_body_of_just_the_limit_passes() -> None:
    assert ask(BodyLimit(echo, 10), "POST", chunks=[b"12345", b"67890"]).body == b"1234567890"


@pytest.mark.parametrize(
    "headers",
    [[], [("Content-Length", "3")], [("Content-Length", "-1")], [("Content-Length", "²")], [("Content-Length", "x")]],
    ids=["chunked", "lying", "negative", "superscript", "nonsense"],
)
def test_a_body_is_counted_as_it_comes(headers: list[tuple[str, str]]) -> None:
    answer = ask(BodyLimit(echo, 10), "POST", headers=headers, chunks=[b"12345", b"678901", b"2"])
    assert (answer.status, answer.error["type"], answer.headers["connection"]) == (413, "too_large", "close")
    assert answer.left == 0  # the rest was read, so that the client reads the answer


def test_a_body_that_says_it_is_too_large_reaches_nobody() -> None:
    async def never(scope: Scope, receive: Receive, send: Send) -> None:
        raise AssertionError

    answer = ask(BodyLimit(never, 10), "POST", headers=[("Content-Length", "11")], chunks=[b"x" * 11])
    assert answer.status == 413
    assert "10 bytes" in answer.error["message"]


def test_a_client_that_waits_for_leave_is_not_read_from() -> None:
    headers = [("Content-Length", "11"), ("Expect", "100-continue")]
    answer = ask(BodyLimit(echo, 10), "POST", headers=headers, chunks=[b"x" * 11])
    assert (answer.status, answer.left) == (413, 1)


def test_a_body_that_does_not_come_to_its_end_is_not_waited_for() -> None:
    """As from a client that sends a byte now and then, and from one that sends the first and no more."""

    async def asked(pause: float) -> tuple[int, float]:
        statuses = []

        async def receive() -> Message:
            await asyncio.sleep(pause)
            return {"type": "http.request", "body": b"x", "more_body": True}

        async def send(message: Message) -> None:
            statuses.append(message.get("status"))

        scope = {"type": "http", "method": "POST", "headers": []}
        began = time.monotonic()
        await BodyLimit(echo, 1_000_000, patience=0.2)(scope, receive, send)
        return statuses[0] or 0, time.monotonic() - began

    for pause in (0.01, 3_600):
        status, took = asyncio.run(asked(pause))
        assert status == 408
        assert took >= 0.2


def test_what_comes_fast_has_more_time_and_a_client_that_waits_for_its_answer_any(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = iter((0.0, *(float(second) for second in range(1, 1_000))))
    monkeypatch.setattr("api.http.middleware.body_limit.monotonic", lambda: next(now))
    chunks = [bytes(16_384 * 4)] * 50  # four seconds' worth in each two
    assert len(ask(BodyLimit(echo, 10_000_000, patience=1), "POST", chunks=chunks).body) == 50 * 4 * 16_384

    async def waits(scope: Scope, receive: Receive, send: Send) -> None:
        assert (await receive())["type"] == "http.request"
        assert (await receive())["type"] == "http.disconnect"
        await send({"type": "http.response.start", "status": 200, "headers": []})

    assert ask(BodyLimit(waits, 10, patience=0), "GET").status == 200


def test_all_bodies_together_have_a_greatest_size() -> None:
    limited = BodyLimit(echo, 10)
    room = limited.room

    async def asked() -> list[int]:
        come, statuses = asyncio.Event(), list[int]()

        async def ask_one(number: int) -> None:
            sent = iter([b"x" * 9, b"x"])

            async def receive() -> Message:
                body = next(sent)
                if body == b"x":
                    await come.wait()
                return {"type": "http.request", "body": body, "more_body": body != b"x"}

            async def send(message: Message) -> None:
                if "status" in message:
                    statuses.append(message["status"])

            await limited({"type": "http", "method": "POST", "headers": []}, receive, send)

        async with asyncio.TaskGroup() as group:
            for number in range(room // 9 + 2):
                group.create_task(ask_one(number))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            come.set()
        return statuses

    statuses = asyncio.run(asked())
    assert set(statuses) == {200, 429}
    assert statuses.count(200) >= 10
    assert limited.room == room  # what was held is given back
    assert ask(limited, "POST", chunks=[b"x" * 10]).status == 200


@pytest.mark.parametrize("parsed", ["json", "form"])
def test_the_answer_is_the_same_through_fastapi(parsed: str) -> None:
    """FastAPI answers 400 for what is raised while it reads a body; this must not come out as one."""
    app = FastAPI()

    @app.post("/json")
    async def read_json(request: Request, value: dict[str, str]) -> None: ...

    @app.post("/form")
    async def read_form(request: Request) -> None:
        await request.form()

    kind = "application/json" if parsed == "json" else "multipart/form-data; boundary=b"
    chunks = [b'--b\r\nContent-Disposition: form-data; name="a"; filename="b"\r\n\r\n', b"x" * 50, b"x" * 60]
    limited = BodyLimit(app, 100)
    answer = ask(limited, "POST", f"/{parsed}", headers=[("Content-Type", kind)], chunks=chunks)
    assert (answer.status, answer.error["type"]) == (413, "too_large")


@pytest.mark.parametrize("chunked", [False, True], ids=["declared", "chunked"])
def test_a_client_that_sends_all_before_it_reads_gets_the_answer(chunked: bool) -> None:
    """8 MB are more than the buffers of both sides hold, so closing at once would break the client's pipe."""
    body = b"x" * 8_000_000
    with (
        serving(BodyLimit(echo, 1_000), lifespan="off") as port,
        socket.create_connection(("127.0.0.1", port), timeout=20) as client,
    ):
        framing = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % len(body)
        client.sendall(b"POST / HTTP/1.1\r\nHost: x\r\n" + framing + b"\r\n\r\n")
        client.sendall(b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body) if chunked else body)
        answer = b"".join(iter(lambda: client.recv(65_536), b""))
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b'"too_large"' in answer


def test_a_client_that_stops_half_way_gets_the_answer() -> None:
    with serving(BodyLimit(echo, 1_000, patience=0.1), lifespan="off") as port:
        answer = send(port, b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{", to_the_end=True)
    assert (answer.status, answer.error["type"]) == (408, "too_slow")


# --- hosts


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:8000", "LOCALHOST:1", "[::1]:8000", "[::1]", "localhost."])
def test_loopback_names_are_answered(host: str) -> None:
    assert ask(HostCheck(echo), headers=[("Host", host)]).status == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8000",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "localhost@evil.example",
        "evil.example#localhost",
        "localhost:8000:evil",
        "localhost evil",
        "",
        "[::1",
        "löcalhost",
    ],
)
def test_other_names_are_not(host: str) -> None:
    answer = ask(HostCheck(echo), headers=[("Host", host)])
    assert (answer.status, answer.error["type"]) == (421, "misdirected")


def test_a_request_without_a_host_or_with_two_is_refused() -> None:
    assert ask(HostCheck(echo)).status == 421
    assert ask(HostCheck(echo), headers=[("Host", "localhost"), ("Host", "evil.example")]).status == 421


# --- other sites' pages


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([], 200),  # a program
        ([("Origin", "http://127.0.0.1:8000")], 200),
        ([("Origin", "https://shop.example")], 200),  # named
        ([("Sec-Fetch-Site", "same-origin")], 200),
        ([("Sec-Fetch-Site", "same-origin"), ("Origin", "https://outer-name.example")], 200),
        ([("Sec-Fetch-Site", "cross-site"), ("Origin", "https://shop.example")], 200),
        ([("Sec-Fetch-Site", "cross-site"), ("Origin", "https://evil.example")], 403),
        ([("Origin", "http://evil.example")], 403),
        ([("Origin", "http://127.0.0.1:9000")], 403),
        ([("Origin", "null")], 403),
        ([("Sec-Fetch-Site", "cross-site")], 403),
        ([("Sec-Fetch-Site", "same-site")], 403),
    ],
)
def test_a_page_of_another_site_sends_nothing(headers: list[tuple[str, str]], status: int) -> None:
    app = CrossSiteCheck(echo, ["https://shop.example"])
    assert ask(app, "POST", headers=[("Host", "127.0.0.1:8000"), *headers]).status == status
    assert ask(app, "GET", headers=[("Host", "127.0.0.1:8000"), *headers]).status == 200


# --- rate limit


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_client_has_its_share_a_minute() -> None:
    clock = Clock()
    app = RateLimit(echo, 2, clock=clock)
    statuses = [ask(app, path="/v1/x").status for _ in range(3)]
    assert statuses == [200, 200, 429]
    answer = ask(app, path="/v1/x")
    assert (answer.headers["retry-after"], answer.error["type"]) == ("30", "rate_limited")
    assert ask(app, path="/v1/x", client=("127.0.0.2", 1)).status == 200  # another client has its own
    clock.now = 29
    assert ask(app, path="/v1/x").headers["retry-after"] == "1"
    clock.now = 30
    assert [ask(app, path="/v1/x").status for _ in range(2)] == [200, 429]
    clock.now = 10_000  # a long silence saves up no more than a minute's worth
    assert [ask(app, path="/v1/x").status for _ in range(3)] == [200, 200, 429]


def test_health_and_the_page_do_not_count() -> None:
    app = RateLimit(echo, 1)
    assert {ask(app, path="/health").status for _ in range(5)} == {200}


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", True),  # one household
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
    ],
)
def test_who_is_one_client(first: str, second: str, same: bool) -> None:
    app = RateLimit(echo, 1)
    assert ask(app, path="/v1/x", client=(first, 1)).status == 200
    assert ask(app, path="/v1/x", client=(second, 1)).status == (429 if same else 200)


def test_it_remembers_no_more_clients_than_it_may() -> None:
    app = RateLimit(echo, 1, clients=3)
    for number in range(10):
        ask(app, path="/v1/x", client=(f"10.0.0.{number}", 1))
    assert len(app.buckets) == 3
    assert ask(app, path="/v1/x", client=("10.0.0.9", 1)).status == 429  # of those it keeps, it knows all


# --- security headers


def test_every_answer_tells_the_browser_what_it_may_do() -> None:
    answer = ask(SecurityHeaders(echo))
    assert {name.lower(): value for name, value in HEADERS.items()}.items() <= answer.headers.items()
    policy = answer.headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy


def test_answers_of_the_api_are_not_stored() -> None:
    assert ask(SecurityHeaders(echo), path="/v1/collections").headers["cache-control"] == "no-store"
    assert "cache-control" not in ask(SecurityHeaders(echo), path="/page/style.css").headers


def test_a_photo_keeps_its_own_caching() -> None:
    async def photo(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"cache-control", b"max-age=60")]})
        await send({"type": "http.response.body"})

    assert ask(SecurityHeaders(photo), path="/v1/photo").headers["cache-control"] == "max-age=60"


# --- metrics


def test_requests_are_counted_by_route_and_not_by_path() -> None:
    app = FastAPI()

    @app.get("/v1/items/{item_id}")
    async def item(item_id: str) -> str:
        return item_id

    metrics = Metrics()
    for path in ("/v1/items/a", "/v1/items/b", "/nowhere"):
        ask(Measured(app, metrics), path=path)
    ask(Measured(app, metrics), "BREW", "/v1/items/a")
    shown = metrics.exposition().decode()
    assert 'catalens_requests_total{method="GET",route="/v1/items/{item_id}",status="200"} 2.0' in shown
    assert 'catalens_requests_total{method="GET",route="none",status="404"} 1.0' in shown
    assert 'method="other"' in shown
    assert 'catalens_request_seconds_bucket{le="+Inf",route="/v1/items/{item_id}"}' in shown
    assert "/v1/items/a" not in shown


def test_errors_are_counted_by_type() -> None:
    metrics = Metrics()
    ask(Measured(HostCheck(echo), metrics))
    assert 'catalens_errors_total{type="misdirected"} 1.0' in metrics.exposition().decode()


def test_metrics_tell_of_stages_cache_batches_work_and_indexes() -> None:
    metrics = Metrics()
    metrics.stage("search", 0.02)
    metrics.encoded(7, 0.01)
    metrics.ran(0.3, 0.1, failed=False)
    metrics.refused()
    metrics.watch_work(lambda: 3, lambda: 2)
    revision = iter((4, 5))
    metrics.watch_collections(lambda: {"shop": CollectionState(54, next(revision), hits=8, misses=9)})
    shown = metrics.exposition().decode()
    for line in (
        'catalens_stage_seconds_sum{stage="search"} 0.02',
        'catalens_stage_seconds_count{stage="encode"} 1.0',
        'catalens_query_cache_total{collection="shop",outcome="hit"} 8.0',
        'catalens_query_cache_total{collection="shop",outcome="miss"} 9.0',
        'catalens_queue_seconds_bucket{le="0.25"} 0.0',
        'catalens_queue_seconds_bucket{le="0.5"} 1.0',
        "catalens_queue_refusals_total 1.0",
        'catalens_encode_batch_texts_bucket{le="4.0"} 0.0',
        'catalens_encode_batch_texts_bucket{le="8.0"} 1.0',
        "catalens_queue_length 3.0",
        "catalens_busy_threads 2.0",
        'catalens_index_items{collection="shop"} 54.0',
        'catalens_index_revision{collection="shop"} 4.0',
    ):
        assert line in shown
    assert 'catalens_index_revision{collection="shop"} 5.0' in metrics.exposition().decode()  # read at each scrape


def test_two_apps_of_one_process_count_apart() -> None:
    first, second = Metrics(), Metrics()
    first.error("busy")
    assert 'type="busy"' not in second.exposition().decode()


# --- what is not a request


@pytest.mark.parametrize(
    "wrap",
    [
        RequestIds,
        AccessLog,
        SecurityHeaders,
        HostCheck,
        CrossSiteCheck,
        lambda app: BodyLimit(app, 1),
        lambda app: RateLimit(app, 1),
        lambda app: Measured(app, Metrics()),
    ],
)
def test_the_start_of_the_server_passes_through(wrap: type[RequestIds]) -> None:
    seen: list[str] = []

    async def starts(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["type"])

    asyncio.run(wrap(starts)({"type": "lifespan"}, None, None))  # type: ignore[arg-type,func-returns-value]
    assert seen == ["lifespan"]
