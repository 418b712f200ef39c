"""A collection changes while it is served: every request is answered, the next one sees what is new."""

import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

from fastapi.testclient import TestClient

from api.http.app import create_app
from api.http.settings import ServerSettings
from indexer.sources.base import SourceItem
from retrieval.arrays import FloatArray
from retrieval.encoders.base import DualEncoder
from tests.fakes import COLOURS, ColourEncoder
from tests.http_server import client_of, colour_shop
from tests.listed import NoiseEncoder, compacted, fill, paint

SEARCH = "/v1/collections/shop/search"
STEPS = 8
CLIENTS = 4


def items_of(folder: Path, count: int) -> list[SourceItem]:
    photo = paint(folder / "red.png", COLOURS["red"])
    return [SourceItem(f"red-{n}", f"red {n}", (photo,), attributes={"n": n}) for n in range(count)]


def test_no_request_is_dropped_while_a_writer_adds(tmp_path: Path) -> None:
    fill(tmp_path / "shop", items_of(tmp_path, 1), ColourEncoder())
    done = Event()

    def search_on(client: TestClient) -> list[tuple[int, int, int]]:
        seen = []
        while not done.is_set():
            answer = client.post(SEARCH, json={"words": "red", "filter": "n >= 0", "k": 100})
            value = answer.json()
            seen.append((answer.status_code, value.get("revision", 0), value.get("matched", 0)))
        return seen

    with client_of(tmp_path / "shop") as client, ThreadPoolExecutor(CLIENTS) as pool:
        searching = [pool.submit(search_on, client) for _ in range(CLIENTS)]
        try:
            for step in range(2, STEPS + 2):
                fill(tmp_path / "shop", items_of(tmp_path, step), ColourEncoder())
                answer = client.post(SEARCH, json={"words": "red", "k": 100})
                assert len(answer.json()["hits"]) == step  # what was written is seen by the next search
            compacted(tmp_path / "shop", ColourEncoder())
        finally:
            done.set()
        for one in searching:
            seen = one.result(10)
            assert {status for status, _, _ in seen} == {200}
            assert seen == sorted(seen)  # nobody goes back to an older revision
            assert len({revision for _, revision, _ in seen}) > 1
        assert client.get("/ready").json()["collections"][0]["revision"] > seen[0][1]


def test_a_collection_that_was_deleted_and_made_again_is_followed(tmp_path: Path) -> None:
    folder = colour_shop(tmp_path)
    with client_of(folder) as client:
        assert client.get(SEARCH, params={"q": "red"}).json()["hits"][0]["item_id"] == "sku-red"
        shutil.rmtree(folder)
        assert client.get(SEARCH, params={"q": "red"}).status_code == 503
        fill(folder, items_of(tmp_path, 2), ColourEncoder())
        answer = client.get(SEARCH, params={"q": "red"})
        assert [hit["item_id"] for hit in answer.json()["hits"]] == ["red-0", "red-1"]
        assert client.get("/v1/collections/shop").json()["items"] == 2


def test_one_that_was_made_again_with_another_model_gets_that_model(tmp_path: Path) -> None:
    folder = colour_shop(tmp_path)
    encoders: dict[str, DualEncoder] = {"colour": ColourEncoder(), "noise": NoiseEncoder()}
    with client_of(folder, encoders=encoders) as client:
        assert client.get("/ready").json()["collections"][0]["model"] == "colour"
        shutil.rmtree(folder)
        fill(folder, [SourceItem("a", "one", ()), SourceItem("b", "two", ())], NoiseEncoder())
        answer = client.get(SEARCH, params={"q": "two", "by": "text"})
        assert (answer.status_code, answer.json()["hits"][0]["item_id"]) == (200, "b")
        assert client.get("/ready").json()["collections"][0]["model"] == "noise"
        assert client.get("/v1/collections/shop").json()["dimension"] == 16


def test_a_search_that_began_before_the_change_ends_on_what_it_began_with(tmp_path: Path) -> None:
    class Stopping(ColourEncoder):
        def __init__(self) -> None:
            super().__init__()
            self.entered, self.go_on = Event(), Event()

        def encode_texts(self, texts: Sequence[str]) -> FloatArray:
            if "green" in texts:
                self.entered.set()
                assert self.go_on.wait(10)
            return super().encode_texts(texts)

    encoder = Stopping()
    folder = colour_shop(tmp_path)
    encoders: dict[str, DualEncoder] = {"colour": encoder, "noise": NoiseEncoder()}
    with client_of(folder, encoders=encoders) as client, ThreadPoolExecutor(1) as pool:
        begun = pool.submit(client.get, SEARCH, params={"q": "green"})
        assert encoder.entered.wait(10)
        shutil.rmtree(folder)
        fill(folder, [SourceItem("a", "one", ())], NoiseEncoder())
        assert client.get(SEARCH, params={"q": "one", "by": "text"}).status_code == 200  # the new model is in place
        encoder.go_on.set()
        answer = begun.result(10)
        assert (answer.status_code, answer.json()["hits"][0]["item_id"]) == (200, "sku-green")


def test_a_model_is_loaded_once_for_all_collections_that_have_it(tmp_path: Path) -> None:
    loaded: list[str] = []
    encoder = ColourEncoder()

    def load(name: str) -> DualEncoder:
        loaded.append(name)
        return encoder

    folders = [colour_shop(tmp_path / name, name) for name in ("one", "two")]
    fill(tmp_path / "three", [SourceItem("a", "b", ())], NoiseEncoder())
    with client_of(*folders, tmp_path / "three", load=lambda name: NoiseEncoder() if name == "noise" else load(name)):
        assert loaded == ["colour"]
    assert encoder.texts_encoded > 0  # both towers were warmed
    assert encoder.images_encoded == 1


def test_an_app_may_start_again_after_it_has_ended(tmp_path: Path) -> None:
    settings = ServerSettings({"shop": colour_shop(tmp_path)})
    app = create_app(settings, load=lambda _: ColourEncoder())
    for _ in range(2):
        with TestClient(app) as client:
            assert client.get(SEARCH, params={"q": "red"}).json()["hits"][0]["item_id"] == "sku-red"
        assert client.get(SEARCH, params={"q": "red"}).status_code == 503
