"""`catalens serve`: whom it lets in, in a process of its own."""

import json
import signal
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

import api.http.server
from retrieval.encoders.base import DualEncoder
from retrieval.errors import WeightsUnavailable
from tests.command_line import Run, runner
from tests.http_server import colour_shop, process_as_before, served


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return colour_shop(tmp_path_factory.mktemp("serve"))


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Run]:
    """The command, which ends where it would load a model."""

    def load(name: str, **others: Any) -> DualEncoder:
        raise WeightsUnavailable("no model is to be loaded here", hint="see why")

    monkeypatch.setattr(api.http.server, "load_encoder", load)
    with process_as_before():
        yield runner(monkeypatch, capsys)


def test_a_served_collection_asks_for_the_key_that_was_made(
    shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    keys = tmp_path / "keys.txt"
    key = runner(monkeypatch, capsys)("api-key", "--scope", "read", "--name", "page", "--file", keys)[1].strip()
    assert stat.S_IMODE(keys.stat().st_mode) == 0o600
    options = ("--collection", shop, "--api-key-file", keys, "--rate-limit", 4)
    with served(tmp_path / "mark", *options) as (process, address):
        search = f"{address}/v1/collections/shop/search?q=blue"
        asked = [
            httpx.get(search),
            httpx.get(search, headers={"X-API-Key": key}),
            httpx.get(search, headers={"Authorization": f"Bearer {key}"}),
            httpx.delete(f"{address}/v1/collections/shop/items/sku-red", headers={"X-API-Key": key}),
            httpx.get(search, headers={"X-API-Key": key, "X-Forwarded-For": "192.0.2.9"}),
            httpx.get(search, headers={"X-API-Key": key, "Host": "rebound.example"}),
            httpx.get(f"{address}/health"),
            *(httpx.get(search, headers={"X-API-Key": key}) for _ in range(2)),
        ]
        process.send_signal(signal.SIGTERM)
        assert process.stderr is not None
        log = process.stderr.read()
    assert [answer.status_code for answer in asked] == [401, 200, 200, 403, 200, 421, 200, 200, 429]
    lines = [json.loads(line) for line in log.splitlines()]
    assert [line["status"] for line in lines] == [401, 200, 200, 403, 200, 421, 200, 200, 429]
    assert [line["key"] for line in lines] == [None, "page", "page", "page", "page", None, None, "page", "page"]
    assert {line["client"] for line in lines} == {"127.0.0.1"}  # nobody else is believed who it is
    assert [line["request_id"] for line in lines] == [answer.headers["x-request-id"] for answer in asked]
    assert key not in log
    assert "blue" not in log


def test_a_proxy_is_believed_who_its_clients_are_where_it_is_named(shop: Path, tmp_path: Path) -> None:
    options = ("--collection", shop, "--trust-proxy", "127.0.0.1", "--allow-host", "shop.example")
    with served(tmp_path / "mark", *options) as (process, address):
        headers = {"X-Forwarded-For": "192.0.2.9", "Host": "shop.example"}
        assert httpx.get(f"{address}/v1/collections", headers=headers).status_code == 200
        process.send_signal(signal.SIGTERM)
        assert process.stderr is not None
        assert json.loads(process.stderr.read())["client"] == "192.0.2.9"


def test_a_server_open_to_all_is_warned_about(shop: Path, run: Run) -> None:
    _, _, err = run("serve", "--collection", shop, "--host", "0.0.0.0", "--port", 0)
    assert err.startswith("warning: whoever reaches this machine may search, change and delete items\n")
    assert "catalens api-key --scope read --file keys.txt" in err
    assert all(len(line) <= 80 for line in err.splitlines()[:3])
    _, _, err = run("serve", "--collection", shop, "--port", 0)
    assert "warning" not in err


def test_a_server_with_keys_is_not(shop: Path, run: Run, tmp_path: Path) -> None:
    (tmp_path / "keys").write_text(f"read {'a' * 64}\n", encoding="utf-8")
    options = ("--host", "0.0.0.0", "--port", 0, "--api-key-file", tmp_path / "keys")
    assert "warning" not in run("serve", "--collection", shop, *options)[2]


@pytest.mark.parametrize(
    ("options", "code", "complaint"),
    [
        (["--api-key-file", "none"], 1, "the API keys in none cannot be read: No such file"),
        (["--api-key-file", "empty"], 1, "empty holds no API key"),
        (["--api-key-file", "wrong"], 1, "wrong, line 1: a scope is read or write"),
        (["--cors", "shop.example"], 2, "is no origin"),
        (["--cors", "https://shop.example/path"], 2, "is no origin"),
        (["--cors", "https://user@shop.example"], 2, "is no origin"),
        (["--allow-host", "https://shop.example"], 2, "is no name such as"),
        (["--allow-host", "shop.example:443"], 2, "is no name such as"),
        (["--allow-host", "127.0.0.1:8000"], 2, "is no name such as"),
        (["--image-root", "nowhere"], 2, "nowhere is no folder"),
        (["--image-root", "wrong"], 2, "wrong is no folder"),
        (["--trust-proxy", "proxy.example"], 2, "'proxy.example' is no IP address or network"),
        (["--rate-limit", "0"], 2, "--rate-limit"),
        (["--upload-limit", "0"], 2, "--upload-limit"),
    ],
)
def test_what_cannot_be_served_is_said_before_a_model_is_loaded(
    shop: Path, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], code: int, complaint: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").touch()
    (tmp_path / "wrong").write_text("admin x\n", encoding="utf-8")
    ended, out, err = run("serve", "--collection", shop, "--port", 0, *options)
    assert (ended, out) == (code, "")
    assert complaint in " ".join(err.split())
    assert "no model" not in err
