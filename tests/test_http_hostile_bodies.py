"""Bodies that strangers may send: too long, of two lengths, JSON and forms that mean nothing or too much."""

import io
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import pytest
from PIL import Image
from pydantic import BaseModel, ValidationError

from api.http.models.embeddings import EmbeddingsRequest
from api.http.models.items import Batch, Ids, ItemBody
from api.http.models.rerank import RerankRequest
from api.http.models.search import ExplainRequest, SearchRequest
from api.http.models.tags import TagRequest
from tests.attacked import JSON_ROUTES, LIMIT, SHOP, attacked_app, is_well, refused
from tests.raw_http import ask, form, send, serving


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("attacked")


@pytest.fixture(scope="module")
def port(folder: Path) -> Iterator[int]:
    with serving(attacked_app(folder)) as opened:
        yield opened
        is_well(opened)


# --- bodies


@pytest.mark.parametrize(
    ("method", "route"), [*JSON_ROUTES, ("POST", f"{SHOP}/search/image"), ("POST", "/health"), ("POST", "/nowhere")]
)
@pytest.mark.parametrize("how", ["declared", "chunked"])
def test_a_body_beyond_the_limit_is_refused(port: int, folder: Path, method: str, route: str, how: str) -> None:
    body = b'{"words": "' + b"x" * 3 * LIMIT + b'"}'
    head = f"{method} {route} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n".encode()
    if how == "declared":
        answer = send(port, head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        refused(answer, folder, 413)
    else:
        chunks = b"".join(
            b"%x\r\n%s\r\n" % (len(part), part) for part in (body[i : i + 9_999] for i in range(0, len(body), 9_999))
        )
        answer = send(port, head + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n")
        # A route that reads no body answers before it has come.
        refused(answer, folder, 413, *(() if (method, route) in JSON_ROUTES else (404, 405, 415)))


def test_a_body_that_is_shorter_than_it_says_costs_no_answer_to_others(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=20) as waits:
        waits.sendall(b"POST /v1/embeddings HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{")
        assert ask(port, "GET", f"{SHOP}/search?q=red").status == 200


@pytest.mark.parametrize(
    "head",
    [
        b"Content-Length: 5\r\nContent-Length: 6",
        b"Content-Length: -5",
        b"Content-Length: 5, 6",
        b"Content-Length: 0x5",
        b"Content-Length: 99999999999999999999999999",
        b"Transfer-Encoding: chunked\r\nContent-Length: 5",
        b"Transfer-Encoding: gzip",
        b"Transfer-Encoding: chunked, chunked",
    ],
)
def test_two_readings_of_one_length_are_none(port: int, head: bytes) -> None:
    """Request smuggling: what one side takes for the body the other takes for the next request."""
    smuggled = b"GET /v1/collections HTTP/1.1\r\nHost: x\r\n\r\n"
    start = b"POST /v1/embeddings HTTP/1.1\r\nHost: x\r\n" + head + b"\r\n\r\n"
    answer = send(port, start + b"0\r\n\r\n" + smuggled, to_the_end=True)
    assert answer.status in range(400, 502)
    assert b"HTTP/1.1 200" not in answer.body


@pytest.mark.parametrize("kind", ["application/json", "multipart/form-data; boundary=x"])
@pytest.mark.parametrize(("method", "route"), [("PUT", f"{SHOP}/items/gone"), ("POST", f"{SHOP}/search/image")])
def test_who_goes_away_while_sending_is_no_failure_of_the_server(port: int, method: str, route: str, kind: str) -> None:
    head = f"{method} {route} HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\nContent-Length: 1000\r\n\r\n{{"
    before = answered(port, route)
    with socket.create_connection(("127.0.0.1", port), timeout=20) as gone:
        gone.sendall(head.encode())
    ends = monotonic() + 10
    while answered(port, route) == before and monotonic() < ends:
        sleep(0.01)
    assert answered(port, route) > before
    assert b"internal_error" not in ask(port, "GET", "/metrics").body


def answered(port: int, route: str) -> int:
    """How many requests to a route of the shop have ended."""
    end = route.rpartition("/")[2].replace("gone", "{item_id:path}")
    lines = ask(port, "GET", "/metrics").body.decode().splitlines()
    mine = [line for line in lines if line.startswith("catalens_requests_total") and f'/{end}"' in line]
    return sum(int(float(line.rpartition(" ")[2])) for line in mine)


# --- JSON

NOT_ANSWERED = {
    "deep lists": b"[" * 100_000,
    "deep objects": b'{"words":' * 30_000,
    "deep and whole": b"[" * 50_000 + b"]" * 50_000,
    "deep filter": b'{"words": "red", "filter": ' + b'{"not": ' * 9_000 + b"1" + b"}" * 9_001,
    "deep filter text": json.dumps({"words": "red", "filter": "(" * 20_000 + "price < 1" + ")" * 20_000}).encode(),
    "long filter": json.dumps({"words": "red", "filter": " or ".join(["price < 1"] * 20_000)}).encode(),
    "a number of many digits": b'{"words": "red", "k": ' + b"9" * 10_000 + b"}",
    "NaN": b'{"words": "red", "k": NaN}',
    "Infinity": b'{"words": "red", "diversity": Infinity}',
    "NaN in a vector": b'{"vector": [NaN, 0, 0, 0]}',
    "beyond floats in a vector": b'{"vector": [1e999, 0, 0, 0]}',
    "half a surrogate in an item": b'{"item": "\\ud800"}',
    "half a surrogate in a filter": b'{"words": "red", "filter": "brand = \\"\\ud800\\""}',
    "half a surrogate in a field": b'{"words": "red", "facets": ["\\udfff"]}',
    "half a surrogate in a name": b'{"\\ud800": "red"}',
    "NUL in a field": b'{"words": "red", "sort": ["\\u0000"]}',
    "not UTF-8": b'{"words": "\xff\xfe"}',
    "UTF-16": '{"item": "rot"}'.encode("utf-16"),
    "a list": b"[]",
    "a text": b'"red"',
    "null": b"null",
    "nothing": b"",
    "half": b'{"words": "red"',
    "two": b'{"words": "red"}{"words": "red"}',
    "unknown field": b'{"words": "red", "__proto__": {"admin": true}}',
    "SQL": b'{"words": "red", "sort": ["price; drop table items"]}',
}


@pytest.mark.parametrize("name", NOT_ANSWERED)
@pytest.mark.parametrize(("method", "route"), JSON_ROUTES)
def test_json_that_cannot_be_meant_is_refused(port: int, folder: Path, method: str, route: str, name: str) -> None:
    answer = ask(port, method, route, NOT_ANSWERED[name])
    if answer.status == 200 and route.endswith("heatmap"):
        assert name in ("deep filter text", "long filter", "NUL in a field", "SQL")  # a heat map needs none of them
    else:
        refused(answer, folder)


MANY = 30_000
WIDE: dict[str, Any] = {
    "fields": {str(n): 1 for n in range(MANY)},
    "parts": {"parts": [{}] * MANY},
    "fields of a part": {"parts": [{str(n): 1 for n in range(MANY)}]},
    "vector": {"vector": ["x"] * MANY},
    "vector of a part": {"parts": [{"vector": ["x"] * MANY}]},
    "sort": {"sort": [1] * MANY},
    "facets": {"facets": [[]] * MANY},
    "texts": {"texts": {str(n): 1 for n in range(MANY)}},
    "attributes": {"attributes": {str(n): {} for n in range(MANY)}},
    "attribute": {"attributes": {"a": [1] * MANY}},
    "photos": {"photos": [1] * MANY},
    "items": {"items": [{}] * MANY},
    "items of many fields": {"items": [{"item_id": "a", "attributes": {str(n): {} for n in range(900)}}] * 20},
    "labels": {"labels": [1] * MANY},
    "ids": {"item_ids": [1] * MANY},
    "input": {"input": [1] * MANY},
    "input of many fields": {"input": {str(n): 1 for n in range(MANY)}},
    "documents": {"query": "red", "documents": [{}] * MANY},
}
MODELS = (SearchRequest, ExplainRequest, EmbeddingsRequest, RerankRequest, ItemBody, Batch, Ids, TagRequest)


def errors(model: type[BaseModel], value: object) -> int:
    try:
        model.model_validate(value)
    except ValidationError as error:
        return error.error_count()
    return 0


@pytest.mark.parametrize("name", WIDE)
def test_what_is_wrong_ever_so_often_is_not_told_each_time(name: str) -> None:
    """An error for each of millions of wrong values takes gigabytes, while nobody else is answered."""
    counts = [errors(model, value) for model in MODELS for value in (WIDE[name], {"query": WIDE[name], "item_id": "a"})]
    assert 0 < max(counts) < 6_000


def test_a_name_that_was_made_up_is_told_in_part(port: int, folder: Path) -> None:
    for method, route in JSON_ROUTES:
        for body in ({"x" * 100_000: 1}, {"items": [{"item_id": "a", "x" * 100_000: 1}]}):
            answer = ask(port, method, route, json.dumps(body).encode())
            refused(answer, folder, 422)
            assert len(answer.body) < 3_000


@pytest.mark.parametrize(
    ("route", "value"),
    [
        (f"{SHOP}/search", {"words": "\ud800"}),
        (f"{SHOP}/search", {"words": "red\0"}),
        (f"{SHOP}/search", {"words": "\U0010ffff" * 500}),
        (f"{SHOP}/search", {"words": "'; drop table items; --"}),
        (f"{SHOP}/search", {"words": '" OR * NEAR(', "by": "lexical"}),
        (f"{SHOP}/search", {"words": "red", "filter": 'brand = "\' or 1=1 --"'}),
        (f"{SHOP}/search", {"words": "red", "filter": 'brand like "%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%a"'}),
        ("/v1/embeddings", {"input": "\ud800"}),
        ("/v1/embeddings", {"input": ["x" * 32_000]}),
        ("/v1/rerank", {"query": "\ud800", "documents": ["\udfff"]}),
    ],
)
def test_texts_that_are_odd_break_nothing(port: int, folder: Path, route: str, value: object) -> None:
    answer = ask(port, "POST", route, json.dumps(value).encode())
    assert answer.status in (200, 400, 422), answer.body[:300]
    if answer.status == 200:
        json.loads(answer.body.decode("utf-8"), parse_constant=pytest.fail)
    else:
        refused(answer, folder)


@pytest.mark.parametrize(
    "query",
    [
        "q=red&k=1e999",
        "q=red&k=" + "9" * 5_000,
        "q=red&k=-1",
        "q=red&k=%F0%9F%98%80",
        "q=red&offset=99999999999999999999",
        "q=red&by=" + "x" * 5_000,
        "q=red&filter=" + "(" * 5_000,
        "q=red&rerank=NaN",
        "q=" + "x" * 30_000,
        "k=%00",
    ],
)
def test_queries_that_cannot_be_meant_are_refused(port: int, folder: Path, query: str) -> None:
    refused(ask(port, "GET", f"{SHOP}/search?{query}"), folder, 422)


@pytest.mark.parametrize(
    "query", ["q=%ED%A0%80", "q=%FF", "q=%00", "q=red&q=blue", "q=red&" * 3_000, "q=%", "q=red&k=٣"]
)
def test_queries_that_are_odd_break_nothing(port: int, query: str) -> None:
    answer = ask(port, "GET", f"{SHOP}/search?{query}".encode())
    assert answer.status in (200, 400, 422)


# --- forms

RED = io.BytesIO()
Image.new("RGB", (8, 8), (220, 20, 20)).save(RED, "PNG")
PICTURE = ('name="image"; filename="a.png"', RED.getvalue())


@pytest.mark.parametrize(
    ("parts", "statuses"),
    [
        ([PICTURE], {200}),
        ([PICTURE, PICTURE], {200, 400, 422}),
        ([PICTURE, ('name="k"', b"3"), ('name="k"', b"4")], {200, 422}),
        ([('name="image"', b"no file")], {422}),
        ([PICTURE, *[(f'name="f{n}"', b"") for n in range(3_000)]], {400}),
        ([PICTURE, *[(f'name="f"; filename="{n}"', b"") for n in range(3_000)]], {400}),
        ([PICTURE, ('name="words"', b"x" * 200_000)], {422}),
        ([PICTURE, ('name="words"', b"\xff\xfe")], {200, 400, 422}),
        ([PICTURE, ('name="query"', b'{"words":' * 20_000)], {400, 422}),
        ([PICTURE, ('name="query"', b'{"k": NaN}')], {422}),
        ([PICTURE, ('name="query"', b'{"item": "\\ud800"}')], {422}),
        ([PICTURE, ('name="query"', b'{"image": {"path": "/etc/passwd"}}')], {422}),
        ([PICTURE, ('name="filter"', b"(" * 50_000)], {422}),
        ([('name="image"; filename="../../../etc/passwd"', RED.getvalue())], {200}),
        ([('name="image"; filename="a\0.png"', RED.getvalue())], {200, 400}),
        ([('name="image"; filename="' + "a" * 100_000 + '"', RED.getvalue())], {200, 400}),
        ([('name="' + "n" * 100_000 + '"', b"")], {400, 422}),
        ([], {400, 422}),
    ],
    ids=[
        "one",
        "two",
        "fields-twice",
        "no-file",
        "3000-fields",
        "3000-files",
        "long-words",
        "bytes",
        "deep",
        "NaN",
        "surrogate",
        "path",
        "filter",
        "upwards",
        "nul",
        "long-filename",
        "long-name",
        "none",
    ],
)
def test_forms(port: int, folder: Path, parts: list[tuple[str, bytes]], statuses: set[int]) -> None:
    answer = ask(port, "POST", f"{SHOP}/search/image", *form(*parts))
    assert answer.status in statuses, answer.body[:300]
    if answer.status != 200:
        refused(answer, folder)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"", "multipart/form-data"),
        (b"", "multipart/form-data; boundary="),
        (b"x", "multipart/form-data; boundary=b"),
        (b"--b\r\n", "multipart/form-data; boundary=b"),
        (b"--b\r\n\r\n", "multipart/form-data; boundary=b"),
        (b"--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--", "multipart/form-data; boundary=b"),
        (b"--b\r\n" + b"X: y\r\n" * 20_000 + b"\r\nx\r\n--b--", "multipart/form-data; boundary=b"),
        (
            b"--b\r\nContent-Disposition: form-data; name*=utf-8''%FF; name=\"image\"\r\n\r\nx\r\n--b--",
            "multipart/form-data; boundary=b",
        ),
        (b"image=x", "application/x-www-form-urlencoded"),
        (b"&" * 100_000, "application/x-www-form-urlencoded"),
        (b"{}", "application/json"),
        (b"{}", "text/plain"),
        (b"\xff", "multipart/form-data; boundary=\xff"),
    ],
)
def test_forms_that_are_none(port: int, folder: Path, body: bytes, kind: str) -> None:
    refused(ask(port, "POST", f"{SHOP}/search/image", body, kind), folder, 400, 415, 422)


def test_a_body_of_no_declared_type_is_no_json(port: int, folder: Path) -> None:
    """Any site could send it without asking: a browser asks first only for JSON by its name."""
    for kind in ("text/plain", "application/x-www-form-urlencoded", ""):
        refused(ask(port, "POST", f"{SHOP}/search", b'{"words": "red"}', kind), folder, 415, 422, 400)
