"""What follows from the address that a server listens on, and where its log goes."""

import io
import json
import logging

import pytest

from api.http.exposure import hosts_of, warning
from api.http.logs import log_to
from tests.http_server import process_as_before


@pytest.mark.parametrize(
    ("address", "named", "more", "hosts"),
    [
        ("127.0.0.1", "127.0.0.1", [], {"localhost", "127.0.0.1", "[::1]"}),
        ("127.0.0.1", "box.local", [], {"localhost", "127.0.0.1", "[::1]", "box.local"}),
        ("127.0.0.2", "127.0.0.2", ["shop.example"], {"localhost", "127.0.0.1", "[::1]", "127.0.0.2", "shop.example"}),
        ("::1", "::1", [], {"localhost", "127.0.0.1", "[::1]"}),
        ("0.0.0.0", "0.0.0.0", [], set()),
        ("::", "::", [], set()),
        ("192.0.2.7", "box", ["shop.example"], {"localhost", "127.0.0.1", "[::1]", "192.0.2.7", "box", "shop.example"}),
    ],
)
def test_the_names_that_a_server_answers_to(address: str, named: str, more: list[str], hosts: set[str]) -> None:
    assert set(hosts_of(address, named, more)) == hosts


@pytest.mark.parametrize(
    ("address", "keys", "warned"),
    [
        ("127.0.0.1", False, False),
        ("::1", False, False),
        ("0.0.0.0", False, True),
        ("::", False, True),
        ("192.168.1.5", False, True),
        ("fe80::1%eth0", False, True),
        ("0.0.0.0", True, False),
    ],
)
def test_a_server_open_to_all_is_warned_about(address: str, keys: bool, warned: bool) -> None:
    text = warning(address, keys=keys)
    assert (text is not None) == warned
    assert text is None or "catalens api-key" in text


@pytest.mark.parametrize("requests", [True, False])
def test_a_log_has_requests_as_json_and_failures_in_words(requests: bool) -> None:
    stream = io.StringIO()
    with process_as_before():
        log_to(stream, requests=requests)
        logging.getLogger("catalens.access").info('{"status": 200}')
        logging.getLogger("catalens.http").error("request 7 failed")
    lines = stream.getvalue().splitlines()
    if requests:
        assert json.loads(lines.pop(0)) == {"status": 200}
    assert len(lines) == 1
    assert lines[0].endswith("ERROR request 7 failed")
