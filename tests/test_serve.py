"""`catalens serve`: what it says, and a real process on loopback that ends in order."""

import io
import json
import signal
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import httpx
import pytest
from PIL import Image

import api.http.server
from retrieval.encoders.base import DualEncoder
from retrieval.errors import WeightsUnavailable
from tests.command_line import Run, runner
from tests.http_server import colour_shop, process_as_before, served


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Run]:
    monkeypatch.delenv("CATALENS_COLLECTION", raising=False)
    with process_as_before():
        yield runner(monkeypatch, capsys)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return colour_shop(tmp_path_factory.mktemp("serve"))


def until(true: Callable[[], bool]) -> None:
    ends = monotonic() + 10
    while not true():
        assert monotonic() < ends
        sleep(0.01)


def refuses(address: str) -> bool:
    try:
        httpx.get(f"{address}/health")
    except httpx.TransportError:
        return True
    return False


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
def test_requests_in_flight_are_answered_before_the_end(shop: Path, tmp_path: Path, ending: signal.Signals) -> None:
    mark = tmp_path / "mark"
    with served(mark, "--collection", shop) as (process, address), ThreadPoolExecutor(2) as pool:
        assert httpx.get(f"{address}/ready").json()["status"] == "ready"
        search = f"{address}/v1/collections/shop/search"
        slow = pool.submit(httpx.get, search, params={"q": "slow"}, timeout=10)
        until(mark.exists)
        waiting = pool.submit(httpx.get, search, params={"q": "red"}, timeout=10)
        until(lambda: "catalens_busy_threads 2.0" in httpx.get(f"{address}/metrics").text)
        process.send_signal(ending)
        until(lambda: refuses(address))
        assert process.poll() is None  # it listens no more, but has not ended
        assert slow.result(10).status_code == 200
        assert int(mark.read_text()) > 50_000  # or all that was loaded is looked through again and again
        assert waiting.result(10).json()["hits"][0]["item_id"] == "sku-red"
        assert process.wait(10) == 0
        assert process.stderr is not None
        assert "Traceback" not in process.stderr.read()


@pytest.mark.parametrize(("option", "lines"), [("--access-log", 1), ("--no-access-log", 0)])
def test_requests_are_logged_or_not(shop: Path, tmp_path: Path, option: str, lines: int) -> None:
    with served(tmp_path / "mark", "--collection", shop, option) as (process, address):
        assert httpx.get(f"{address}/v1/collections/shop").status_code == 200
        process.send_signal(signal.SIGTERM)
        assert process.stderr is not None
        logged = process.stderr.read().splitlines()
    assert len(logged) == lines
    assert all(json.loads(line)["route"] == "/v1/collections/{name}" for line in logged)


def resident(process: int) -> int:
    """Megabytes."""
    status = Path(f"/proc/{process}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) // 1024


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="asks Linux how much memory a process has")
def test_large_pictures_of_many_clients_leave_no_memory_behind(shop: Path, tmp_path: Path) -> None:
    data = io.BytesIO()
    Image.new("RGBA", (4_000, 4_000), "red").save(data, "PNG", compress_level=1)

    def found(address: str) -> int:
        search = f"{address}/v1/collections/shop/search/image"
        return httpx.post(search, files={"image": data.getvalue()}, timeout=60).status_code

    with served(tmp_path / "mark", "--collection", shop) as (process, address), ThreadPoolExecutor(8) as pool:
        before = resident(process.pid)
        assert set(pool.map(found, [address] * 8)) == {200}
        assert resident(process.pid) - before < 150


def test_several_collections_with_names_of_their_own(shop: Path, tmp_path: Path) -> None:
    other = colour_shop(tmp_path)
    with served(tmp_path / "mark", "--collection", shop, "--collection", f"second={other}") as (_, address):
        names = [one["name"] for one in httpx.get(f"{address}/v1/collections").json()["collections"]]
    assert names == ["shop", "second"]


def test_the_environment_may_name_the_collection(
    shop: Path, run: Run, monkeypatch: pytest.MonkeyPatch, no_model: None
) -> None:
    monkeypatch.setenv("CATALENS_COLLECTION", str(shop))
    code, _, err = run("serve", "--port", 0)
    assert (code, err.splitlines()[0]) == (1, "error: no model is to be loaded here")


@pytest.fixture
def no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(name: str, **others: Any) -> DualEncoder:
        raise WeightsUnavailable("no model is to be loaded here", hint="see why")

    monkeypatch.setattr(api.http.server, "load_encoder", load)


def test_a_model_that_cannot_be_loaded_is_said_plainly(shop: Path, run: Run, no_model: None) -> None:
    code, out, err = run("serve", "--collection", shop, "--port", 0)
    assert (code, out, err) == (1, "", "error: no model is to be loaded here\n  see why\n")


def test_a_port_that_is_taken_is_said_before_a_model_is_loaded(shop: Path, run: Run, no_model: None) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, _, err = run("serve", "--collection", shop, "--port", port)
    assert code == 1
    assert err.startswith(f"error: cannot listen on 127.0.0.1 port {port}: Address already in use\n")
    assert f"--port {port + 1}" in err


def test_an_address_that_is_not_this_machines(shop: Path, run: Run, no_model: None) -> None:
    for host in ("192.0.2.1", "no such name", "x" * 300):
        code, _, err = run("serve", "--collection", shop, "--host", host)
        assert code == 1
        assert err.startswith(f"error: cannot listen on {host}")
        assert "give --host 127.0.0.1" in err


def test_a_missing_collection_is_said_before_a_model_is_loaded(tmp_path: Path, run: Run, no_model: None) -> None:
    code, _, err = run("serve", "--collection", tmp_path / "none")
    assert (code, err.splitlines()[0]) == (1, f"error: there is no collection at {tmp_path / 'none'}")


def test_two_collections_of_one_name(shop: Path, tmp_path: Path, run: Run, no_model: None) -> None:
    code, _, err = run("serve", "--collection", shop, "--collection", tmp_path / "shop")
    assert code == 1
    assert "two collections have the name 'shop'" in err
    assert "--collection other-name=" in err
