"""Labels over HTTP."""

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.http_server import client_of, colour_shop

TAGS = "/v1/collections/shop/tags"


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """One for all: a test that keeps labels takes them away again."""
    with client_of(colour_shop(tmp_path_factory.mktemp("tags"))) as opened:
        yield opened


def test_labels_are_found_and_not_kept(client: TestClient) -> None:
    asked = {"labels": ["red", "  blue ", "red"], "min_confidence": 0, "top": 1, "limit": 4}
    found = client.post(TAGS, json=asked).json()
    assert (found["labels"], found["stored"], found["field"]) == (["red", "blue"], False, "tags")
    assert (len(found["items"]), found["with_labels"], found["without"]) == (4, 7, 2)
    best = {one["item_id"]: one["tags"][0]["label"] for one in found["items"]}
    assert best["sku-red"] == "red"
    assert client.get("/v1/collections/shop/items/sku-red").json()["tags"] == {}


def test_kept_labels_are_filtered_by_and_go_again(client: TestClient) -> None:
    asked = {"labels": ["red", "blue"], "field": "look", "min_confidence": 0, "top": 1, "store": True}
    assert client.post(TAGS, json=asked).json()["stored"] is True
    hits = client.get("/v1/collections/shop/search", params={"q": "red", "filter": 'look = "red"'}).json()["hits"]
    assert "sku-red" in {hit["item_id"] for hit in hits}
    item = client.get("/v1/collections/shop/items/sku-red").json()
    assert item["tags"] == {"look": ["red"]}
    assert "look" not in item["attributes"]  # so that an item that is read and put back does not take the field over
    assert client.delete(f"{TAGS}/look").json() == {"field": "look", "removed_from": 7}
    assert client.delete(f"{TAGS}/look").status_code == 422


@pytest.mark.parametrize(
    "change",
    [
        {"labels": []},
        {"labels": [" "]},
        {"labels": ["x" * 201]},
        {"labels": ["x"] * 501},
        {"field": "Not a field"},
        {"field": "title"},
        {"min_confidence": 1.1},
        {"top": 0},
        {"store": "yes"},
        {"more": 1},
    ],
)
def test_what_cannot_be_asked(client: TestClient, change: dict[str, Any]) -> None:
    answer = client.post(TAGS, json={"labels": ["red"], **change})
    assert answer.status_code == 422
    assert answer.json()["error"]["type"] in {"invalid", "query_error"}
