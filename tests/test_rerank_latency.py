"""The latency benchmark measures searches that really are reranked."""

import json
from pathlib import Path

import pytest

from benchmarks.rerank_latency import WARM_UP, fill, measure
from retrieval.collection import Collection
from retrieval.query import Query
from retrieval.search import Searcher
from tests.halves import PAIRS, HalvesEncoder, HalvesReranker, halves


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder as the benchmark reads it."""
    (tmp_path / "data" / "images").mkdir(parents=True)
    lines = []
    for pair in PAIRS:
        name = f"images/{'-'.join(pair)}.png"
        (tmp_path / "data" / name).write_bytes(halves(*pair))
        lines.append(json.dumps({"image": name, "split": "val", "en": [" ".join(pair), "a picture"]}))
    (tmp_path / "data" / "captions.jsonl").write_text("\n".join(lines))
    return tmp_path / "data"


def test_each_depth_has_its_figures_over_all_queries(data: Path, tmp_path: Path) -> None:
    encoder = HalvesEncoder()
    reranker = HalvesReranker(encoder.token_spec)
    words = fill(tmp_path, data, 30, encoder)
    assert words == [" ".join(pair) for pair in PAIRS[:30]]
    with Collection.open(tmp_path / "collection") as collection:
        found = measure(collection, encoder, reranker, words[: WARM_UP + 4], [3, 7])
        assert [(figures["depth"], figures["queries"]) for figures in found] == [(3, 4), (7, 4)]
        assert reranker.pairs == (3 + 7) * (WARM_UP + 4)
        assert all(0 < figures["rerank_p50_ms"] < figures["with_p50_ms"] for figures in found)  # type: ignore[operator]
        assert Searcher(collection, encoder).answer(Query.of("red green")).matched == 30


def test_what_was_not_reranked_is_not_measured(data: Path, tmp_path: Path) -> None:
    encoder = HalvesEncoder()
    words = fill(tmp_path, data, 30, encoder)
    useless = HalvesReranker(encoder.token_spec, {"text_to_image": 0.0, "image_to_text": 0.0})
    with Collection.open(tmp_path / "collection") as collection, pytest.raises(RuntimeError, match="did not help"):
        measure(collection, encoder, useless, words[:1], [3])
