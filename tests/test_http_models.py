"""More like this; texts and pictures as vectors, in OpenAI's shape; given documents in order, in Cohere's."""

import base64
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from api.http.app import create_app
from api.http.documents import Pictures
from api.http.errors import Invalid
from api.http.fetch import Fetcher
from api.http.models.documents import ImageUrlInput
from api.http.settings import ServerSettings
from indexer.pipeline import index_sources
from indexer.sources.base import SourceItem
from retrieval.rerankers.base import Reranker
from retrieval.search import Searcher
from tests.fakes import COLOURS, ColourEncoder
from tests.halves import PAIRS, HalvesEncoder, HalvesReranker, halves
from tests.http_server import client_of, colour_shop
from tests.listed import ListSource, fill, worded

QUERY = "green red"


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    with client_of(colour_shop(tmp_path_factory.mktemp("http"))) as opened:
        yield opened


@pytest.fixture(scope="module")
def halved(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """Photos of two halves with tokens, and a reranker that tells left from right; beside it another collection."""
    folder = tmp_path_factory.mktemp("halves")
    items = []
    for left, right in PAIRS[:40]:
        (folder / f"{left}-{right}.png").write_bytes(halves(left, right))
        items.append(SourceItem(f"{left}-{right}", f"{left} {right}", (folder / f"{left}-{right}.png",)))
    index_sources(folder / "shop", [ListSource(items)], HalvesEncoder(), rerank_tokens=True)
    fill(folder / "other", worded("red", "blue"), HalvesEncoder())
    settings = ServerSettings({"shop": folder / "shop", "other": folder / "other"})
    app = create_app(settings, load=lambda _: HalvesEncoder())
    with TestClient(app, raise_server_exceptions=False) as opened:
        reranker: Reranker = HalvesReranker(HalvesEncoder().token_spec)
        for served in app.state.server.all():
            served.searcher = Searcher(served.searcher.collection, served.searcher.encoder, reranker)
        yield opened


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def png(colour: str) -> bytes:
    data = io.BytesIO()
    Image.new("RGB", (9, 9), COLOURS[colour]).save(data, "PNG")
    return data.getvalue()


def error_of(answer: Any) -> dict[str, Any]:
    error: dict[str, Any] = answer.json()["error"]
    return error


class TestSimilar:
    def test_the_nearest_without_the_item_itself(self, client: TestClient) -> None:
        answer = client.get("/v1/collections/shop/items/sku-red/similar", params={"k": 3})
        assert answer.status_code == 200
        found = [hit["item_id"] for hit in answer.json()["hits"]]
        assert found[0] == "sku-orange"
        assert "sku-red" not in found
        assert len(found) == 3

    def test_as_a_search_for_the_item_says(self, client: TestClient) -> None:
        params: dict[str, Any] = {"k": 4, "by": "hybrid", "filter": "price > 20", "offset": 1}
        answer = client.get("/v1/collections/shop/items/sku-blue/similar", params=params).json()
        searched = client.post("/v1/collections/shop/search", json={"item": "sku-blue", **params}).json()
        assert answer | {"took_ms": 0} == searched | {"took_ms": 0}

    @pytest.mark.parametrize(
        ("item", "params", "status"),
        [
            ("nothing", {}, 404),
            ("sku-red", {"k": 0}, 422),
            ("sku-red", {"by": "lexical"}, 422),
            ("sku-red", {"filter": "x ="}, 422),
            ("sku-red", {"offset": -1}, 422),
        ],
    )
    def test_what_cannot_be_found(self, client: TestClient, item: str, params: dict[str, Any], status: int) -> None:
        answer = client.get(f"/v1/collections/shop/items/{item}/similar", params=params)
        assert answer.status_code == status
        assert error_of(answer)["hint"]


class TestEmbeddings:
    def test_a_text(self, client: TestClient) -> None:
        answer = client.post("/v1/embeddings", json={"input": "dark red"})
        assert answer.status_code == 200
        value = answer.json()
        expected = ColourEncoder().encode_texts(["dark red"])[0]
        assert value["data"][0]["embedding"] == pytest.approx(expected.tolist(), abs=1e-6)
        assert value | {"data": []} == {
            "object": "list",
            "data": [],
            "model": "colour",
            "usage": {"prompt_tokens": 2, "total_tokens": 2},
        }

    def test_texts_and_pictures_lie_in_one_space_in_the_order_given(self, client: TestClient) -> None:
        url = f"data:image/png;base64,{b64(png('blue'))}"
        inputs = [
            {"image": {"base64": b64(png("red"))}},
            "red",
            {"type": "image_url", "image_url": {"url": url}},
            {"type": "text", "text": "blue"},
        ]
        data = client.post("/v1/embeddings", json={"input": inputs, "model": "colour"}).json()["data"]
        assert [each["index"] for each in data] == [0, 1, 2, 3]
        vectors = np.array([each["embedding"] for each in data])
        assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
        assert np.allclose(vectors[0], vectors[1], atol=1e-3)
        assert np.allclose(vectors[2], vectors[3], atol=1e-3)
        assert not np.allclose(vectors[0], vectors[2], atol=0.1)

    def test_base64_is_the_same_numbers(self, client: TestClient) -> None:
        asked = {"input": ["red", "green"]}
        plain = client.post("/v1/embeddings", json=asked).json()["data"]
        packed = client.post("/v1/embeddings", json={**asked, "encoding_format": "base64"}).json()["data"]
        for one, other in zip(plain, packed, strict=True):
            assert np.allclose(np.frombuffer(base64.b64decode(other["embedding"]), "<f4"), one["embedding"], atol=1e-6)

    def test_a_vector_finds_what_it_was_made_of(self, client: TestClient) -> None:
        vector = client.post("/v1/embeddings", json={"input": "purple"}).json()["data"][0]["embedding"]
        hits = client.post("/v1/collections/shop/search", json={"vector": vector, "k": 1}).json()["hits"]
        assert hits[0]["item_id"] == "sku-purple"

    def test_as_many_as_may_be(self, client: TestClient) -> None:
        names = [list(COLOURS)[i % len(COLOURS)] for i in range(256)]
        data = client.post("/v1/embeddings", json={"input": names}).json()["data"]
        assert np.allclose([each["embedding"] for each in data], ColourEncoder().encode_texts(names), atol=1e-6)

    @pytest.mark.parametrize(
        ("body", "status", "field"),
        [
            ({"input": ["red"] * 257}, 422, "input"),
            ({"input": []}, 422, "input"),
            ({"input": ""}, 422, "input"),
            ({"input": "x" * 40_000}, 422, "input"),
            ({"input": [1, 2, 3]}, 422, "input"),
            ({"input": "red", "model": "nothing"}, 404, "model"),
            ({"input": "red", "dimensions": 3}, 422, "dimensions"),
            ({"input": "red", "encoding_format": "int8"}, 422, "encoding_format"),
            ({"input": [{"image": {"base64": "%%"}}]}, 422, "input.0.image.base64"),
            ({"input": {"type": "image_url", "image_url": {"url": "data:text/html;base64,AAAA"}}}, 422, "input.0"),
            ({"input": {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}}, 422, "input.0"),
            ({"input": {"type": "image_url", "image_url": {"url": "file:///etc/passwd"}}}, 422, "input.0"),
            ({"input": {"type": "image_url", "image_url": {"url": "/etc/passwd"}}}, 422, "input.0"),
        ],
    )
    def test_what_cannot_be_embedded(self, client: TestClient, body: Any, status: int, field: str) -> None:
        answer = client.post("/v1/embeddings", json=body)
        assert answer.status_code == status
        assert error_of(answer)["field"].startswith(field)
        assert error_of(answer)["hint"]
        assert "passwd" not in answer.text or "neither" in answer.text

    def test_a_url_needs_to_be_allowed(self, client: TestClient) -> None:
        body = {"input": {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}}
        assert "--allow-url" in error_of(client.post("/v1/embeddings", json=body))["hint"]

    @pytest.mark.parametrize("data", [b"no picture", b"\x89PNG\r\n\x1a\n", b"GIF89a"])
    def test_bytes_that_are_no_picture(self, client: TestClient, data: bytes) -> None:
        answer = client.post("/v1/embeddings", json={"input": ["red", {"image": {"base64": b64(data)}}]})
        assert (answer.status_code, error_of(answer)["type"]) == (422, "image_error")
        assert "picture 1" in error_of(answer)["message"]

    def test_a_bomb_is_not_unpacked(self, client: TestClient) -> None:
        data = io.BytesIO()
        Image.new("1", (10_000, 10_000)).save(data, "PNG")
        answer = client.post("/v1/embeddings", json={"input": {"image": {"base64": b64(data.getvalue())}}})
        assert answer.status_code == 422
        assert "megapixels" in error_of(answer)["message"]


class TestRerank:
    def test_texts_by_cosine(self, client: TestClient) -> None:
        asked = {"query": "red", "documents": ["blue", "dark red", {"text": "red"}], "return_documents": True}
        answer = client.post("/v1/rerank", json=asked)
        assert answer.status_code == 200
        value = answer.json()
        assert [each["index"] for each in value["results"]] == [2, 1, 0]
        assert [each["document"] for each in value["results"]] == [
            {"text": "red"},
            {"text": "dark red"},
            {"text": "blue"},
        ]
        encoder = ColourEncoder()
        cosines = encoder.encode_texts(["red", "dark red", "blue"]) @ encoder.encode_texts(["red"])[0]
        assert [each["relevance_score"] for each in value["results"]] == pytest.approx(1 / (1 + np.exp(-2 * cosines)))
        assert value["meta"] == {"model": "colour", "reranker": None, "reranked": 0}
        assert len(value["id"]) == 32

    def test_a_part_of_them(self, client: TestClient) -> None:
        results = client.post("/v1/rerank", json={"query": "red", "documents": ["a", "red"], "top_n": 1}).json()[
            "results"
        ]
        assert [each["index"] for each in results] == [1]
        assert "document" not in results[0]

    def test_pictures_and_items_by_the_reranker(self, halved: TestClient) -> None:
        documents = [
            {"image": {"base64": b64(halves("red", "green"))}},
            {"image": {"base64": b64(halves("green", "red"))}},
            {"item_id": "red-green"},
            {"item_id": "green-red", "collection": "shop"},
        ]
        value = halved.post(
            "/v1/rerank", json={"query": QUERY, "documents": documents, "return_documents": True}
        ).json()
        assert {each["index"] for each in value["results"][:2]} == {1, 3}
        scores = [each["relevance_score"] for each in value["results"]]
        assert scores == sorted(scores, reverse=True)
        assert scores[1] > scores[2] + 0.01
        assert all(0 <= score <= 1 for score in scores)
        assert value["meta"] == {"model": "halves", "reranker": "halves", "reranked": 4}
        named = {each["index"]: each["document"] for each in value["results"]}
        assert named[1] == {}
        assert named[3] == {"item_id": "green-red", "collection": "shop"}

    def test_items_of_a_named_collection(self, halved: TestClient) -> None:
        documents = [{"item_id": "blue", "collection": "other"}, {"item_id": "red", "collection": "other"}]
        results = halved.post("/v1/rerank", json={"query": "red", "documents": documents}).json()["results"]
        assert [each["index"] for each in results] == [1, 0]

    @pytest.mark.parametrize(
        ("body", "status", "field"),
        [
            ({"query": "red"}, 422, "documents"),
            ({"query": "red", "documents": []}, 422, "documents"),
            ({"query": "red", "documents": ["a"] * 257}, 422, "documents"),
            ({"query": "", "documents": ["a"]}, 422, "query"),
            ({"query": "red", "documents": ["a"], "top_n": 0}, 422, "top_n"),
            ({"query": "red", "documents": [{"item_id": "nothing"}]}, 404, "item_id"),
            ({"query": "red", "documents": [{"item_id": "red", "collection": "nowhere"}]}, 404, "name"),
            ({"query": "red", "documents": ["a"], "model": "nothing"}, 404, "model"),
            ({"query": "red", "documents": [{"image": {"base64": "?"}}]}, 422, "documents.0.image.base64"),
            (
                {
                    "query": "red",
                    "documents": [{"item_id": "red", "collection": "other"}, {"item_id": "a", "collection": "shop"}],
                },
                422,
                "documents",
            ),
            ({"query": "red", "documents": [{"item_id": "red", "collection": "other"}, {"item_id": "a"}]}, 422, "doc"),
        ],
    )
    def test_what_cannot_be_judged(self, halved: TestClient, body: Any, status: int, field: str) -> None:
        answer = halved.post("/v1/rerank", json=body)
        assert answer.status_code == status, answer.text
        assert error_of(answer)["field"].startswith(field)
        assert error_of(answer)["hint"]

    def test_half_a_letter_is_no_text(self, halved: TestClient) -> None:
        body = json.dumps({"query": "red", "documents": ["\ud800"]}).encode()
        answer = halved.post("/v1/rerank", content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code == 422


def test_without_collections_there_is_no_model(tmp_path: Path) -> None:
    with client_of() as client:
        for path, body in (("embeddings", {"input": "red"}), ("rerank", {"query": "red", "documents": ["a"]})):
            assert client.post(f"/v1/{path}", json=body).status_code == 404


class TestUrls:
    """What a request may have the server fetch; that it goes through the guard has tests of its own."""

    @pytest.fixture
    def fetched(self, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int, float]]:
        """(URL, byte limit, seconds) of each fetch; every picture has 400 bytes."""
        calls: list[tuple[str, int, float]] = []

        class Fetching(Fetcher):
            def image_bytes(self, url: str) -> bytes:
                calls.append((url, self.limit, self.seconds))
                return b"x" * 400

        monkeypatch.setattr("api.http.documents.Fetcher", Fetching)
        return calls

    def given(self, url: str) -> ImageUrlInput:
        return ImageUrlInput(type="image_url", image_url={"url": url})  # type: ignore[arg-type]

    def test_bytes_are_counted_over_all_of_them(self, fetched: list[tuple[str, int, float]]) -> None:
        pictures = Pictures(ServerSettings({}, allow_url=True, upload_limit=800))
        for _ in range(2):
            pictures.bytes_of(self.given("https://example.com/a.png"), "input")
        assert [limit for _, limit, _ in fetched] == [800, 400]
        with pytest.raises(Invalid, match="all that one request may fetch"):
            pictures.bytes_of(self.given("https://example.com/a.png"), "input")

    def test_so_are_seconds(self, fetched: list[tuple[str, int, float]]) -> None:
        times = iter([0.0, 1.0, 15.0, 20.0])
        pictures = Pictures(ServerSettings({}, allow_url=True), clock=lambda: next(times))
        for _ in range(2):
            pictures.bytes_of(self.given("https://example.com/a.png"), "input")
        assert [seconds for _, _, seconds in fetched] == [10, 5]
        with pytest.raises(Invalid, match="all that one request may fetch"):
            pictures.bytes_of(self.given("https://example.com/a.png"), "input")

    def test_only_where_it_is_allowed_and_only_https(self, fetched: list[tuple[str, int, float]]) -> None:
        for allowed, url in ((False, "https://example.com"), (True, "http://example.com"), (True, "file:///a")):
            with pytest.raises(Invalid):
                Pictures(ServerSettings({}, allow_url=allowed)).bytes_of(self.given(url), "input")
        assert fetched == []

    def test_the_guard_stands_before_it(self, tmp_path: Path) -> None:
        with client_of(colour_shop(tmp_path), allow_url=True) as client:
            for host in ("127.0.0.1", "169.254.169.254", "[::1]", "2130706433"):
                body = {"input": {"type": "image_url", "image_url": {"url": f"https://{host}/a.png"}}}
                answer = client.post("/v1/embeddings", json=body)
                assert (answer.status_code, error_of(answer)["type"]) == (422, "url_error")


class TestOtherServicesClients:
    """What OpenAI's and Cohere's own clients send, though it means nothing here, and what goes wrong with them."""

    @pytest.mark.parametrize(
        "more",
        [
            {"user": "u-1", "encoding_format": "base64"},  # what OpenAI's client for Python sends
            {"encoding_format": None, "dimensions": None, "user": None},
            {"input_type": "query", "truncate": "END"},
            {"input": [{"type": "text", "text": "red", "cache_control": {"type": "ephemeral"}}]},
        ],
    )
    def test_embeddings_leave_aside_what_they_do_not_know(self, client: TestClient, more: dict[str, Any]) -> None:
        assert client.post("/v1/embeddings", json={"input": "red", **more}).status_code == 200

    @pytest.mark.parametrize(
        "more",
        [
            {"max_chunks_per_doc": 10, "max_tokens_per_doc": 4_096, "priority": 0},
            {"top_n": None, "return_documents": None, "rank_fields": None},
            {"documents": [{"text": "red", "title": "of no account"}, {"text": "blue"}], "rank_fields": ["text"]},
        ],
    )
    def test_rerank_leaves_aside_what_it_does_not_know(self, client: TestClient, more: dict[str, Any]) -> None:
        answer = client.post("/v1/rerank", json={"query": "red", "documents": ["red", "blue"], **more})
        assert answer.status_code == 200, answer.text
        assert [each["index"] for each in answer.json()["results"]] == [0, 1]

    @pytest.mark.parametrize(
        ("route", "value", "field", "said"),
        [
            ("embeddings", {"input": [1, 2, 3]}, "input", "token ids"),
            ("embeddings", {"input": [[1, 2], [3]]}, "input", "token ids"),
            ("embeddings", {"input": []}, "input", "at least 1 item"),
            ("embeddings", {"input": ["red", ""]}, "input.1", "at least 1 character"),
            ("embeddings", {"input": {"image": {"base64": ""}}}, "input.image.base64", "at least 1 character"),
            ("embeddings", {"input": {"text": "red", "image": {"base64": "AAAA"}}}, "input", "text and image"),
            ("rerank", {"query": "red", "documents": [{"title": "red"}]}, "documents.0.text", "required"),
            ("rerank", {"query": "red", "documents": [{"item_id": 5}]}, "documents.0.item_id", "string"),
            ("rerank", {"query": "red", "documents": ["red"], "rank_fields": ["title"]}, "rank_fields", "text alone"),
        ],
    )
    def test_a_mistake_is_told_by_its_place_and_not_by_our_types(
        self, client: TestClient, route: str, value: dict[str, Any], field: str, said: str
    ) -> None:
        answer = client.post(f"/v1/{route}", json=value)
        assert answer.status_code == 422
        error = error_of(answer)
        assert error["field"] == field
        assert said in error["message"]
        assert error["message"].startswith(f"{field}: ")
