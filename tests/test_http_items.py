"""Items over HTTP: what is written, the next search finds; what is refused changes nothing."""

import asyncio
import base64
import json
import shutil
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from indexer.lock import writer_lock
from indexer.pipeline import index_sources
from indexer.sources import open_source
from retrieval.collection import Collection
from tests.fakes import ColourEncoder, Pixels
from tests.http_server import client_of, colour_shop
from tests.test_put_items import picture

ITEMS = "/v1/collections/shop/items"


def encoded(data: bytes) -> dict[str, str]:
    return {"base64": base64.b64encode(data).decode()}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return colour_shop(tmp_path)


def lay_out_photos(folder: Path) -> Path:
    """A folder that photos may be named in, a secret beside it, and a link from the one to the other."""
    root = folder / "photos"
    (root / "sub").mkdir(parents=True)
    (root / "red.png").write_bytes(picture("red", 1))
    (root / "sub" / "blue.png").write_bytes(picture("blue", 1))
    (folder / "secret.png").write_bytes(picture("green", 1))
    (root / "link.png").symlink_to(folder / "secret.png")
    return root


@pytest.fixture
def roots(tmp_path: Path) -> Path:
    return lay_out_photos(tmp_path)


@pytest.fixture(scope="module")
def refusing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """For requests that change nothing: one serves them all."""
    folder = tmp_path_factory.mktemp("items")
    with client_of(colour_shop(folder), image_roots=(lay_out_photos(folder),)) as opened:
        yield opened


@pytest.fixture
def client(folder: Path, roots: Path) -> Iterator[TestClient]:
    with client_of(folder, image_roots=(roots,)) as opened:
        yield opened


def found(client: TestClient, words: str, by: str = "image", **more: Any) -> list[str]:
    answer = client.get("/v1/collections/shop/search", params={"q": words, "by": by, "k": 50, **more})
    assert answer.status_code == 200, answer.text
    return [hit["item_id"] for hit in answer.json()["hits"]]


def refused(answer: Any, status: int, kind: str) -> str:
    assert answer.status_code == status, answer.text
    assert answer.json()["error"]["type"] == kind
    return str(answer.json()["error"]["message"])


def test_an_item_is_put_read_searched_changed_and_deleted(client: TestClient) -> None:
    body = {
        "title": "Velvet sofa",
        "texts": {"description": "dark red, for three"},
        "attributes": {"price": 499.5, "stock": 3, "new": True, "colour": ["red", "dark"], "note": None},
        "photos": [encoded(picture("red", 7))],
    }
    put = client.put(f"{ITEMS}/sofa", json=body)
    assert put.status_code == 200, put.text
    assert put.json() == {"item_id": "sofa", "outcome": "added", "problems": [], "revision": put.json()["revision"]}
    assert "sofa" in found(client, "red")[:2]
    assert found(client, "velvet", "lexical") == ["sofa"]
    assert found(client, "red", filter="price > 499 and new = true") == ["sofa"]
    item = client.get(f"{ITEMS}/sofa").json()
    photo = item.pop("photos")
    assert (photo[0]["width"], photo[0]["height"]) == (24, 24)
    assert photo[0]["url"] == f"{ITEMS}/sofa/photo?photo={photo[0]['id']}"
    assert item.pop("revision") >= put.json()["revision"]
    assert item == {k: v for k, v in body.items() if k != "photos"} | {
        "item_id": "sofa",
        "tags": {},
        "source": "program",
    }
    assert client.put(f"{ITEMS}/sofa", json=body).json()["outcome"] == "unchanged"
    changed = client.put(f"{ITEMS}/sofa", json={"title": "Bench", "photos": [encoded(picture("blue", 7))]})
    assert changed.json()["outcome"] == "updated"
    assert "sofa" in found(client, "blue")[:2]
    assert found(client, "velvet", "lexical") == []
    gone = client.delete(f"{ITEMS}/sofa")
    assert gone.json() == {"item_id": "sofa", "deleted": True, "revision": gone.json()["revision"]}
    assert "sofa" not in found(client, "blue")
    refused(client.get(f"{ITEMS}/sofa"), 404, "not_found")
    refused(client.delete(f"{ITEMS}/sofa"), 404, "not_found")


@pytest.mark.parametrize("item_id", ["a/b", "sofas/red one.jpg", "é?#%", "delete", "..a", "a//b"])
def test_an_id_may_be_nearly_anything(client: TestClient, item_id: str) -> None:
    from urllib.parse import quote

    address = f"{ITEMS}/{quote(item_id, safe='')}"
    assert client.put(address, json={"title": "Velvet"}).json()["item_id"] == item_id
    assert client.get(address).json()["item_id"] == item_id
    assert found(client, "velvet", "lexical") == [item_id]
    assert client.delete(address).json()["item_id"] == item_id


def test_photos_come_as_files_of_a_form(client: TestClient, folder: Path) -> None:
    files = [
        ("photo", ("../../x.png", picture("red", 8), "image/png")),
        ("photo", ("b", picture("blue", 8), "text/html")),
    ]
    put = client.put(f"{ITEMS}/form", data={"item": json.dumps({"title": "Two photos"})}, files=files)
    assert put.status_code == 200, put.text
    assert {"form"} <= set(found(client, "red")[:2]) & set(found(client, "blue")[:2])
    kept = [path for path in (folder / "uploads").rglob("*") if path.is_file()]
    assert all(len(path.name) == 64 and path.parent.name == path.name[:2] for path in kept)
    assert len(kept) == 2
    as_part = client.put(f"{ITEMS}/form", files=[("item", ("", b'{"title": "No photo"}', "application/json"))])
    assert as_part.json()["outcome"] == "updated"
    assert [path for path in (folder / "uploads").rglob("*") if path.is_file()] == []


def test_photos_named_by_path_lie_inside_an_image_root(client: TestClient, roots: Path) -> None:
    named = {"title": "By path", "photos": ["sub/blue.png", str(roots / "red.png")]}
    assert client.put(f"{ITEMS}/path", json=named).json()["outcome"] == "added"
    assert "path" in found(client, "blue")[:2]


@pytest.mark.parametrize(
    "written",
    [
        "../secret.png",
        "sub/../../secret.png",
        "/etc/passwd",
        "link.png",
        "..\\secret.png",
        "sub",
        "red.png\0",
        "file:///etc/passwd",
        "http://127.0.0.1/x.png",
        "//host/x.png",
        "~/x.png",
        "missing.png",
        "",
        "x" * 5_000,
    ],
)
def test_no_path_leads_out_of_the_image_roots(refusing: TestClient, written: str) -> None:
    message = refused(refusing.put(f"{ITEMS}/x", json={"title": "x", "photos": [written]}), 422, "item_refused")
    assert message.startswith("photo 1: ")
    assert str(refusing.app.state.server.folders["shop"].parent) not in message  # type: ignore[attr-defined]
    refused(refusing.get(f"{ITEMS}/x"), 404, "not_found")


def test_without_image_roots_no_path_is_read(folder: Path, roots: Path) -> None:
    with client_of(folder) as client:
        answer = client.put(f"{ITEMS}/x", json={"title": "x", "photos": [str(roots / "red.png")]})
        assert "photos by path are off" in refused(answer, 422, "item_refused")


@pytest.mark.parametrize(
    ("body", "status", "kind", "field"),
    [
        (b"{", 400, "bad_request", None),
        (b"\xff", 400, "bad_request", None),
        (b"[" * 100_000, 400, "bad_request", None),
        (b'{"title": "\\ud800"}', 400, "bad_request", None),
        (b"[]", 422, "invalid", None),
        (b'{"title": 5}', 422, "invalid", "title"),
        (b'{"name": "x"}', 422, "invalid", "name"),
        (b'{"attributes": {"a": {"b": 1}}}', 422, "invalid", "attributes.a"),
        (b'{"title": "x", "attributes": {"a": NaN}}', 422, "item_refused", None),
        (b'{"title": "x", "photos": [{"base64": "!"}]}', 422, "item_refused", None),
        (b'{"title": "x", "photos": [{"base64": "AAAA"}]}', 422, "item_refused", None),
        (b'{"title": " "}', 422, "item_refused", None),
        (b"{}", 422, "item_refused", None),
    ],
)
def test_bodies_that_are_no_item(refusing: TestClient, body: bytes, status: int, kind: str, field: str | None) -> None:
    answer = refusing.put(f"{ITEMS}/x", content=body, headers={"Content-Type": "application/json"})
    refused(answer, status, kind)
    assert answer.json()["error"]["field"] == field


def test_forms_that_are_no_item(refusing: TestClient) -> None:
    photo = ("photo", ("a.png", picture("red"), "image/png"))
    for data, files, status, kind in [
        ({"item": "{"}, [photo], 400, "bad_request"),
        ({"item": '{"title": 1}'}, [photo], 422, "invalid"),
        ({"other": "{}"}, [photo], 422, "invalid"),
        ({"item": ["{}", "{}"]}, [photo], 422, "invalid"),
        ({"photo": "text"}, [("item", ("", b"{}"))], 422, "invalid"),
        ({"item": "{}"}, [photo] * 34, 400, "bad_request"),
        ({"item": "{}"}, [("photo", ("a.png", b"no picture", "image/png"))], 422, "item_refused"),
    ]:
        refused(refusing.put(f"{ITEMS}/x", data=data, files=files), status, kind)
    broken = refusing.put(f"{ITEMS}/x", content=b"--", headers={"Content-Type": "multipart/form-data"})
    refused(broken, 400, "bad_request")
    refused(refusing.put(f"{ITEMS}/x", content=b"x", headers={"Content-Type": "text/plain"}), 415, "unsupported_media")


def test_a_refused_item_keeps_what_it_had(client: TestClient, folder: Path) -> None:
    before = client.get(f"{ITEMS}/sku-red").json()
    refused(client.put(f"{ITEMS}/sku-red", json={"title": "x", "photos": [encoded(b"no")]}), 422, "item_refused")
    assert client.get(f"{ITEMS}/sku-red").json() == before


def test_a_batch_has_an_outcome_for_each_item(client: TestClient) -> None:
    items = [
        {"item_id": "a", "title": "Velvet", "photos": [encoded(picture("red", 9))]},
        {"item_id": "b", "title": "Bad photo", "photos": [encoded(b"nothing")]},
        {"item_id": "sku-blue", "title": "Oak", "photos": ["sub/blue.png"]},
        {"item_id": "a", "title": "Twice"},
        {"item_id": " ", "title": "Blank"},
    ]
    done = client.post(ITEMS, json={"items": items}).json()
    assert [one["outcome"] for one in done["outcomes"]] == ["added", "failed", "updated", "failed", "failed"]
    assert [one["item_id"] for one in done["outcomes"]] == ["a", "b", "sku-blue", "a", " "]
    assert done["outcomes"][1]["problems"][0].startswith("photo 1: not a picture")
    assert found(client, "velvet", "lexical") == ["a"]
    assert client.get(f"{ITEMS}/sku-blue").json()["source"] == "program"
    gone = client.post(f"{ITEMS}/delete", json={"item_ids": ["a", "zz"]}).json()
    assert [one["outcome"] for one in gone["outcomes"]] == ["deleted", "not_found"]
    assert found(client, "velvet", "lexical") == []


@pytest.mark.parametrize("count", [0, 1_001])
def test_a_batch_has_bounds(client: TestClient, count: int) -> None:
    items = [{"item_id": str(i), "title": "x"} for i in range(count)]
    refused(client.post(ITEMS, json={"items": items}), 422, "invalid")
    refused(client.post(f"{ITEMS}/delete", json={"item_ids": [str(i) for i in range(count)]}), 422, "invalid")


def test_writes_wait_for_each_other_and_all_succeed(client: TestClient) -> None:
    def put(number: int) -> int:
        body = {"title": f"Velvet {number}", "photos": [encoded(picture("red", number))]}
        return client.put(f"{ITEMS}/many-{number}", json=body).status_code

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(put, range(24))) == [200] * 24
    assert len(found(client, "velvet", "lexical")) == 24


def test_another_process_that_writes_gives_409_and_when_to_come_again(client: TestClient, folder: Path) -> None:
    with writer_lock(folder):
        for answer in (
            client.put(f"{ITEMS}/x", json={"title": "x"}),
            client.delete(f"{ITEMS}/sku-red"),
            client.post("/v1/collections/shop/tags", json={"labels": ["red"], "store": True}),
        ):
            message = refused(answer, 409, "collection_locked")
            assert int(answer.headers["Retry-After"]) > 0
            assert str(folder) not in answer.text
            assert "shop" in message
        assert client.post("/v1/collections/shop/tags", json={"labels": ["red"]}).status_code == 200
    assert client.put(f"{ITEMS}/x", json={"title": "x"}).status_code == 200


def test_too_many_waiting_writes_are_refused(folder: Path) -> None:
    class Gated(ColourEncoder):
        gate = threading.Event()

        def encode_images(self, pixels: Pixels) -> Any:
            assert self.gate.wait(20)
            return super().encode_images(pixels)

    encoder = Gated()
    encoder.gate.set()
    with client_of(folder, encoder=encoder, queue=2) as client:
        encoder.gate.clear()

        def put(number: int) -> int:
            body = {"title": "x", "photos": [encoded(picture("red", number))]}
            return client.put(f"{ITEMS}/{number}", json=body).status_code

        with ThreadPoolExecutor(8) as pool:
            first = [pool.submit(put, number) for number in range(3)]
            while client.app.state.server.writing._waiting["shop"] < 3:  # type: ignore[attr-defined]
                time.sleep(0.01)
            assert put(9) == 429
            encoder.gate.set()
            assert [one.result(20) for one in first] == [200] * 3


def test_the_index_and_calibrations_follow_after_the_answer(client: TestClient, folder: Path) -> None:
    items = [{"item_id": f"n{i}", "title": "n", "photos": [encoded(picture("red", i))]} for i in range(20)]
    before = client.post(ITEMS, json={"items": items}).json()["revision"]
    ends = time.monotonic() + 10
    with Collection.open(folder) as opened:
        while opened.status()["revision"] <= before and time.monotonic() < ends:
            time.sleep(0.01)
        assert opened.status()["revision"] > before  # of the new calibrations


def test_a_file_s_next_run_takes_its_item_back(client: TestClient, folder: Path, tmp_path: Path) -> None:
    table = tmp_path / "more.csv"
    table.write_text("id,title,image\nrow,From the file,\n")
    index_sources(folder, [open_source(table)], ColourEncoder())
    assert client.get(f"{ITEMS}/row").json()["source"] == "table"
    assert client.put(f"{ITEMS}/row", json={"title": "From a program"}).json()["outcome"] == "updated"
    index_sources(folder, [open_source(table)], ColourEncoder())
    assert client.get(f"{ITEMS}/row").json()["title"] == "From the file"


def test_a_collection_that_was_deleted_is_not_made_again(client: TestClient, folder: Path) -> None:
    shutil.rmtree(folder)
    refused(client.put(f"{ITEMS}/x", json={"title": "x"}), 503, "collection_not_found")
    assert not folder.exists()


def test_a_write_ends_though_its_client_goes_away(client: TestClient, folder: Path) -> None:
    server = client.app.state.server  # type: ignore[attr-defined]
    started, finished = threading.Event(), threading.Event()

    def slow() -> None:
        started.set()
        time.sleep(0.2)
        finished.set()

    async def scene() -> None:
        served = server.served("shop")
        first = asyncio.create_task(server.writing.run(served, slow))
        while not started.is_set():
            await asyncio.sleep(0.01)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        await server.writing.run(served, lambda: None)
        assert finished.is_set()  # the second had to wait for it

    assert client.portal is not None
    client.portal.call(scene)


def test_the_description_says_how_an_item_is_put(client: TestClient) -> None:
    described = client.get("/openapi.json").json()
    body = described["paths"]["/v1/collections/{name}/items/{item_id}"]["put"]["requestBody"]["content"]
    assert set(body) == {"application/json", "multipart/form-data"}
    assert {"title", "texts", "attributes", "photos"} == set(body["application/json"]["schema"]["properties"])
    assert "Base64Image" in described["components"]["schemas"]
