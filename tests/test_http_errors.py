"""Errors have one shape and the right status."""

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

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
