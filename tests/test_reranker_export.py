"""A reranker on OpenVINO: only where it gives torch's logits, made once, and made again when it was damaged."""

import logging
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from retrieval.encoders.towers.graphs import GraphSource
from retrieval.errors import ExportError
from retrieval.rerankers import load_reranker
from retrieval.rerankers.exported import CLOSE, bank, farthest, key_of, open_or_make
from retrieval.rerankers.folder import Stored, read, write
from retrieval.rerankers.modules.pair import PairModule
from retrieval.rerankers.registry import KINDS
from retrieval.rerankers.torch_reranker import TorchReranker, graph_source
from retrieval.runtime import choose, store
from retrieval.runtime.openvino_graph import OpenVinoGraph
from tests.reranked import DIMENSION, SMALL, photos_of, spec_of, texts_of


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CATALENS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(choose, "_said", set())
    write(tmp_path / "mine", KINDS["gating"](SMALL, DIMENSION, 3), spec_of("gating"))
    return tmp_path / "mine"


def export_of(folder: Path) -> Path:
    return store.exports_dir() / key_of(read(str(folder)))


class Shifted(PairModule):
    """Another reranker: one logit in the graph is `by` higher than it should be."""

    def __init__(self, module: PairModule, by: float) -> None:
        super().__init__(module.tokens, module.dimension)
        self.module, self.by = module, by

    def forward(self, *given: torch.Tensor) -> torch.Tensor:
        return self.module(*given) + self.by


def shifted(by: float) -> Callable[[Stored], GraphSource]:
    def source(stored: Stored) -> GraphSource:
        return graph_source(Shifted(stored.module(), by), stored.spec, stored.dimension)

    return source


def spread_of(stored: Stored) -> float:
    return float(TorchReranker(stored.module(), stored.spec, DIMENSION).match(*bank(SMALL, DIMENSION)).std())


@pytest.mark.parametrize(("share", "passes"), [(0.5, True), (2.0, False)])
def test_the_gate_lets_through_what_is_close_and_nothing_else(folder: Path, share: float, passes: bool) -> None:
    stored = read(str(folder))
    source = shifted(share * CLOSE * spread_of(stored))
    if passes:
        assert open_or_make(stored, source).runtime == "openvino (f32)"
        return
    with pytest.raises(ExportError, match=r"a logit is 0\.02 of their spread away"):
        open_or_make(stored, source)


def test_a_refusal_is_remembered_and_auto_runs_in_torch_with_a_note(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(ExportError):
        open_or_make(read(str(folder)), shifted(float("nan")))
    with caplog.at_level(logging.WARNING, "catalens"):
        assert load_reranker(str(folder), runtime="auto").runtime == "torch"
    assert "runs in torch" in caplog.text
    with pytest.raises(ExportError, match="cannot run on OpenVINO") as caught:
        load_reranker(str(folder), runtime="openvino")
    assert caught.value.hint
    assert not list(export_of(folder).glob("graph.*"))


def test_it_is_made_once(folder: Path) -> None:
    first = load_reranker(str(folder), runtime="auto")
    assert first.runtime == "openvino (f32)"
    made = (export_of(folder) / "graph.xml").stat()
    again = load_reranker(str(folder), runtime="auto")
    assert (export_of(folder) / "graph.xml").stat().st_ino == made.st_ino
    texts, photos = texts_of(5), photos_of(5)
    np.testing.assert_allclose(again.match(texts, photos), first.match(texts, photos), atol=1e-6)
    assert [path.name for path in store.exports_dir().iterdir() if path.is_dir()] == [export_of(folder).name]


@pytest.mark.parametrize("name", ["graph.bin", "graph.blob", "manifest.json"])
def test_a_damaged_export_is_made_again(folder: Path, name: str) -> None:
    expected = load_reranker(str(folder), runtime="openvino").match(texts_of(4), photos_of(4))
    (export_of(folder) / name).write_bytes(b"damaged")
    found = load_reranker(str(folder), runtime="openvino").match(texts_of(4), photos_of(4))
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert (export_of(folder) / name).read_bytes() != b"damaged"


def test_a_cache_that_cannot_be_written_means_torch(folder: Path) -> None:
    store.exports_dir().parent.mkdir(parents=True)
    store.exports_dir().write_text("a file where the folder should be")
    assert load_reranker(str(folder), runtime="auto").runtime == "torch"


def test_its_slow_first_call_is_over_when_it_is_opened(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load_reranker(str(folder), runtime="openvino")
    compiled: list[bool] = []
    opens = OpenVinoGraph._open
    monkeypatch.setattr(OpenVinoGraph, "_open", lambda graph, how: compiled.append(True) or opens(graph, how))
    reranker = load_reranker(str(folder), runtime="openvino")
    assert compiled == [True]
    reranker.match(texts_of(1), photos_of(20))
    assert compiled == [True]


def test_opening_an_export_needs_no_torch(folder: Path) -> None:
    load_reranker(str(folder), runtime="openvino")
    program = (
        "import sys; from retrieval.rerankers import load_reranker\n"
        f"found = load_reranker({str(folder)!r})\n"
        "from tests.reranked import photos_of, texts_of\n"
        "found.match(texts_of(1), photos_of(3)); print(found.runtime, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "openvino (f32) False"


def test_the_bank_has_rows_without_tokens_and_of_full_length() -> None:
    texts, photos = bank(SMALL, DIMENSION)
    for side, most in ((texts, SMALL.text_length), (photos, SMALL.places)):
        assert side.lengths.min() == 0
        assert side.lengths.max() == most
    again = bank(SMALL, DIMENSION)[0]
    assert np.array_equal(again.tokens, texts.tokens)


def test_how_far_two_are_apart_is_in_units_of_the_spread(folder: Path) -> None:
    stored = read(str(folder))
    one = TorchReranker(stored.module(), stored.spec, DIMENSION)
    other = TorchReranker(Shifted(stored.module(), spread_of(stored)), stored.spec, DIMENSION)
    assert farthest(one, one, *bank(SMALL, DIMENSION)) == 0
    assert farthest(one, other, *bank(SMALL, DIMENSION)) == pytest.approx(1, rel=1e-3)
