"""The reference at /docs draws the whole of /openapi.json, with nothing from elsewhere."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from api.http.models.errors import ERRORS
from tests.http_server import client_of, colour_shop, served

CHROMIUM = shutil.which("chromium")


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return colour_shop(tmp_path_factory.mktemp("docs"))


@pytest.fixture(scope="module")
def client(shop: Path) -> Iterator[TestClient]:
    with client_of(shop) as opened:
        yield opened


def test_the_page_needs_only_this_server(client: TestClient) -> None:
    page = client.get("/docs")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    named = re.findall(r'(?:href|src)="([^"]+)"', page.text)
    assert {"page/docs.css", "page/docs.js", "openapi.json"} <= set(named)
    for name in named:
        assert client.get(f"/{name}").status_code == 200
    assert "<script>" not in page.text
    assert "<style" not in page.text


def test_every_operation_is_described_with_its_errors(client: TestClient) -> None:
    api = client.get("/openapi.json").json()
    operations = [(path, method, one) for path, methods in api["paths"].items() for method, one in methods.items()]
    assert len({one["operationId"] for _, _, one in operations}) == len(operations)
    for path, method, one in operations:
        assert one["summary"], path
        assert one["description"], (method, path)
        assert {str(status) for status in ERRORS} <= set(one["responses"]), (method, path)
        assert not {"HTTPValidationError"} & set(re.findall(r"schemas/(\w+)", str(one["responses"]))), (method, path)


@pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium on this machine")
def test_the_reference_in_a_browser(shop: Path, tmp_path: Path, client: TestClient) -> None:
    from playwright.sync_api import sync_playwright

    paths = client.get("/openapi.json").json()["paths"]
    expected = {one["operationId"] for methods in paths.values() for one in methods.values()}
    said: list[str] = []
    asked: list[str] = []
    with served(tmp_path / "mark", "--collection", shop) as (_, address), sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 390, "height": 800})
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(f"{address}/docs#search")
        page.wait_for_selector("#search[open] pre")
        drawn = page.eval_on_selector_all(".operation", "all => all.map((one) => one.id)")
        assert set(drawn) == expected
        assert '"words":"red shoes"' in page.inner_text("#search pre")
        for _ in range(3):  # what is unfolded may have something to unfold
            page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
            page.wait_for_timeout(50)
        named = page.eval_on_selector_all("#search dt code", "all => all.map((one) => one.textContent)")
        assert {"parts", "facets", "base64"} <= set(named)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        browser.close()
    assert said == []
    assert all(url.startswith(address) for url in asked)
