"""The files of the page, as the server gives them: by name only, with a copy that can be asked about, and strict."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from api.http.routes.page import START, assets
from tests.http_server import client_of, colour_shop


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    with client_of(colour_shop(tmp_path_factory.mktemp("assets"))) as opened:
        yield opened


def address(name: str) -> str:
    return "/" if name == START else f"/page/{name}"


@pytest.mark.parametrize("name", sorted(assets()))
def test_each_file_is_given_with_its_type_and_a_tag(client: TestClient, name: str) -> None:
    answer = client.get(address(name))
    assert (answer.status_code, answer.content) == (200, assets()[name].content)
    assert answer.headers["content-type"] == assets()[name].media_type
    assert answer.headers["cache-control"] == "no-cache"
    again = client.get(address(name), headers={"If-None-Match": f'"other", W/{answer.headers["etag"]}'})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == answer.headers["etag"]
    assert client.get(address(name), headers={"If-None-Match": '"other"'}).status_code == 200
    head = client.head(address(name))
    assert (head.status_code, head.content) == (200, b"")
    assert client.post(address(name)).status_code == 405


@pytest.mark.parametrize(
    "path",
    [
        "index.html",
        "__init__.py",
        "../http/app.py",
        "..%2fhttp%2fapp.py",
        "%2e%2e/app.py",
        "app.js%00",
        "/etc/passwd",
        "APP.JS",
        "",
    ],
)
def test_nothing_else_is_given(client: TestClient, path: str) -> None:
    assert client.get(f"/page/{path}").status_code == 404


def test_the_page_s_policy_allows_nothing_from_elsewhere(client: TestClient) -> None:
    policy = client.get("/").headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "img-src 'self' data: blob:" in policy
    assert "unsafe" not in policy and "http" not in policy


def test_what_the_files_name_is_there() -> None:
    """Every file that another one names exists, none is left over, and none names another server."""
    named = {START, "docs.html"}
    for name, asset in assets().items():
        text = asset.content.decode()
        named |= set(re.findall(r'(?:src|href)="/?page/([^"]+)"', text))
        named |= set(re.findall(r'(?:from|import) "\./([^"]+)"', text))
        elsewhere = [url for url in re.findall(r"(?:https?:)?//[\w.-]+\.\w+", text) if "www.w3.org" not in url]
        assert elsewhere == [], name
    assert named == set(assets())


def test_the_markup_needs_no_exception_from_the_policy() -> None:
    html = assets()[START].content.decode()
    assert not re.search(r"\sstyle=|\son\w+=|<style|javascript:", html)
    assert re.findall(r"<script(?![^>]*\ssrc=)", html) == []
    for name, asset in assets().items():
        if name.endswith(".js"):
            text = asset.content.decode()
            assert not re.search(r"\beval\(|new Function|innerHTML|insertAdjacentHTML|document\.write", text), name


def test_icons_that_are_used_are_drawn() -> None:
    html = assets()[START].content.decode()
    drawn = set(re.findall(r'<symbol id="i-(\w+)"', html))
    scripts = "".join(asset.content.decode() for name, asset in assets().items() if name.endswith(".js"))
    used = set(re.findall(r'href="#i-(\w+)"', html)) | set(re.findall(r'\bicon\("(\w+)"\)', scripts))
    used |= set(re.findall(r'iconButton\("(\w+)"', scripts))
    assert used <= drawn


def test_the_files_are_in_the_package() -> None:
    """What setuptools takes along by its suffix is all that the page is made of."""
    folder = Path(__file__).parent.parent / "api" / "page"
    taken = {".html", ".css", ".js", ".svg"}
    assert {file.name for file in folder.iterdir() if file.suffix in taken} == set(assets())
    assert {file.suffix for file in folder.iterdir() if file.is_file()} <= taken | {".py"}
