"""Facets, explanations and heat maps over HTTP: what the library says, without a path of the server's disk."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from indexer.rules import apply_rules
from indexer.sources.base import SourceItem
from retrieval.explain.drawing import MAX_SIDE, OVERLAY_SIDE
from retrieval.explain.why import explain
from retrieval.query import Query
from retrieval.search import Searcher
from tests.explained import GridColourEncoder, thing
from tests.fakes import COLOURS
from tests.http_server import client_of
from tests.listed import fill, paint

V1 = "/v1/collections/shop"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A photo of each colour, an item with two photos, of which the second shows something red, and one without."""
    folder = tmp_path_factory.mktemp("http")
    items = [
        SourceItem(
            f"sku-{name}",
            f"{name} thing",
            (paint(folder / f"{name}.png", colour),),
            attributes={"price": 10 * number, "brand": "odd" if number % 2 else "even", "tags": ["a", name]},
        )
        for number, (name, colour) in enumerate(COLOURS.items())
    ]
    thing("red", (0.1, 0.6, 0.3, 0.9), (1600, 800)).save(folder / "with-red.png")
    items.append(SourceItem("a/two", "two", (paint(folder / "cyan-2.png", (0, 200, 200)), folder / "with-red.png")))
    items.append(SourceItem("words", "red words", (), attributes={"price": 1}))
    fill(folder / "shop", items, GridColourEncoder())
    return folder


@pytest.fixture(scope="module")
def client(folder: Path) -> Iterator[TestClient]:
    with client_of(folder / "shop", encoder=GridColourEncoder()) as opened:
        yield opened


def error_of(answer: Any) -> dict[str, Any]:
    error: dict[str, Any] = answer.json()["error"]
    return error


class TestFacets:
    def test_values_and_ranges_over_all_items(self, client: TestClient) -> None:
        answer = client.get(f"{V1}/facets", params={"field": ["brand", "price:0,25,50"]})
        assert answer.status_code == 200
        brand, price = answer.json()["facets"]
        assert brand["values"][0] == {"value": "even", "count": 5, "filter": 'brand = "even"'}
        assert "ranges" not in brand
        assert [each["count"] for each in price["ranges"]] == [4, 2, 4]
        assert "values" not in price
        assert answer.json()["matched"] == 11

    def test_over_what_passes_a_filter(self, client: TestClient) -> None:
        answer = client.get(f"{V1}/facets", params={"field": "brand", "filter": "price < 25"}).json()
        assert {each["value"]: each["count"] for each in answer["facets"][0]["values"]} == {"even": 2, "odd": 1}
        assert answer["matched"] == 4

    def test_what_rules_hide_does_not_count(self, folder: Path, tmp_path: Path) -> None:
        items = [SourceItem(f"sku-{name}", name, (), attributes={"brand": "x"}) for name in ("red", "blue")]
        fill(tmp_path / "shop", items, GridColourEncoder())
        with client_of(tmp_path / "shop", encoder=GridColourEncoder()) as client:
            assert client.get(f"{V1}/facets", params={"field": "brand"}).json()["matched"] == 2
            apply_rules(tmp_path / "shop", b"version: 1\nhides: [{items: sku-red}]", name="rules.yaml")
            answer = client.get(f"{V1}/facets", params={"field": "brand"}).json()
        assert (answer["matched"], answer["facets"][0]["values"][0]["count"]) == (1, 1)

    @pytest.mark.parametrize(
        ("params", "status"),
        [
            ({}, 422),
            ({"field": "colour"}, 422),
            ({"field": "brand:0,1"}, 422),
            ({"field": "price:5,1"}, 422),
            ({"field": "brand", "filter": "price <"}, 422),
            ({"field": "brand", "filter": "colour = 1"}, 422),
            ({"field": ["brand"] * 33}, 422),
            ({"field": ""}, 422),
            ({"field": "brand", "filter": "(" * 5000}, 422),
        ],
    )
    def test_what_cannot_be_counted(self, client: TestClient, params: dict[str, Any], status: int) -> None:
        answer = client.get(f"{V1}/facets", params=params)
        assert answer.status_code == status
        assert error_of(answer)["hint"]


class TestExplain:
    def test_a_hit_and_one_that_fell_out(self, client: TestClient, folder: Path) -> None:
        with Searcher.open(folder / "shop", GridColourEncoder()) as searcher:
            for item_id, query in (
                ("sku-red", {"words": "red", "k": 3}),
                ("sku-blue", {"words": "red", "k": 3}),
                ("sku-cyan", {"words": "red", "filter": "price < 10", "by": "hybrid"}),
                ("words", {"words": "red", "by": "text", "k": 1, "facets": ["brand"]}),
            ):
                answer = client.post(f"{V1}/explain", json={"query": query, "item_id": item_id})
                assert answer.status_code == 200, answer.text
                words = query.pop("words")
                expected = explain(searcher, Query.of(words, **query), item_id).to_json()  # type: ignore[arg-type]
                assert answer.json() | {"photo": None} == expected | {"photo": None}

    def test_the_photo_is_an_address_that_shows_it(self, client: TestClient, folder: Path) -> None:
        answer = client.post(f"{V1}/explain", json={"query": {"words": "red"}, "item_id": "a/two"})
        assert str(folder) not in answer.text
        photo = answer.json()["photo"]
        assert photo.startswith(f"{V1}/items/a%2Ftwo/photo?photo=")
        with Image.open(io.BytesIO(client.get(photo).content)) as shown:
            assert shown.size == (320, 160)  # that with the red thing, the second

    def test_an_item_without_a_photo_has_no_address(self, client: TestClient) -> None:
        answer = client.post(f"{V1}/explain", json={"query": {"words": "red", "by": "text"}, "item_id": "words"})
        assert answer.json()["photo"] is None

    @pytest.mark.parametrize(
        ("body", "status", "kind"),
        [
            ({"query": {"words": "red"}, "item_id": "nothing"}, 404, "not_found"),
            ({"query": {"words": "red"}}, 422, "invalid"),
            ({"query": {"word": "red"}, "item_id": "words"}, 422, "invalid"),
            ({"query": {}, "item_id": "words"}, 422, "query_error"),
            ({"query": {"image": "/etc/passwd"}, "item_id": "words"}, 422, "invalid"),
            ({"query": {"image": {"base64": "AAAA"}}, "item_id": "words"}, 422, "image_error"),
            ({"query": {"words": "red", "filter": "colour = 1"}, "item_id": "words"}, 422, "filter_error"),
            ({"query": {"item": "nothing"}, "item_id": "words"}, 422, "query_error"),
            ([], 422, "invalid"),
        ],
    )
    def test_what_cannot_be_explained(
        self, client: TestClient, folder: Path, body: Any, status: int, kind: str
    ) -> None:
        answer = client.post(f"{V1}/explain", json=body)
        assert (answer.status_code, error_of(answer)["type"]) == (status, kind)
        assert str(folder) not in answer.text


class TestHeatMap:
    def test_words_over_the_photo_that_fits_best(self, client: TestClient) -> None:
        answer = client.get(f"{V1}/items/a%2Ftwo/heatmap", params={"q": "red"})
        assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png")
        with Image.open(io.BytesIO(answer.content)) as drawn:
            assert (drawn.format, drawn.mode, drawn.width) == ("PNG", "RGB", MAX_SIDE)
            assert drawn.height > MAX_SIDE // 2  # the caption is below
            assert drawn.text["Description"].startswith("red: score")  # type: ignore[attr-defined]

    def test_the_map_alone_lies_on_the_thing(self, client: TestClient) -> None:
        answer = client.get(f"{V1}/items/a/two/heatmap", params={"q": "red", "overlay": True})
        with Image.open(io.BytesIO(answer.content)) as drawn:
            assert (drawn.mode, drawn.size) == ("RGBA", (OVERLAY_SIDE, OVERLAY_SIDE // 2))
            opacity = np.asarray(drawn)[..., 3].astype(float)
        y, x = np.unravel_index(opacity.argmax(), opacity.shape)
        assert 0.1 <= x / OVERLAY_SIDE <= 0.3
        assert 0.6 <= y / (OVERLAY_SIDE // 2) <= 0.9
        assert (opacity == 0).mean() > 0.5

    def test_a_named_photo(self, client: TestClient) -> None:
        answer = client.get(f"{V1}/items/sku-red/heatmap", params={"q": "red", "photo": 1, "overlay": True})
        assert answer.status_code == 200
        other = client.get(f"{V1}/items/sku-red/heatmap", params={"q": "red", "photo": 2})
        assert (other.status_code, error_of(other)["field"]) == (404, "photo")

    def test_a_query_of_parts(self, client: TestClient) -> None:
        query = {"parts": [{"words": "red"}, {"item": "sku-blue", "weight": -0.5}]}
        answer = client.post(f"{V1}/items/a%2Ftwo/heatmap", json=query)
        with Image.open(io.BytesIO(answer.content)) as drawn:
            assert drawn.text["Description"].startswith("red + -0.5 × item sku-blue")  # type: ignore[attr-defined]

    @pytest.mark.parametrize(
        ("item", "query", "status"),
        [
            ("nothing", {"words": "red"}, 404),
            ("words", {"words": "red"}, 404),
            ("sku-red", {"filter": "price < 5"}, 422),
            ("sku-red", {}, 422),
            ("sku-red", {"words": "red", "x": 1}, 422),
            ("sku-red", {"image": {"base64": "?"}}, 422),
        ],
    )
    def test_what_cannot_be_drawn(self, client: TestClient, item: str, query: dict[str, Any], status: int) -> None:
        answer = client.post(f"{V1}/items/{item}/heatmap", json=query)
        assert answer.status_code == status
        assert error_of(answer)["hint"]

    def test_words_that_are_none(self, client: TestClient) -> None:
        for q in ("", "   "):
            assert client.get(f"{V1}/items/sku-red/heatmap", params={"q": q}).status_code == 422

    def test_a_photo_that_is_gone(self, tmp_path: Path) -> None:
        photo = paint(tmp_path / "red.png", COLOURS["red"])
        fill(tmp_path / "shop", [SourceItem("red", "red", (photo,))], GridColourEncoder())
        photo.unlink()
        with client_of(tmp_path / "shop", encoder=GridColourEncoder()) as client:
            answer = client.get(f"{V1}/items/red/heatmap", params={"q": "red"})
        assert answer.status_code == 404
        assert "catalens index" in error_of(answer)["hint"]
        assert str(tmp_path) not in answer.text
