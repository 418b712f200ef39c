"""What a server serves, and that it says so."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from api.http.settings import name_of, named
from retrieval.errors import CollectionError
from tests.http_server import client_of, colour_shop


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
    assert listed[0] == client.get("/v1/collections/shop").json()
    assert {"photos": 9, "texts": 9, "model": "colour", "dimension": 4}.items() <= listed[0].items()


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
