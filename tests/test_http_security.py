"""What strangers may try with a server: ways around keys and names, out of folders, and headers made to harm."""

import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from api.http.app import create_app
from api.http.middleware.api_keys import READS
from api.http.settings import ServerSettings
from tests.attacked import LIMIT, READING, SHOP, attacked_app, is_well, refused
from tests.fakes import ColourEncoder
from tests.http_server import colour_shop
from tests.raw_http import ask, form, send, serving

READ, WRITE = "a key that may read", "a key that may write"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("attacked")


@pytest.fixture(scope="module")
def app(folder: Path) -> FastAPI:
    return attacked_app(folder)


@pytest.fixture(scope="module")
def port(app: FastAPI) -> Iterator[int]:
    with serving(app) as opened:
        yield opened
        is_well(opened)


@pytest.fixture(scope="module")
def locked(folder: Path, app: FastAPI) -> Iterator[int]:
    """The same behind API keys, and with the names of loopback only."""
    lines = [f"{scope} {hashlib.sha256(key.encode()).hexdigest()}" for scope, key in (("read", READ), ("write", WRITE))]
    (folder / "keys").write_text("\n".join(lines), encoding="utf-8")
    settings = ServerSettings(
        {"shop": folder / "shop"}, api_key_file=folder / "keys", hosts=("127.0.0.1", "localhost"), upload_limit=LIMIT
    )
    with serving(create_app(settings, load=lambda _: ColourEncoder())) as opened:
        yield opened


# --- traversal

UPWARDS = [
    "../secret.txt",
    "../../secret.txt",
    "..%2fsecret.txt",
    "%2e%2e/secret.txt",
    "%2e%2e%2fsecret.txt",
    "%2E%2E%5Csecret.txt",
    "..\\secret.txt",
    "....//secret.txt",
    "..%252fsecret.txt",
    "%c0%ae%c0%ae/secret.txt",
    "secret.txt%00",
    "%00",
    "/etc/passwd",
    "%2fetc%2fpasswd",
    "file:%2f%2f%2fetc%2fpasswd",
    "sku-red/../../secret.txt",
    "sku-red%00.png",
    "~root",
    "C:%5cWindows%5cwin.ini",
]


@pytest.mark.parametrize("name", UPWARDS)
@pytest.mark.parametrize(
    "where",
    [
        f"{SHOP}/items/{{}}",
        f"{SHOP}/items/{{}}/photo",
        f"{SHOP}/items/{{}}/similar",
        f"{SHOP}/items/{{}}/heatmap?q=red",
        "/v1/collections/{}",
        "/v1/collections/{}/search?q=red",
        "/page/{}",
        "/{}",
        "/docs/{}",
    ],
)
def test_no_path_leads_out(port: int, folder: Path, where: str, name: str) -> None:
    refused(ask(port, "GET", where.format(name)), folder, 404, 405)


def test_a_path_of_the_whole_address_is_no_way_out(port: int) -> None:
    assert ask(port, "GET", "http://127.0.0.1/../../etc/passwd").status in (400, 404)
    assert ask(port, "GET", "*").status in (400, 404)


# --- keys


def every_route(app: FastAPI) -> list[tuple[str, str]]:
    paths = app.openapi()["paths"]
    found = []
    for path, methods in paths.items():
        real = path.replace("{name}", "shop").replace("{item_id}", "sku-red")
        found += [(method.upper(), real) for method in methods]
    return found


def test_every_route_asks_for_a_key(app: FastAPI, locked: int, folder: Path) -> None:
    """All routes there are, so that one that is added later is in this list too."""
    routes = every_route(app)
    assert len(routes) > 12
    for method, path in routes:
        for headers in ({}, {"X-API-Key": "wrong"}, {"X-API-Key": b"\xff\xfe"}, {"Authorization": b"Bearer \xc3\xbc"}):
            answer = ask(locked, method, path, headers=headers)
            if path in ("/health", "/ready"):
                assert answer.status == 200
            else:
                refused(answer, folder, 401)
                assert answer.headers["www-authenticate"].startswith("Bearer")


def test_ready_names_collections_to_those_with_a_key_only(locked: int) -> None:
    for headers in ({}, {"X-API-Key": "wrong"}):
        answer = ask(locked, "GET", "/ready", headers=headers)
        assert (answer.status, json.loads(answer.body)) == (200, {"status": "ready", "collections": []})
    answer = ask(locked, "GET", "/ready", headers={"X-API-Key": READ})
    [one] = json.loads(answer.body)["collections"]
    assert (one["name"], one["model"]) == ("shop", "colour")
    assert answer.headers["cache-control"] == "no-store"  # or a proxy would show it to others


def test_what_is_wrong_with_a_collection_is_told_to_those_with_a_key_only(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text(f"read {hashlib.sha256(READ.encode()).hexdigest()}", encoding="utf-8")
    folder = colour_shop(tmp_path)
    settings = ServerSettings({"a-secret-name": folder}, api_key_file=tmp_path / "keys")
    with TestClient(create_app(settings, load=lambda _: ColourEncoder())) as client:
        shutil.rmtree(folder)
        told = [client.get("/ready", headers=headers) for headers in ({}, {"X-API-Key": READ})]
    assert [answer.status_code for answer in told] == [503, 503]
    assert ["a-secret-name" in answer.text for answer in told] == [False, True]


def test_what_changes_items_asks_for_a_key_that_may_write(app: FastAPI, locked: int, folder: Path) -> None:
    for method, path in every_route(app):
        answer = ask(locked, method, path, headers={"X-API-Key": READ})
        reads = method == "GET" or READS.fullmatch(path)
        assert (answer.status == 403) == (not reads), (method, path, answer.status)
        if method == "POST" and not reads:
            assert ask(locked, method, path, headers={"X-API-Key": WRITE}).status != 403


def test_every_path_that_a_reading_key_may_post_to_is_a_route(app: FastAPI) -> None:
    posts = {path for method, path in every_route(app) if method == "POST" and READS.fullmatch(path)}
    assert posts == {*READING, f"{SHOP}/search/image"}


@pytest.mark.parametrize(
    "target",
    [
        "//v1/collections",
        "/v1//collections",
        "/%76%31/collections",
        "/v1/collections?x=/health",
        "/health/../v1/collections",
        "/page/../v1/collections",
        "/page/%2e%2e/v1/collections",
        "/page/..;/v1/collections",
        "/V1/collections",
        "/v1/collections/",
        "/v1/collections%00",
        "/v1/collections#/health",
        "http://127.0.0.1/v1/collections",
    ],
)
def test_no_spelling_of_a_path_goes_without_a_key(locked: int, target: str) -> None:
    answer = ask(locked, "GET", target)
    assert answer.status in (401, 404, 400)
    assert b"shop" not in answer.body


def test_another_method_is_no_way_around(locked: int) -> None:
    for method in ("HEAD", "OPTIONS", "TRACE", "PATCH", "BREW", "get"):
        assert ask(locked, method, f"{SHOP}/search?q=red").status == 401
    for header in ("X-HTTP-Method-Override", "X-Original-URL", "X-Rewrite-URL", "X-Forwarded-Prefix"):
        assert ask(locked, "GET", f"{SHOP}/search?q=red", headers={header: "/health"}).status == 401


def test_a_key_is_in_no_answer(locked: int) -> None:
    for target in ("/metrics", "/openapi.json", "/health"):
        body = ask(locked, "GET", target, headers={"X-API-Key": READ}).body
        assert READ.encode() not in body
        assert hashlib.sha256(READ.encode()).hexdigest().encode() not in body


def test_the_description_says_which_routes_ask_for_a_key(app: FastAPI, locked: int) -> None:
    described = json.loads(ask(locked, "GET", "/openapi.json").body)
    assert described["components"]["securitySchemes"]["key"]["name"] == "X-API-Key"
    assert described["security"] == [{"key": []}, {"bearer": []}]
    open_to_all = {
        path for path, methods in described["paths"].items() for one in methods.values() if "security" in one
    }
    assert open_to_all == {"/health", "/ready"}
    assert described["paths"]["/ready"]["get"]["security"] == [{}, {"key": []}, {"bearer": []}]
    assert "security" not in app.openapi()  # of a server that asks for none


def test_a_name_that_is_not_the_servers_reaches_nothing(locked: int, folder: Path) -> None:
    for host in ("evil.example", "evil.example:80", "127.0.0.1.evil.example"):
        refused(ask(locked, "GET", "/v1/collections", headers={"Host": host, "X-API-Key": READ}), folder, 421)


def test_a_page_of_another_site_cannot_post(port: int, folder: Path) -> None:
    body, kind = form(('name="image"; filename="a.png"', b"x"))
    answer = ask(port, "POST", f"{SHOP}/search/image", body, kind, headers={"Origin": "https://evil.example"})
    refused(answer, folder, 403)


def test_no_other_origin_may_read_an_answer(port: int) -> None:
    answer = ask(port, "GET", f"{SHOP}/search?q=red", headers={"Origin": "https://evil.example"})
    assert "access-control-allow-origin" not in answer.headers


def test_a_named_origin_may(folder: Path) -> None:
    settings = ServerSettings({"shop": folder / "shop"}, cors=("https://shop.example",))
    with serving(create_app(settings, load=lambda _: ColourEncoder())) as port:
        for origin, allowed in (("https://shop.example", True), ("https://shop.example.evil.example", False)):
            headers = {"Origin": origin, "Access-Control-Request-Method": "POST"}
            headers["Access-Control-Request-Headers"] = "x-api-key,content-type"
            answers = [
                ask(port, "OPTIONS", f"{SHOP}/search", headers=headers),
                ask(port, "POST", f"{SHOP}/search", b'{"words": "red"}', headers={"Origin": origin}),
            ]
            for answer in answers:
                assert (answer.headers.get("access-control-allow-origin") == origin) == allowed
                assert "access-control-allow-credentials" not in answer.headers
        shown = ask(port, "GET", f"{SHOP}/items/sku-red/photo")
        assert shown.headers["cross-origin-resource-policy"] == "cross-origin"  # its pages show photos in an img


def test_no_other_site_may_show_a_photo_unless_one_is_named(port: int) -> None:
    shown = ask(port, "GET", f"{SHOP}/items/sku-red/photo")
    assert shown.headers["cross-origin-resource-policy"] == "same-origin"


def test_any_origin_may_where_any_is_named_but_never_with_credentials(folder: Path) -> None:
    settings = ServerSettings({"shop": folder / "shop"}, cors=("*",))
    with serving(create_app(settings, load=lambda _: ColourEncoder())) as port:
        headers = {"Origin": "https://evil.example", "Cookie": "a=b"}
        answer = ask(port, "POST", f"{SHOP}/search", b'{"words": "red"}', headers=headers)
    assert answer.status == 200
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-credentials" not in answer.headers


def test_too_many_requests_are_told_when_to_come_again(folder: Path) -> None:
    settings = ServerSettings({"shop": folder / "shop"}, rate_limit=2)
    with serving(create_app(settings, load=lambda _: ColourEncoder())) as port:
        answers = [ask(port, "GET", "/v1/collections") for _ in range(3)]
    assert [answer.status for answer in answers] == [200, 200, 429]
    assert int(answers[2].headers["retry-after"]) in range(1, 31)
    refused(answers[2], folder, 429)


# --- headers


@pytest.mark.parametrize("target", [f"{SHOP}/items/sku-red/photo", "/", "/page/app.js", "/openapi.json"])
def test_ten_thousand_ranges_cost_no_more_than_the_whole(port: int, target: str) -> None:
    whole = ask(port, "GET", target)
    assert whole.status == 200
    ranges = ",".join(f"{n}-{n}" for n in range(0, 20_000, 2))
    for asked in (ranges, "0-," * 10_000 + "0-", "-1," * 10_000 + "-1"):
        answer = ask(port, "GET", target, headers={"Range": f"bytes={asked}"[:60_000]})
        assert answer.status in (200, 416)
        assert len(answer.body) <= len(whole.body)


@pytest.mark.parametrize(
    "head",
    [
        b"X-API-Key: " + b"x" * 200_000,
        b"Cookie: " + b"a=b; " * 50_000,
        b"\r\n".join(b"X-%d: y" % n for n in range(20_000)),
        b"X: " + b"\x00",
        b"X : y",
        b"X-Request-ID: a\rb",
        b"\xff\xfe: y",
    ],
    ids=["long key", "long cookie", "many", "nul", "blank", "return", "bytes"],
)
def test_headers_that_make_no_sense_are_refused_and_the_server_lives(port: int, head: bytes) -> None:
    answer = send(port, b"GET /v1/collections HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + head + b"\r\n\r\n")
    assert answer.status in (0, 400, 431)
    assert ask(port, "GET", "/health").status == 200


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Accept", "," * 30_000),
        ("Accept", "image/webp;q=" + "9" * 30_000),
        ("If-None-Match", '"x",' * 10_000),
        ("Content-Type", "multipart/form-data; boundary=" + "b" * 30_000),
        ("Content-Type", "application/json; charset=utf-7"),
        ("Accept-Encoding", "gzip;q=nan"),
        ("Authorization", "Bearer " + "x" * 30_000),
        ("X-Forwarded-For", "1.2.3.4, " * 5_000),
        ("Origin", "null"),
    ],
)
def test_headers_that_make_sense_and_are_odd_break_nothing(port: int, name: str, value: str) -> None:
    for method, target in (("GET", f"{SHOP}/items/sku-red/photo"), ("POST", f"{SHOP}/search")):
        assert ask(port, method, target, headers={name: value}).status in (200, 304, 400, 403, 415, 422)
