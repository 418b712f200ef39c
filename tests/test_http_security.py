"""What strangers may try with a server: every row of these tables is an attack that has worked somewhere."""

import base64
import hashlib
import io
import json
import os
import struct
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI
from PIL import Image

from api.http.app import create_app
from api.http.middleware.api_keys import READS
from api.http.settings import ServerSettings
from tests.fakes import ColourEncoder
from tests.http_server import colour_shop
from tests.raw_http import Answer, ask, form, send, serving

LIMIT = 300_000
READ, WRITE = "a key that may read", "a key that may write"
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


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("security")


@pytest.fixture(scope="module")
def app(folder: Path) -> FastAPI:
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


@pytest.fixture(scope="module")
def port(app: FastAPI) -> Iterator[int]:
    with serving(app) as opened:
        yield opened


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


def refused(answer: Answer, folder: Path, *statuses: int) -> None:
    """A refusal in the one shape, that tells nothing about this machine."""
    assert answer.status in (statuses or range(400, 500)), (answer.status, answer.body[:300])
    assert answer.error["type"] != "internal_error"
    assert str(folder).encode() not in answer.body
    assert b"Traceback" not in answer.body
    assert "x-request-id" in answer.headers
    assert answer.headers["x-content-type-options"] == "nosniff"


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
    import socket

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


# --- pictures


def png(width: int, height: int, *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG that says it has so many pixels, of one bit; its data would unpack to 100 MB of nothing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    packer = zlib.compressobj(9)
    zeros = b"".join(packer.compress(bytes(2**20)) for _ in range(100)) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    before = b"".join(chunk(*each) for each in chunks)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + before + chunk(b"IDAT", zeros) + chunk(b"IEND", b"")


def bombs() -> dict[str, bytes]:
    packed = zlib.compress(bytes(50 * 2**20), 9)
    frames = io.BytesIO()
    many = [Image.new("P", (64, 64), n % 250) for n in range(400)]
    many[0].save(frames, "GIF", save_all=True, append_images=many[1:])
    whole = io.BytesIO()
    Image.new("RGB", (40, 40), (220, 20, 20)).save(whole, "JPEG")
    return {
        "900 megapixels": png(30_000, 30_000),
        "four billion wide": png(2**31 - 1, 2),
        "no pixels": png(0, 0),
        "packed text": png(2**31 - 1, 1, (b"zTXt", b"a\0\0" + packed)),
        "packed profile": png(30_000, 30_000, (b"iCCP", b"a\0\0" + packed)),
        "half a jpeg": whole.getvalue()[:300],
        "a page": b"<svg xmlns='http://www.w3.org/2000/svg'><image href='file:///etc/passwd'/></svg>",
        "postscript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(%pipe%id) (w) file\n",
        "a pickle": b"\x80\x04\x95\x1e\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94\x8c\x06system\x94\x93\x94.",
        "nothing": b"",
    }


BOMBS = bombs()


@pytest.mark.parametrize("name", BOMBS)
@pytest.mark.parametrize("route", ["search", "search/image", "heatmap", "embeddings", "rerank", "item", "item form"])
def test_a_bomb_is_refused_before_it_is_unpacked(port: int, folder: Path, route: str, name: str) -> None:
    data = BOMBS[name]
    text = base64.b64encode(data).decode()
    query = {"image": {"base64": text}}
    bodies = {
        "search": (f"{SHOP}/search", query),
        "heatmap": (f"{SHOP}/items/sku-red/heatmap", query),
        "embeddings": (
            "/v1/embeddings",
            {"input": [{"type": "image_url", "image_url": {"url": f"data:image/png;base64,{text}"}}]},
        ),
        "rerank": ("/v1/rerank", {"query": "red", "documents": [{"image": {"base64": text}}]}),
        "item": (f"{SHOP}/items/new", {"photos": [{"base64": text}]}),
    }
    began = time.perf_counter()
    if route == "search/image":
        body, kind = form(('name="image"; filename="a.png"', data))
        answer = ask(port, "POST", f"{SHOP}/search/image", body, kind)
    elif route == "item form":
        body, kind = form(('name="item"', b"{}"), ('name="photo"; filename="a.png"', data))
        answer = ask(port, "PUT", f"{SHOP}/items/new", body, kind)
    else:
        target, value = bodies[route]
        answer = ask(port, "PUT" if route == "item" else "POST", target, json.dumps(value).encode())
    refused(answer, folder, 422)
    assert time.perf_counter() - began < 2


def test_an_animation_costs_one_frame(port: int) -> None:
    frames = io.BytesIO()
    many = [Image.new("P", (64, 64), n % 250) for n in range(400)]
    many[0].save(frames, "GIF", save_all=True, append_images=many[1:])
    body, kind = form(('name="image"; filename="a.gif"', frames.getvalue()))
    assert ask(port, "POST", f"{SHOP}/search/image", body, kind).status == 200


def test_a_bomb_fails_alone(port: int) -> None:
    bomb = {"base64": base64.b64encode(BOMBS["900 megapixels"]).decode()}
    value = {"items": [{"item_id": "bomb", "photos": [bomb]}, {"item_id": "good", "title": "red thing"}]}
    outcomes = json.loads(ask(port, "POST", f"{SHOP}/items", json.dumps(value).encode()).body)["outcomes"]
    assert [one["outcome"] for one in outcomes] == ["failed", "added"]
    assert "900 megapixels" in outcomes[0]["problems"][0]
    assert ask(port, "DELETE", f"{SHOP}/items/good").status == 200


# --- photos by path

OUTSIDE = [
    "../outside.png",
    "../photos/../outside.png",
    "link.png",
    "chain.png",
    "away/outside.png",
    "away/photos/in.png/../../outside.png",
    "passwd",
    "/etc/passwd",
    "//etc/passwd",
    "/proc/self/environ",
    "/dev/zero",
    "~/.ssh/id_rsa",
    "file:///etc/passwd",
    "https://127.0.0.1/a.png",
    "..\\outside.png",
    "in.png\0.txt",
    "pipe.png",
    "round.png",
    ".",
    "",
    "\ud800.png",
    "x" * 5_000,
    "a/" * 3_000,
]


@pytest.mark.parametrize("written", OUTSIDE)
def test_no_photo_by_path_lies_outside(port: int, folder: Path, written: str) -> None:
    began = time.perf_counter()
    answer = ask(port, "PUT", f"{SHOP}/items/new", json.dumps({"photos": [written]}).encode())
    refused(answer, folder, 400, 422)
    assert b"root:" not in answer.body
    assert time.perf_counter() - began < 2  # a pipe is not waited for, a device not read


def test_a_refusal_does_not_tell_what_lies_outside(port: int) -> None:
    said = {
        ask(port, "PUT", f"{SHOP}/items/new", json.dumps({"photos": [path]}).encode()).error["message"]
        for path in ("../outside.png", "../not-there.png", "/etc/passwd", "/etc/not-there")
    }
    assert len(said) == 1


def test_a_photo_inside_is_taken_and_its_path_told_to_nobody(port: int, folder: Path) -> None:
    put = ask(port, "PUT", f"{SHOP}/items/inside", json.dumps({"photos": ["in.png"]}).encode())
    assert put.status == 200, put.body
    for target in (f"{SHOP}/items/inside", f"{SHOP}/search?q=red", f"{SHOP}/items/inside/photo"):
        answer = ask(port, "GET", target)
        assert answer.status == 200
        assert b"in.png" not in answer.body
        assert str(folder).encode() not in answer.body
    assert ask(port, "DELETE", f"{SHOP}/items/inside").status == 200


@pytest.mark.parametrize(
    "item_id",
    [
        "..",
        "../../secret.txt",
        "%2e%2e%2f%2e%2e%2fsecret.txt",
        "/etc/passwd",
        "con",
        "a/photo/b",
        "%F0%9F%98%80",
    ],
)
def test_an_id_is_a_name_and_no_place(port: int, folder: Path, item_id: str) -> None:
    before = sorted(path for path in folder.rglob("*") if "shop" not in path.parts)
    title = json.dumps({"title": "<script>alert(1)</script>"}).encode()
    assert ask(port, "PUT", f"{SHOP}/items/{item_id}", title).status == 200
    shown = ask(port, "GET", f"{SHOP}/items/{item_id}")
    assert shown.headers["content-type"] == "application/json"  # with nosniff: no browser takes it for a page
    assert json.loads(shown.body)["title"].startswith("<script>")
    assert ask(port, "DELETE", f"{SHOP}/items/{item_id}").status == 200
    assert sorted(path for path in folder.rglob("*") if "shop" not in path.parts) == before


@pytest.mark.parametrize(
    "item_id", ["", "%00", "a%00b", "%ED%A0%80", "%FF", "x" * 10_000, "%20"], ids=lambda one: one[:10]
)
def test_ids_that_no_item_can_have(port: int, folder: Path, item_id: str) -> None:
    answer = ask(port, "PUT", f"{SHOP}/items/{item_id}", b"{}")
    if answer.status == 200:
        assert ask(port, "DELETE", f"{SHOP}/items/{item_id}").status == 200
    else:
        refused(answer, folder)


@pytest.mark.parametrize(
    "body",
    [
        b'{"attributes": {"price": NaN}}',
        b'{"attributes": {"price": 1e999}}',
        b'{"attributes": {"price": ' + b"9" * 5_000 + b"}}",
        b'{"attributes": {"a": {"b": 1}}}',
        b'{"attributes": {"a": ' + b"[" * 50_000,
        json.dumps({"attributes": {f"f{n}": 1 for n in range(10_000)}}).encode(),
        json.dumps({"attributes": {"\ud800": 1}}).encode(),
        json.dumps({"attributes": {"a": "\ud800"}}).encode(),
        json.dumps({"texts": {"a": "\udfff"}}).encode(),
        json.dumps({"title": "\ud800"}).encode(),
        json.dumps({"photos": ["in.png"] * 5_000}).encode(),
        json.dumps({"photos": [{"base64": "no base64!"}]}).encode(),
        json.dumps({"texts": {"a": "x" * 290_000}}).encode(),
    ],
)
def test_items_that_cannot_be_stored(port: int, folder: Path, body: bytes) -> None:
    refused(ask(port, "PUT", f"{SHOP}/items/new", body), folder, 400, 422)
    assert ask(port, "GET", f"{SHOP}/items/new").status == 404


@pytest.mark.parametrize(
    ("parts", "statuses"),
    [
        ([('name="item"', b"{}"), ('name="item"', b"{}")], {422}),
        ([('name="item"', b"{}"), ('name="other"', b"x")], {422}),
        ([('name="item"', b"{"), ('name="photo"; filename="a"', b"x")], {400}),
        ([('name="photo"', b"no file")], {422}),
        ([(f'name="photo"; filename="{n}"', b"x") for n in range(3_000)], {400, 413}),
        ([('name="item"', b"{}") for _ in range(3_000)], {400}),
        ([('name="photo"; filename="../../../outside.png"', b"no picture")], {422}),
    ],
    ids=["two items", "unknown field", "half JSON", "no file", "3000 files", "3000 items", "upwards"],
)
def test_forms_of_items(port: int, folder: Path, parts: list[tuple[str, bytes]], statuses: set[int]) -> None:
    refused(ask(port, "PUT", f"{SHOP}/items/new", *form(*parts)), folder, *statuses)


# --- URLs that the server would fetch


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f.1",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "169.254.169.254",
        "0.0.0.0",
        "localhost",
        "10.0.0.1",
    ],
)
@pytest.mark.parametrize("scheme", ["https", "http"])
def test_no_url_leads_into_this_network(port: int, folder: Path, scheme: str, host: str) -> None:
    url = f"{scheme}://{host}/latest/meta-data/"
    value = {"input": [{"type": "image_url", "image_url": {"url": url}}]}
    refused(ask(port, "POST", "/v1/embeddings", json.dumps(value).encode()), folder, 422)


def test_no_url_is_fetched_unless_allowed(locked: int, folder: Path) -> None:
    value = {"input": [{"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}]}
    answer = ask(locked, "POST", "/v1/embeddings", json.dumps(value).encode(), headers={"X-API-Key": READ})
    refused(answer, folder, 422)
    assert "--allow-url" in answer.error["hint"]


@pytest.mark.parametrize("value", ["/etc/passwd", "file:///etc/passwd", {"path": "/etc/passwd"}, "../secret.txt"])
def test_a_query_names_no_file(port: int, folder: Path, value: object) -> None:
    refused(ask(port, "POST", f"{SHOP}/search", json.dumps({"image": value}).encode()), folder, 422)


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


@pytest.mark.parametrize("photo", ["-1", "0", "1e9", "99999999999999999999", "x", "%00", "../1"])
def test_a_photo_is_only_a_number(port: int, folder: Path, photo: str) -> None:
    refused(ask(port, "GET", f"{SHOP}/items/sku-red/photo?photo={photo}"), folder, 404, 422)
    refused(ask(port, "GET", f"{SHOP}/items/sku-red/photo?size={photo}"), folder, 422)


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


def test_after_all_this_the_server_is_well(port: int) -> None:
    shown = ask(port, "GET", "/metrics").body.decode()
    assert 'type="internal_error"' not in shown
    assert "catalens_busy_threads 0.0" in shown
    hits = json.loads(ask(port, "GET", f"{SHOP}/search?q=red&k=1").body)["hits"]
    assert hits[0]["item_id"] == "sku-red"
