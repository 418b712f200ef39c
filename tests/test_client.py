"""The Python client against a real server in a process of its own, and examples in three languages."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
from PIL import Image

from api.client import Client, ClientError
from api.http.keys import new_key
from tests.fakes import COLOURS, ColourEncoder
from tests.http_server import colour_shop
from tests.test_docs import blocks
from tests.test_put_items import picture
from tests.test_serve import served


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("client")
    with served(folder / "mark", "--collection", colour_shop(folder)) as (_, address):
        yield address


@pytest.fixture
def shop(address: str) -> Client:
    return Client(address, "shop")


def ids(answer: dict[str, Any]) -> list[str]:
    return [hit["item_id"] for hit in answer["hits"]]


def test_collections_and_the_first_of_them(address: str) -> None:
    [one] = Client(address).collections()
    assert (one["name"], one["model"]) == ("shop", "colour")
    assert ids(Client(address + "/").search("red", k=1)) == ["sku-red"]


def test_search_by_words_pictures_and_all_fields_of_a_query(shop: Client, tmp_path: Path) -> None:
    file = tmp_path / "blue.png"
    file.write_bytes(picture("blue"))
    assert ids(shop.search("red", k=1)) == ["sku-red"]
    assert [ids(shop.search(image=given, k=1)) for given in (file, str(file), picture("blue"))] == [["sku-blue"]] * 3
    assert ids(shop.search("red", image=file, k=1)) == ["sku-purple"]
    assert ids(shop.search("red", k=1, filter='brand = "A"', by="text", offset=1)) != ["sku-red"]
    assert ids(shop.search(parts=[{"item": "sku-red"}, {"words": "blue", "weight": 0.9}], k=1)) == ["sku-purple"]
    assert shop.search("red", facets=["brand"])["facets"][0]["field"] == "brand"
    assert "sku-red" not in ids(shop.similar("sku-red", k=3, filter="price < 500"))


def test_an_item_with_a_slash_is_put_read_found_and_deleted(shop: Client) -> None:
    put = shop.put(
        "sofas/1 é",
        title="Velvet",
        texts={"description": "for three"},
        attributes={"price": 1.5, "colour": ["red"], "new": True, "old": None},
        photos=[picture("red", 3)],
    )
    assert put["outcome"] == "added"
    assert ids(shop.search("velvet three", by="lexical")) == ["sofas/1 é"]
    item = shop.get("sofas/1 é")
    assert (item["title"], item["attributes"]["colour"], len(item["photos"])) == ("Velvet", ["red"], 1)
    assert shop.delete("sofas/1 é")["deleted"]
    with pytest.raises(ClientError) as caught:
        shop.get("sofas/1 é")
    assert (caught.value.status, caught.value.type) == (404, "not_found")


def test_a_batch(shop: Client, tmp_path: Path) -> None:
    file = tmp_path / "a.png"
    file.write_bytes(picture("green", 5))
    done = shop.put_many(
        [{"item_id": "b1", "title": "Oak", "photos": [file]}, {"item_id": "b2", "title": "x", "photos": [b"no"]}]
    )
    assert [one["outcome"] for one in done] == ["added", "failed"]
    assert done[1]["problems"]
    shop.delete("b1")


def test_embeddings_and_reranking(shop: Client, tmp_path: Path) -> None:
    file = tmp_path / "a.png"
    file.write_bytes(picture("red"))
    vectors = np.array(shop.embeddings(["red", file, picture("blue")]))
    np.testing.assert_allclose(vectors[0], ColourEncoder().encode_texts(["red"])[0], atol=1e-6)
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2]
    ranked = shop.rerank("red", ["blue", "red", "green"], top_n=2)
    assert (ranked[0]["index"], len(ranked)) == (1, 2)
    assert shop.rerank("red", [picture("blue"), {"item_id": "sku-red"}, file])[0]["index"] in (1, 2)


def test_what_the_server_refuses(shop: Client) -> None:
    with pytest.raises(ClientError) as caught:
        shop.search("red", k=0)
    error = caught.value
    assert (error.status, error.type, error.retry_after) == (422, "query_error", None)
    assert error.message in str(error)
    assert error.hint
    assert error.hint in str(error)
    with pytest.raises(ClientError, match="photo 1: not a picture"):
        shop.put("x", title="x", photos=[b"nothing"])
    with pytest.raises(ClientError, match="there is no collection"):
        Client(shop.address, "none").search("red")


@pytest.mark.parametrize("key", ["", " ", "one\ntwo", "a\x00b", "\ud800"])
def test_what_cannot_be_a_key_is_said_without_telling_it(key: str) -> None:
    with pytest.raises(ValueError, match="the API key is empty or more than one line") as raised:
        Client(api_key=key)
    assert not key.strip() or key not in str(raised.value)


def test_a_server_without_collections_is_an_error() -> None:
    class Empty(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'{"collections": []}')

        def log_message(self, *_: Any) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Empty) as server:
        thread = Thread(target=server.handle_request)
        thread.start()
        with pytest.raises(ClientError, match="the server has no collection"):
            Client(f"http://127.0.0.1:{server.server_port}").search("red")
        thread.join()


def test_a_key(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    key, entry = new_key("read", "test")
    keys.write_text(f"{entry.line}\n")
    collection = colour_shop(tmp_path)
    with served(tmp_path / "mark", "--collection", collection, "--api-key-file", keys) as (_, address):
        for wrong in (None, "nonsense", "ключ"):
            with pytest.raises(ClientError) as caught:
                Client(address, "shop", api_key=wrong).search("red")
            assert (caught.value.status, caught.value.type) == (401, "unauthorized")
        reader = Client(address, "shop", api_key=f"{key}\n")  # as it is read from a file
        assert ids(reader.search("red", k=1)) == ["sku-red"]
        with pytest.raises(ClientError) as caught:
            reader.delete("sku-red")
        assert (caught.value.status, caught.value.type) == (403, "forbidden")


def test_no_server_and_no_address() -> None:
    with pytest.raises(ClientError, match=r"is catalens serve running there\?") as caught:
        Client("http://127.0.0.1:9", "shop").search("red")
    assert (caught.value.status, caught.value.type) == (0, "unreachable")
    for address in ("file:///etc/passwd", "127.0.0.1:8000", ""):
        with pytest.raises(ValueError, match="is no address"):
            Client(address)


class Odd(BaseHTTPRequestHandler):
    """Answers that are none of ours, by path; keeps the headers that it was sent."""

    seen: list[str]

    def do_GET(self) -> None:
        type(self).seen.append(self.path)
        status, headers, body = {
            "/moved": (302, {"Location": "/elsewhere"}, b""),
            "/proxy": (502, {"Retry-After": "7"}, b"<html>bad gateway"),
            "/half": (503, {}, b'{"error": {"type": "x"}}'),
            "/html": (200, {}, b"<html>"),
            "/list": (200, {}, b"[1]"),
        }[self.path.removesuffix("/v1/collections")]
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *_: Any) -> None:
        pass


def test_answers_of_something_else_are_errors_and_no_redirect_gets_the_key() -> None:
    Odd.seen = []
    with HTTPServer(("127.0.0.1", 0), Odd) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            found = {}
            for path in ("/moved", "/proxy", "/half", "/html", "/list"):
                with pytest.raises(ClientError) as caught:
                    Client(f"http://127.0.0.1:{server.server_port}{path}", api_key="secret").collections()
                found[path] = (caught.value.status, caught.value.type, caught.value.retry_after)
        finally:
            server.shutdown()
            thread.join()
    assert found == {
        "/moved": (302, "http_error", None),
        "/proxy": (502, "http_error", 7.0),
        "/half": (503, "http_error", None),
        "/html": (0, "unreachable", None),
        "/list": (0, "unreachable", None),
    }
    assert "/elsewhere" not in Odd.seen


def test_it_needs_the_standard_library_alone() -> None:
    program = "import sys; import api.client; print(*sorted({n.partition('.')[0] for n in sys.modules}))"
    done = subprocess.run([sys.executable, "-S", "-c", program], capture_output=True, text=True, check=True)
    others = set(done.stdout.split()) - set(sys.stdlib_module_names) - {"api", "__main__", "sitecustomize"}
    assert {name for name in others if not name.startswith("_")} == set()


def example(language: str, address: str) -> str:
    """The README's example in a language, with the server's address in place of the usual one."""
    [text] = [block for block in blocks(language) if "http://127.0.0.1:8000" in block]
    return text.replace("http://127.0.0.1:8000", address)


@pytest.fixture
def sofa(tmp_path: Path, shop: Client) -> Iterator[Path]:
    Image.new("RGB", (40, 30), COLOURS["red"]).save(tmp_path / "sofa.jpg")
    yield tmp_path
    shop.delete("sku-1")


def test_the_python_example(sofa: Path, address: str) -> None:
    root = Path(__file__).parent.parent
    program = f"import sys; sys.path.insert(0, {str(root)!r})\n{example('python', address)}print(more[0]['item_id'])"
    done = subprocess.run([sys.executable, "-c", program], cwd=sofa, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert any(line.startswith(("1 sku-1 Red sofa", "2 sku-1 Red sofa")) for line in lines)
    assert lines[-2].startswith("422 item_refused photo 1: not a picture")
    assert lines[-1] == "sku-purple"


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl on this machine")
def test_the_curl_example(sofa: Path, address: str) -> None:
    script = example("bash", address).replace("curl -s", "curl -sS -f -w '\\n'")
    done = subprocess.run(["bash", "-e", "-c", script], cwd=sofa, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    put, words, pictures = map(json.loads, done.stdout.splitlines())
    assert put["outcome"] == "added"
    assert "sku-1" in ids(words)
    assert ids(pictures)[0] == "sku-purple"


@pytest.mark.skipif(shutil.which("chromium") is None, reason="no chromium on this machine")
def test_the_javascript_example(sofa: Path, address: str) -> None:
    from playwright.sync_api import sync_playwright

    printed: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page()
        page.on("console", lambda message: message.type == "log" and printed.append(message.text))
        page.goto(f"{address}/health")  # of the same origin as what the example asks
        page.evaluate(f"async () => {{\n{example('javascript', address)}\n}}")
        browser.close()
    assert printed[0] == "added"
    assert len(printed) == 4
    assert any(line.endswith(" sku-1 Red sofa") for line in printed[1:])
