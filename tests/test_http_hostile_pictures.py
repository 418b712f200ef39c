"""Pictures that strangers may send or name: bombs, files outside, addresses within."""

import base64
import io
import json
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from api.http.app import create_app
from api.http.settings import ServerSettings
from tests.attacked import SHOP, attacked_app, is_well, refused
from tests.fakes import ColourEncoder
from tests.raw_http import ask, form, serving


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("attacked")


@pytest.fixture(scope="module")
def port(folder: Path) -> Iterator[int]:
    with serving(attacked_app(folder)) as opened:
        yield opened
        is_well(opened)


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
TOO_LARGE = ("900 megapixels", "four billion wide")


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
    assert ("unpacks to" in answer.error["message"]) == (name in TOO_LARGE)  # as its header says, and nothing was read


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
    answer = ask(port, "PUT", f"{SHOP}/items/new", json.dumps({"photos": [written]}).encode())
    refused(answer, folder, 400, 422)  # at all: a pipe is not waited for, nor a device read to its end
    assert b"root:" not in answer.body


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


def test_no_url_is_fetched_unless_allowed(port: int, folder: Path) -> None:
    value = {"input": [{"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}]}
    settings = ServerSettings({"shop": folder / "shop"})
    with serving(create_app(settings, load=lambda _: ColourEncoder())) as careful:
        answer = ask(careful, "POST", "/v1/embeddings", json.dumps(value).encode())
    refused(answer, folder, 422)
    assert "--allow-url" in answer.error["hint"]


@pytest.mark.parametrize("value", ["/etc/passwd", "file:///etc/passwd", {"path": "/etc/passwd"}, "../secret.txt"])
def test_a_query_names_no_file(port: int, folder: Path, value: object) -> None:
    refused(ask(port, "POST", f"{SHOP}/search", json.dumps({"image": value}).encode()), folder, 422)


@pytest.mark.parametrize("photo", ["-1", "0", "1e9", "99999999999999999999", "x", "%00", "../1"])
def test_a_photo_is_only_a_number(port: int, folder: Path, photo: str) -> None:
    refused(ask(port, "GET", f"{SHOP}/items/sku-red/photo?photo={photo}"), folder, 404, 422)
    refused(ask(port, "GET", f"{SHOP}/items/sku-red/photo?size={photo}"), folder, 422)
