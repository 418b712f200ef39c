"""Errors have one shape and the right status."""

import asyncio
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from time import sleep
from typing import Any

import pytest
from fastapi.testclient import TestClient
from httpx import Response

from api.http.app import create_app
from api.http.errors import NotReady, error_response, status_of
from api.http.models.errors import ERRORS, ErrorAnswer
from api.http.privacy import without_paths
from api.http.settings import ServerSettings
from api.http.threads import Threads
from retrieval import errors
from retrieval.arrays import FloatArray
from retrieval.collection import Collection
from retrieval.errors import CollectionChanged
from tests.fakes import ColourEncoder
from tests.http_server import client_of, colour_shop


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    with client_of(colour_shop(tmp_path_factory.mktemp("http"))) as opened:
        yield opened


def test_an_unknown_collection(client: TestClient) -> None:
    answer = client.get("/v1/collections/nowhere")
    assert answer.status_code == 404
    assert answer.json() == {
        "error": {
            "type": "not_found",
            "message": "there is no collection 'nowhere'",
            "hint": "GET /v1/collections lists them",
            "field": "name",
        }
    }


def test_an_unknown_route(client: TestClient) -> None:
    answer = client.get("/v2/things")
    assert answer.status_code == 404
    assert answer.json()["error"]["type"] == "not_found"


def test_a_wrong_method(client: TestClient) -> None:
    answer = client.delete("/v1/collections")
    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET"
    assert answer.json()["error"]["type"] == "method_not_allowed"


SEARCH = "/v1/collections/shop/search"


def error_of(answer: Response, status: int) -> dict[str, Any]:
    """The error of an answer, in the one shape that all have."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    ErrorAnswer.model_validate(answer.json(), strict=True)
    assert set(answer.json()["error"]) == {"type", "message", "hint", "field"}
    assert answer.json()["error"]["message"]
    error: dict[str, Any] = answer.json()["error"]
    return error


@pytest.mark.parametrize("body", [b"", b"{", b'{"words": "red"', b"\xff", b'{"k": 1e', b"[" * 100_000, b"1" * 5_000])
def test_a_body_that_is_no_json(client: TestClient, body: bytes) -> None:
    answer = client.post(SEARCH, content=body, headers={"Content-Type": "application/json"})
    error = error_of(answer, 400 if body else 422)
    assert error["type"] == ("bad_request" if body else "invalid")


def test_a_form_that_cannot_be_read(client: TestClient) -> None:
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    answer = client.post(f"{SEARCH}/image", content=b"nonsense", headers=headers)
    assert error_of(answer, 400)["type"] == "bad_request"
    files = {"image": ("x.png", b"", "image/png")}
    answer = client.post(f"{SEARCH}/image", files=files, data={"query": "{"})
    assert error_of(answer, 400)["field"] == "query"
    answer = client.post(f"{SEARCH}/image", files=files, data={"query": "[]"})
    assert error_of(answer, 422)["field"] == "query"


def test_a_body_of_another_type(client: TestClient) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", "application/xml", "nonsense"):
        error = error_of(client.post(SEARCH, content=b'{"words": "red"}', headers={"Content-Type": kind}), 415)
        assert error["type"] == "unsupported_media"
        assert error["hint"] == "send it as application/json"
    error = error_of(client.post(SEARCH, content=b'{"words": "red"}'), 415)
    assert error["message"] == "the body is of no type, not application/json"
    error_of(client.post(SEARCH), 422)  # no body at all
    error = error_of(client.post(f"{SEARCH}/image", json={"words": "red"}), 415)
    assert error["hint"] == "send it as multipart/form-data"
    kind = "application/vnd.shop+json; charset=utf-8"
    assert client.post(SEARCH, content=b'{"words": "red"}', headers={"Content-Type": kind}).status_code == 200


def test_what_does_not_fit(client: TestClient) -> None:
    error = error_of(client.get(SEARCH, params={"q": "red", "k": "many"}), 422)
    assert (error["type"], error["field"]) == ("invalid", "k")
    error = error_of(client.post(f"{SEARCH}/image", data={"words": "red"}), 422)
    assert error["field"] == "image"
    error = error_of(client.post(SEARCH, json={"words": "red", "filter": "prize < 3"}), 422)
    assert (error["type"], error["hint"]) == ("filter_error", "did you mean price?")


class Stopping(ColourEncoder):
    """Waits at each text until it may go on, and fails where it should."""

    def __init__(self) -> None:
        super().__init__()
        self.entered, self.go_on, self.fails = Event(), Event(), False

    def encode_texts(self, texts: Sequence[str]) -> FloatArray:
        if self.fails:
            raise RuntimeError("secret: /home/shop/tower.bin is broken")
        if not set(texts) <= {"a photo", "photo"}:  # those of the start
            self.entered.set()
            assert self.go_on.wait(10)
        return super().encode_texts(texts)


def test_a_call_after_the_end_is_told_so_and_counts_no_more() -> None:
    threads = Threads(1, 1)
    threads.close()
    for _ in range(5):  # more than may wait
        with pytest.raises(NotReady):
            asyncio.run(threads.run(int))
    threads.open()
    assert asyncio.run(threads.run(int)) == 0
    assert (threads.waiting, threads.running) == (0, 0)
    threads.close()


def test_one_more_than_may_wait_is_told_to_come_again(tmp_path: Path) -> None:
    encoder = Stopping()
    with (
        client_of(colour_shop(tmp_path), encoder=encoder, workers=1, queue=1) as client,
        ThreadPoolExecutor(2) as pool,
    ):
        threads = client.app.state.server.threads  # type: ignore[attr-defined]
        running = pool.submit(client.get, SEARCH, params={"q": "red"})
        assert encoder.entered.wait(10)
        waiting = pool.submit(client.get, SEARCH, params={"q": "blue"})
        while not threads.waiting:
            sleep(0.001)
        refused = client.get(SEARCH, params={"q": "green"})
        assert error_of(refused, 429)["type"] == "busy"
        assert int(refused.headers["retry-after"]) >= 1
        assert client.get("/health").status_code == 200  # needs no thread
        assert client.get("/ready").status_code == 200  # or whoever watches would send all clients to another server
        encoder.go_on.set()
        assert running.result(10).json()["hits"][0]["item_id"] == "sku-red"
        assert waiting.result(10).json()["hits"][0]["item_id"] == "sku-blue"
        assert client.get(SEARCH, params={"q": "green"}).status_code == 200
        assert (threads.waiting, threads.running) == (0, 0)


def test_a_fault_tells_nothing_of_the_inside_and_the_server_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    encoder = Stopping()
    encoder.go_on.set()
    with client_of(colour_shop(tmp_path), encoder=encoder) as client:
        encoder.fails = True
        answer = client.get(SEARCH, params={"q": "red"})
        error = error_of(answer, 500)
        assert error["type"] == "internal_error"
        assert "secret" not in answer.text
        assert answer.headers["x-request-id"]
        assert "secret" in caplog.text
        encoder.fails = False
        assert client.get(SEARCH, params={"q": "red"}).status_code == 200


def test_a_writer_that_is_always_ahead(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def changed(self: Collection) -> None:
        raise CollectionChanged(f"{self.folder} was changed while it was searched", hint="search again")

    monkeypatch.setattr(Collection, "view", changed)
    error = error_of(client.get(SEARCH, params={"q": "red"}), 409)
    assert error == {
        "type": "collection_changed",
        "message": "shop was changed while it was searched",
        "hint": "search again",
        "field": None,
    }


def test_a_collection_that_cannot_be_read(tmp_path: Path) -> None:
    folder = colour_shop(tmp_path)
    with client_of(folder) as client:
        shutil.rmtree(folder)
        error = error_of(client.get(SEARCH, params={"q": "red"}), 503)
        assert error["type"] == "collection_not_found"
        assert str(tmp_path) not in str(error)
        error = error_of(client.get("/ready"), 503)
        assert error["type"] == "not_ready"
        assert "'shop'" in error["message"]
        assert str(tmp_path) not in str(error)
        assert client.get("/health").status_code == 200
        folder.mkdir()
        (folder / "catalog.db").write_bytes(b"no database" * 1_000)
        error = error_of(client.get(SEARCH, params={"q": "red"}), 503)
        assert error["type"] == "collection_damaged"
        assert str(tmp_path) not in str(error)


def test_a_server_that_is_not_open(tmp_path: Path) -> None:
    app = create_app(ServerSettings({"shop": tmp_path}))
    client = TestClient(app)  # without its lifespan
    assert error_of(client.get("/ready"), 503)["type"] == "not_ready"
    assert error_of(client.get(SEARCH), 503)["type"] == "not_ready"


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.QueryError("x"), 422),
        (errors.FilterError("x"), 422),
        (errors.ImageError("x"), 422),
        (errors.CollectionLocked("x"), 409),
        (errors.CollectionChanged("x"), 409),
        (errors.CollectionDamaged("x"), 503),
        (errors.StorageError("x"), 503),
        (errors.FingerprintMismatch("x"), 503),
        (errors.TrainingError("x"), 500),
        (errors.CatalensError("x"), 500),
    ],
)
def test_the_status_of_an_error(error: errors.CatalensError, status: int) -> None:
    assert status_of(error) == status
    answer = error_response(error)
    assert answer.status_code == status
    assert status in ERRORS


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("there is no item 'a' in /srv/data/my shop/.catalens", "there is no item 'a' in shop"),
        ("/srv/data/my shop/.catalens was changed", "shop was changed"),
        ("cannot read /var/lib/x/model.bin: no", "cannot read model.bin: no"),
        ("see '/home/me/.cache/catalens'", "see 'catalens'"),
        ("~/models/mine is broken", "mine is broken"),
        ("fields are a/b, c; 3/4 of 1/2", "fields are a/b, c; 3/4 of 1/2"),
        ("https://shop.example/a/b is fine", "https://shop.example/a/b is fine"),
        ("C:\\Users\\me\\x.db is locked", "x.db is locked"),
    ],
)
def test_no_path_is_told(text: str, told: str) -> None:
    assert without_paths(text, {"shop": Path("/srv/data/my shop/.catalens")}) == told
