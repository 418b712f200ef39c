"""Photos by id: small pictures of our own, conditional requests, and nothing of the disk."""

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from PIL import Image

from api.http.links import photo_url
from indexer.sources.base import SourceItem
from tests.fakes import ColourEncoder
from tests.http_server import client_of
from tests.listed import fill

AWKWARD = "shoes/red & blue #1?.jpg"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Items with two photos, with an id that needs quoting, without photos, and with photos that go or change."""
    folder = tmp_path_factory.mktemp("http")

    def photo(name: str, colour: str, size: tuple[int, int] = (800, 400)) -> Path:
        Image.new("RGB", size, colour).save(folder / name)
        return folder / name

    items = [
        SourceItem("two", "Two", (photo("red.png", "red"), photo("blue.jpg", "blue", (200, 300)))),
        SourceItem(AWKWARD, "Awkward", (photo("green.png", "green"),)),
        SourceItem("bare", "No photo", ()),
        SourceItem("gone", "Gone", (photo("gone.png", "white"),)),
        SourceItem("changed", "Changed", (photo("changed.png", "black"),)),
    ]
    fill(folder / "shop", items, ColourEncoder())
    (folder / "gone.png").unlink()
    (folder / "changed.png").write_bytes(b"something else")
    return folder


@pytest.fixture(scope="module")
def client(folder: Path) -> Iterator[TestClient]:
    with client_of(folder / "shop") as opened:
        yield opened


URL = "/v1/collections/shop/items/two/photo"


def opened(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content))


def colour(content: bytes) -> tuple[int, ...]:
    return tuple(round(value / 64) for value in opened(content).convert("RGB").getpixel((5, 5)))  # type: ignore[union-attr]


class TestPictures:
    def test_the_first_photo_unless_another_is_named(self, client: TestClient) -> None:
        assert colour(client.get(URL).content) == (4, 0, 0)
        assert colour(client.get(URL, params={"photo": 1}).content) == (4, 0, 0)
        assert colour(client.get(URL, params={"photo": 2}).content) == (0, 0, 4)

    def test_another_items_photo_is_not_this_ones(self, client: TestClient) -> None:
        answer = client.get(URL, params={"photo": 3})
        assert answer.status_code == 404
        assert answer.json()["error"]["field"] == "photo"

    @pytest.mark.parametrize(("size", "shown"), [(1, (160, 80)), (300, (320, 160)), (5000, (800, 400))])
    def test_sizes_are_steps_and_never_larger_than_the_photo(
        self, client: TestClient, size: int, shown: tuple[int, int]
    ) -> None:
        assert opened(client.get(URL, params={"size": size}).content).size == shown

    def test_the_format_is_what_is_accepted(self, client: TestClient) -> None:
        for accept, kind in (("image/webp,*/*", "webp"), ("*/*", "jpeg")):
            answer = client.get(URL, headers={"Accept": accept})
            assert answer.headers["content-type"] == f"image/{kind}"
            assert answer.headers["vary"] == "Accept"
            assert opened(answer.content).format == kind.upper()

    @pytest.mark.parametrize("quoted", [photo_url("shop", AWKWARD), photo_url("shop", AWKWARD).replace("%2F", "/")])
    def test_ids_of_any_letters(self, client: TestClient, quoted: str) -> None:
        answer = client.get(quoted)
        assert answer.status_code == 200
        assert colour(answer.content) == (0, 2, 0)

    def test_it_is_never_the_files_own_bytes(self, client: TestClient, folder: Path) -> None:
        assert client.get(URL, params={"photo": 2, "size": 1280}).content != (folder / "blue.jpg").read_bytes()


class TestCaching:
    def test_a_copy_that_is_right_is_not_sent_again(self, client: TestClient) -> None:
        first = client.get(URL)
        again = client.get(URL, headers={"If-None-Match": first.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == first.headers["etag"]
        assert again.headers["cache-control"] == first.headers["cache-control"]

    def test_another_size_photo_or_format_is_another_copy(self, client: TestClient) -> None:
        tag = client.get(URL).headers["etag"]
        for params, accept in (({"size": 640}, "*/*"), ({"photo": 2}, "*/*"), ({}, "image/webp")):
            answer = client.get(URL, params=params, headers={"If-None-Match": tag, "Accept": accept})
            assert answer.status_code == 200
            assert answer.headers["etag"] != tag

    def test_the_first_photo_is_asked_for_each_time_and_a_named_one_kept(self, client: TestClient) -> None:
        assert client.get(URL).headers["cache-control"] == "private, no-cache"
        assert client.get(URL, params={"photo": 1}).headers["cache-control"] == "private, max-age=3600"

    def test_head(self, client: TestClient) -> None:
        shown, head = client.get(URL), client.head(URL)
        assert (head.status_code, head.content) == (200, b"")
        for name in ("etag", "content-type", "content-length", "cache-control"):
            assert head.headers[name] == shown.headers[name]
        assert client.head(URL, headers={"If-None-Match": shown.headers["etag"]}).status_code == 304

    @pytest.mark.parametrize("ranges", ["bytes=0-9", "bytes=" + ",".join(f"{i}-{i}" for i in range(10_000)), "x", ""])
    def test_ranges_are_not_served(self, client: TestClient, ranges: str) -> None:
        answer = client.get(URL, headers={"Range": ranges})
        assert answer.status_code == 200
        assert answer.content == client.get(URL).content


class TestMissing:
    @pytest.mark.parametrize(
        ("item", "said"),
        [("nothing", "no item"), ("bare", "no photo"), ("gone", "no such file"), ("changed", "changed")],
    )
    def test_what_is_not_there(self, client: TestClient, folder: Path, item: str, said: str) -> None:
        answer = client.get(f"/v1/collections/shop/items/{item}/photo")
        assert answer.status_code == 404
        error = answer.json()["error"]
        assert (error["type"], said in error["message"]) == ("not_found", True)
        assert error["hint"]
        assert str(folder) not in answer.text

    def test_who_reads_of_a_photo_that_is_gone_is_told_what_to_run(self, client: TestClient) -> None:
        answer = client.get("/v1/collections/shop/items/gone/photo")
        assert "catalens index" in answer.json()["error"]["hint"]

    @pytest.mark.parametrize(
        "item",
        [
            "..%2f..%2fred.png",
            "../red.png",
            "%2e%2e/%2e%2e/etc/passwd",
            "%2fetc%2fpasswd",
            "/etc/passwd",
            "red.png",
            "two%00",
            "%00",
            "%ff",
            "C:%5cred.png",
            "x" * 3000,
        ],
    )
    def test_an_id_is_no_path(self, client: TestClient, item: str) -> None:
        answer = client.get(f"/v1/collections/shop/items/{item}/photo")
        assert answer.status_code == 404
        assert answer.json()["error"]["type"] == "not_found"

    @pytest.mark.parametrize("params", [{"size": 0}, {"size": "big"}, {"size": 10**30}, {"photo": 0}, {"photo": "a"}])
    def test_what_is_no_size_or_photo(self, client: TestClient, params: dict[str, str]) -> None:
        answer = client.get(URL, params=params)
        assert answer.status_code == 422
        assert answer.json()["error"]["field"] in params

    def test_a_photo_of_any_number(self, client: TestClient) -> None:
        assert client.get(URL, params={"photo": 10**30}).status_code == 404
