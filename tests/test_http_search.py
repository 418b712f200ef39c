"""Search over HTTP gives what the searcher gives, and no path of the disk."""

import base64
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from PIL import Image

from api.answers import answer_json
from api.http.answers import EXPLAINED
from api.http.models.search import SearchAnswer
from indexer.sources.base import SourceItem
from retrieval.query.json_form import from_json
from retrieval.search import Searcher
from tests.fakes import COLOURS, ColourEncoder
from tests.http_server import client_of, colour_shop
from tests.listed import fill, paint

SEARCH = "/v1/collections/shop/search"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return colour_shop(tmp_path_factory.mktemp("http"))


@pytest.fixture(scope="module")
def client(shop: Path) -> Iterator[TestClient]:
    with client_of(shop) as opened:
        yield opened


def picture(colour: str) -> bytes:
    written = io.BytesIO()
    Image.new("RGB", (30, 20), COLOURS[colour]).save(written, "PNG")
    return written.getvalue()


def ids(answer: Any) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [hit["item_id"] for hit in answer.json()["hits"]]


QUERIES: list[dict[str, Any]] = [
    {"words": "red"},
    {"words": "dark orange", "k": 9, "by": "hybrid"},
    {"parts": [{"words": "red"}, {"item": "sku-blue"}, {"words": "green", "weight": -0.5}], "k": 4, "offset": 1},
    {"image": {"base64": base64.b64encode(picture("cyan")).decode()}, "k": 3},
    {"vector": [0.1, 0.2, 0.3, 0.4], "k": 2},
    {"filter": "price < 50", "sort": ["-price"], "facets": ["brand", "price:0,50"]},
    {"words": "yellow", "by": "text", "min_confidence": 0.0, "diversity": 0.3},
    {"words": "thing", "by": "lexical", "group": "brand", "sort": "price"},
    {"words": "red", "rerank": 5},
]


@pytest.mark.parametrize("query", QUERIES, ids="-".join)
def test_an_answer_is_the_searchers(client: TestClient, shop: Path, query: dict[str, Any]) -> None:
    got = client.post(SEARCH, json=query)
    assert got.status_code == 200, got.text
    with Searcher.open(shop, ColourEncoder()) as searcher:
        wanted = answer_json(searcher.answer(from_json(query)))
    answer = got.json()
    SearchAnswer.model_validate(answer, strict=True)
    for hit in (*answer["hits"], *wanted["hits"]):
        del hit["photo"]
    assert {**answer, "took_ms": 0} == json.loads(json.dumps({**wanted, "took_ms": 0}))


def test_photos_are_addresses_and_no_path_goes_out(client: TestClient, shop: Path) -> None:
    for query in ({"words": "red", "explain": True}, {"words": "red thing", "by": "text"}, {"words": "x", "rerank": 3}):
        answer = client.post(SEARCH, json=query)
        assert str(shop.parent) not in answer.text
    hits = client.post(SEARCH, json={"words": "red"}).json()["hits"]
    assert hits[0]["photo"].startswith("/v1/collections/shop/items/sku-red/photo?photo=")
    by_words = client.post(SEARCH, json={"words": "red", "by": "lexical"}).json()["hits"]
    assert by_words[0]["photo"] == "/v1/collections/shop/items/sku-red/photo"


def test_each_photo_has_its_own_address(tmp_path: Path) -> None:
    photos = tuple(paint(tmp_path / f"{colour}.png", COLOURS[colour]) for colour in ("red", "blue"))
    fill(tmp_path / "shop", [SourceItem("a/b c", "two", photos), SourceItem("bare", "red", ())], ColourEncoder())
    with client_of(tmp_path / "shop") as client:
        red, blue = (client.post(SEARCH, json={"words": colour}).json()["hits"][0] for colour in ("red", "blue"))
        assert red["photo"] != blue["photo"]
        assert red["photo"].startswith("/v1/collections/shop/items/a%2Fb%20c/photo?photo=")
        assert client.post(SEARCH, json={"words": "red", "by": "text"}).json()["hits"][0]["photo"] is None


def test_search_by_address(client: TestClient) -> None:
    assert ids(client.get(SEARCH, params={"q": "blue", "k": 3})) == ids(
        client.post(SEARCH, json={"words": "blue", "k": 3})
    )
    found = client.get(SEARCH, params={"q": "red", "filter": "price > 50", "by": "hybrid", "offset": 1, "k": 2})
    assert [hit["rank"] for hit in found.json()["hits"]] == [2, 3]
    assert all(hit["attributes"]["price"] > 50 for hit in found.json()["hits"])
    assert client.get(SEARCH, params={"q": "red", "rerank": 3}).json()["reranked"]["depth"] == 3
    assert client.get(SEARCH, params={"q": " "}).status_code == 422
    assert len(ids(client.get(SEARCH, params={"filter": "price > 0", "q": ""}))) == 9


@pytest.mark.parametrize(
    ("address", "hint"),
    [
        ("search?q=red&filtre=price<5", "did you mean filter?"),
        ("search?q=red&rerank_deadline=30", "the address takes q, k, by, filter, offset, rerank, explain"),
        ("facets?field=price&filters=price<5", "did you mean filter?"),
        ("items/sku-red/similar?n=3", "the address takes k, by, filter, offset"),
    ],
)
def test_a_parameter_that_is_not_known_is_refused(client: TestClient, address: str, hint: str) -> None:
    answer = client.get(f"/v1/collections/shop/{address}")
    assert answer.status_code == 422
    error = answer.json()["error"]
    assert (error["type"], error["hint"]) == ("invalid", hint)
    assert error["message"] == f"there is no parameter '{error['field']}'"


def test_a_form_field_that_is_not_known_is_refused(client: TestClient) -> None:
    files = {"image": ("x.png", picture("green"), "image/png")}
    answer = client.post(f"{SEARCH}/image", files=files, data={"rerank": "20"})
    assert answer.status_code == 422
    assert answer.json()["error"]["message"] == "there is no parameter 'rerank'"
    assert answer.json()["error"]["hint"] == "the form takes image, words, k, by, filter, query"


def test_search_by_an_uploaded_picture(client: TestClient) -> None:
    files = {"image": ("x.png", picture("green"), "image/png")}
    assert ids(client.post(f"{SEARCH}/image", files=files))[0] == "sku-green"
    both = client.post(f"{SEARCH}/image", files=files, data={"words": "blue", "k": "1"})
    assert ids(both) == ids(
        client.post(
            SEARCH,
            json={
                "parts": [{"words": "blue"}, {"image": {"base64": base64.b64encode(picture("green")).decode()}}],
                "k": 1,
            },
        )
    )
    assert both.json()["query"]["parts"] == [{"words": "blue"}, {"image": "(picture)"}]
    query = {"parts": [{"item": "sku-red", "weight": -1}], "k": 2, "explain": True}
    answer = client.post(f"{SEARCH}/image", files=files, data={"query": json.dumps(query), "filter": "price < 90"})
    assert answer.json()["query"]["parts"][0] == {"item": "sku-red", "weight": -1.0}
    assert answer.json()["query"]["filter"] == "price < 90"
    assert answer.json()["hits"][0]["explanation"]["outcome"]["step"] == "hit"


def test_hits_are_explained_where_asked_for(client: TestClient) -> None:
    plain = client.post(SEARCH, json={"words": "red", "k": 3}).json()["hits"]
    assert all("explanation" not in hit for hit in plain)
    hits = client.post(SEARCH, json={"words": "red", "k": 3, "explain": True}).json()["hits"]
    for hit in hits:
        assert hit["explanation"]["item_id"] == hit["item_id"]
        assert hit["explanation"]["legs"]["image"]["rank"] == hit["rank"]
        assert hit["explanation"]["photo"] == hit["photo"]


def test_only_the_first_hits_are_explained(tmp_path: Path) -> None:
    items = [SourceItem(f"i{n}", f"red {n}", ()) for n in range(EXPLAINED + 3)]
    fill(tmp_path / "shop", items, ColourEncoder())
    with client_of(tmp_path / "shop") as client:
        answer = client.post(SEARCH, json={"words": "red", "by": "text", "k": EXPLAINED + 3, "explain": True})
    assert ["explanation" in hit for hit in answer.json()["hits"]] == [True] * EXPLAINED + [False] * 3


@pytest.mark.parametrize(
    ("query", "field", "says"),
    [
        ({"words": "red", "k": 0}, "k", "k is 0; it must be between 1 and 10,000"),
        ({"words": "red", "k": "5"}, "k", "k: input should be a valid integer"),
        ({"parts": [{"words": "red"}, {}]}, None, "a part of the query has nothing"),
        ({"image": {"base64": "?"}}, "image", "query.image is not base64"),
        ({"image": "/etc/passwd"}, "image", "image: "),
        ({"words": "red", "colour": 1}, "colour", "colour: extra inputs"),
        ({"words": "red", "filter": "price <"}, None, ""),
        ({"words": "red", "by": "smell"}, "by", "by: "),
        ({"item": "nothing-like-it"}, None, "there is no item 'nothing-like-it' in shop"),
        ({"words": "\ud800"}, "words", "query.words is not valid Unicode"),
        ({}, None, "nothing to search for"),
        ([], None, "the body: "),
    ],
)
def test_bad_queries(client: TestClient, query: Any, field: str | None, says: str) -> None:
    answer = client.post(SEARCH, content=json.dumps(query), headers={"Content-Type": "application/json"})
    assert answer.status_code == 422, answer.text
    error = answer.json()["error"]
    assert error["field"] == field
    assert error["message"].startswith(says)
    assert error["hint"]


@pytest.mark.parametrize("data", [b"", b"no picture", b"\x89PNG\r\n\x1a\n broken"])
def test_bad_pictures(client: TestClient, data: bytes) -> None:
    answer = client.post(f"{SEARCH}/image", files={"image": ("x.png", data, "image/png")})
    assert (answer.status_code, answer.json()["error"]["type"]) == (422, "image_error")
    assert answer.json()["error"]["hint"] == "send the bytes of a JPEG, PNG, WebP or HEIC file"


@pytest.mark.parametrize("way", [{"rerank_deadline": 5}, {"rerank_when": "uncertain"}])
def test_a_way_to_rerank_where_nothing_is_reranked(client: TestClient, way: dict[str, Any]) -> None:
    answer = client.post(SEARCH, json={"words": "red", **way})
    assert (answer.status_code, answer.json()["error"]["field"]) == (422, *way)
    assert client.post(SEARCH, json={"words": "red", "rerank": 5, **way}).status_code == 200
    assert client.post(SEARCH, json={"words": "red", "rerank_when": "always"}).status_code == 200


def test_ready_names_models_and_revisions(client: TestClient) -> None:
    answer = client.get("/ready")
    assert answer.status_code == 200
    [one] = answer.json()["collections"]
    assert one == {
        "name": "shop",
        "model": "colour",
        "revision": client.post(SEARCH, json=QUERIES[0]).json()["revision"],
    }
