"""What a server serves, and that it says so."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from api.http.settings import name_of, named
from retrieval.errors import CollectionError
from tests.fakes import ColourEncoder
from tests.http_server import client_of, colour_shop
from tests.listed import fill


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    folder = tmp_path_factory.mktemp("http")
    with client_of(colour_shop(folder / "one"), colour_shop(folder / "two", "other")) as opened:
        yield opened


def test_health(client: TestClient) -> None:
    answer = client.get("/health")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


def test_collections_are_listed(client: TestClient) -> None:
    listed = client.get("/v1/collections").json()["collections"]
    assert [one["name"] for one in listed] == ["shop", "other"]
    assert [one["items"] for one in listed] == [9, 9]
    assert listed[0].items() < client.get("/v1/collections/shop").json().items()
    assert {"photos": 9, "texts": 9, "model": "colour", "dimension": 4}.items() <= listed[0].items()


def test_a_collection_tells_its_fields(client: TestClient) -> None:
    fields = client.get("/v1/collections/shop").json()["fields"]
    types = {field["name"]: field["type"] for field in fields}
    assert {"price": "number", "brand": "text", "item_id": "text", "title": "text"}.items() <= types.items()
    for name in types:  # each of them may be named in a filter
        asked = client.get("/v1/collections/shop/facets", params={"field": name, "filter": f"{name} is not null"})
        assert (asked.status_code, asked.json()["matched"]) == (200, 9)


def test_an_empty_collection_has_no_fields(tmp_path: Path) -> None:
    fill(tmp_path / "nothing", [], ColourEncoder())
    with client_of(tmp_path / "nothing") as client:
        assert client.get("/v1/collections/nothing").json()["fields"] == []
        query = {"filter": "item_id is not null"}
        assert client.post("/v1/collections/nothing/search", json=query).json()["hits"] == []


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("/data/shop", "shop"),
        ("/data/Summer Shoes 2026", "summer-shoes-2026"),
        ("/data/shop/.catalens", "shop"),
        ("/data/.hidden", "hidden"),
        ("/data/Möbel", "mobel"),
        ("/data/鞋", "collection"),
        ("/.catalens", "collection"),
    ],
)
def test_the_name_of_a_collection(folder: str, name: str) -> None:
    assert name_of(Path(folder)) == name


def test_two_of_one_name_need_a_name(tmp_path: Path) -> None:
    one, two = tmp_path / "a" / "shop", tmp_path / "b" / "Shop"
    with pytest.raises(CollectionError, match="two collections have the name 'shop'") as caught:
        named([one, two])
    assert "--collection other-name=" in caught.value.hint
    assert named([one, Path(f"second={two}")]) == {"shop": one, "second": two}
    assert named([one, one]) == {"shop": one}
