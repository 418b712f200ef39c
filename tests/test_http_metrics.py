"""/metrics of a real app: what it says after searches, a write, refusals and a failure."""

import re
import shutil
from pathlib import Path

from tests.http_server import client_of, colour_shop


def numbers(text: str) -> dict[str, float]:
    return {name: float(value) for name, value in re.findall(r"^(catalens_\S+) (\S+)$", text, re.MULTILINE)}


def test_a_server_tells_what_it_did(tmp_path: Path) -> None:
    with client_of(colour_shop(tmp_path)) as client:
        before = numbers(client.get("/metrics").text)
        for words in ("red", "red", "blue"):
            assert client.get("/v1/collections/shop/search", params={"q": words}).status_code == 200
        client.get("/v1/collections/none")
        client.get("/v1/collections/shop/search", params={"q": "red", "k": 0})
        client.get("/nowhere/at/all")
        assert client.put("/v1/collections/shop/items/new", json={"title": "new thing"}).status_code == 200
        answer = client.get("/metrics")
        after = numbers(answer.text)

    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    search = "/v1/collections/{name}/search"
    expected = {
        f'catalens_requests_total{{method="GET",route="{search}",status="200"}}': 3,
        f'catalens_requests_total{{method="GET",route="{search}",status="422"}}': 1,
        f'catalens_request_seconds_count{{route="{search}"}}': 4,
        'catalens_requests_total{method="GET",route="none",status="404"}': 1,
        'catalens_errors_total{type="not_found"}': 2,
        'catalens_errors_total{type="query_error"}': 1,
        'catalens_stage_seconds_count{stage="total"}': 3,
        'catalens_stage_seconds_count{stage="search"}': 3,
        'catalens_query_cache_total{collection="shop",outcome="miss"}': 2,
        'catalens_index_items{collection="shop"}': 1,
    }
    assert {name: after[name] - before.get(name, 0) for name in expected} == expected
    assert after['catalens_index_revision{collection="shop"}'] > before['catalens_index_revision{collection="shop"}']
    encodings = 'catalens_stage_seconds_count{stage="encode"}'
    assert after[encodings] - before[encodings] >= 2  # of the words; the put text, too
    assert after['catalens_query_cache_total{collection="shop",outcome="hit"}'] > 0
    assert "sku-red" not in answer.text
    assert "process_resident_memory_bytes" in answer.text


def test_a_collection_that_is_gone_does_not_take_the_others_metrics_along(tmp_path: Path) -> None:
    one, two = colour_shop(tmp_path / "a", "one"), colour_shop(tmp_path / "b", "two")
    with client_of(one, two) as client:
        shutil.rmtree(one)
        answer = client.get("/metrics")
    assert answer.status_code == 200
    assert 'catalens_index_items{collection="two"} 9.0' in answer.text
    assert 'collection="one"' not in answer.text
