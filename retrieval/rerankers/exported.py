"""A reranker on OpenVINO: made once in the user's cache, and used only where it gives torch's logits.

exports/reranker-KEY/manifest.json   of which weights, how far its logits are from torch's, or why it is refused here
exports/reranker-KEY/graph.*         the graph, and compiled for this machine
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from retrieval.arrays import FloatArray
from retrieval.encoders.towers.graphs import GraphSource
from retrieval.errors import ExportError, StorageError
from retrieval.rerankers.base import Reranker, RerankerSpec
from retrieval.rerankers.description import FORMAT
from retrieval.rerankers.folder import Stored
from retrieval.rerankers.pairs import matched
from retrieval.rerankers.torch_reranker import TorchReranker, graph_source
from retrieval.runtime import store
from retrieval.runtime.openvino_graph import OpenVinoGraph, convert
from retrieval.tokens.value import Tokens, TokenSpec

CLOSE = 1e-2
"""How far a logit may be from torch's, in standard deviations of torch's logits on the bank. float32 gives 1e-5."""
BANK = 64
GRAPH, BLOB = "graph.xml", "graph.blob"


class OpenVinoReranker:
    """graph: what `convert` made of `graph_source`, in float32. blob: compiled on this machine before."""

    runtime = "openvino (f32)"

    def __init__(self, spec: RerankerSpec, dimension: int, graph: Path, blob: Path | None = None) -> None:
        self.spec = spec
        self._dimension = dimension
        self._run = OpenVinoGraph(graph, "f32", blob)

    def match(self, texts: Tokens, photos: Tokens) -> FloatArray:
        """See `Reranker.match`."""
        return matched(self._run, self.spec, self._dimension, texts, photos)

    def compiled(self) -> bytes:
        """To be given as `blob`. Raises ExportError."""
        return self._run.compiled_bytes()


def open_or_make(stored: Stored, source: Callable[[Stored], GraphSource] | None = None) -> Reranker:
    """The reranker on OpenVINO, exported now if it was not before.

    source: the graph to export; None takes the reranker's own.

    Raises ExportError if OpenVINO cannot take it or its logits are not torch's, which is remembered for this machine;
    StorageError where the cache cannot be written; EncoderError for weights that do not fit.
    """
    key = key_of(stored)
    found = _found(key)
    if found is None:
        with store.locked(key, stored.spec.name):
            found = _make(stored, key, source or _own_graph)
    if reason := found.manifest["refused"]:
        raise ExportError(f"{stored.spec.name} cannot run on OpenVINO: {reason}", hint="use --runtime torch")
    opened = OpenVinoReranker(stored.spec, stored.dimension, found.file(GRAPH), found.file(BLOB))
    opened.match(*_blank(stored))  # the first call takes 60 ms, the next 3: no search's deadline should pay for it
    return opened


def _blank(stored: Stored) -> tuple[Tokens, Tokens]:
    """A text and a few photos, of zeros."""
    tokens = stored.spec.tokens

    def side(rows: int, width: int) -> Tokens:
        vectors = np.zeros((rows, stored.dimension), np.float32)
        return Tokens(np.zeros((rows, 1, width), np.float32), np.ones(rows, np.int64), vectors)

    return side(1, tokens.text_width), side(8, tokens.image_width)


def key_of(stored: Stored) -> str:
    """The export's name: a hash of all that it depends on but the machine.

    A kind that computes something else from the same weights needs another `FORMAT`.
    """
    parts = [FORMAT, stored.spec.kind, stored.spec.weights_hash, stored.spec.tokens.to_json(), stored.dimension]
    return f"reranker-{hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]}"


def _found(key: str) -> store.Export | None:
    """What was made on a machine like this one; None if there is nothing, or it is damaged and must be made again."""
    with suppress(ExportError):
        export = store.find(key)
        if export is not None and "refused" in export.manifest:
            export.check()
            return export
    return None


def _own_graph(stored: Stored) -> GraphSource:
    return graph_source(stored.module(), stored.spec, stored.dimension)


def _make(stored: Stored, key: str, source: Callable[[Stored], GraphSource]) -> store.Export:
    aside = store.exports_dir() / f".{key}.{os.getpid()}"
    manifest: dict[str, Any] = {"name": stored.spec.name, "machine": store.here(), "refused": ""}
    try:
        for left in aside.parent.glob(f".{key}.*[0-9]*"):  # by a process that died
            shutil.rmtree(left, ignore_errors=True)
        aside.mkdir()
        try:
            convert(source(stored), aside / GRAPH)
            exported = OpenVinoReranker(stored.spec, stored.dimension, aside / GRAPH)
            torch = TorchReranker(stored.module(), stored.spec, stored.dimension)
            apart = manifest["apart"] = farthest(torch, exported, *bank(stored.spec.tokens, stored.dimension))
            if not apart <= CLOSE:  # nor NaN
                raise ExportError(
                    f"a logit is {apart:.3g} of their spread away from torch's; at most {CLOSE} is allowed",
                    hint="use --runtime torch",
                )
            (aside / BLOB).write_bytes(exported.compiled())
        except ExportError as error:
            manifest["refused"] = str(error)
            for file in aside.iterdir():
                file.unlink()
        return store.commit(aside, key, manifest)
    except OSError as error:
        raise StorageError(f"cannot write {aside}: {error.strerror or error}", hint="check the disk") from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def farthest(torch: Reranker, other: Reranker, texts: Tokens, photos: Tokens) -> float:
    """The largest difference of two rerankers' logits, in standard deviations of the first's; NaN if one is NaN.

    Pair by pair, one text with all photos, and all texts with one photo.
    """
    one = slice(0, 1)
    shapes = ((texts, photos), (texts.take(one), photos), (texts, photos.take(one)))
    found = [(torch.match(*shape), other.match(*shape)) for shape in shapes]
    spread = float(np.std(found[0][0])) or 1.0
    return float(max(np.abs(mine - its).max() for mine, its in found)) / spread


def bank(tokens: TokenSpec, dimension: int) -> tuple[Tokens, Tokens]:
    """Random texts and photos, always the same: of every length, some without tokens."""
    random = np.random.default_rng(20)

    def side(length: int, width: int, ends: Any) -> Tokens:
        rows = random.normal(size=(BANK, length, width)).astype(np.float32)
        rows[np.arange(length) >= ends[:, None]] = 0
        vectors = random.normal(size=(BANK, dimension)).astype(np.float32)
        return Tokens(rows, ends, vectors / np.linalg.norm(vectors, axis=1, keepdims=True))

    text_ends = random.integers(0, tokens.text_length + 1, BANK)
    photo_ends = np.where(random.random(BANK) < 0.1, 0, tokens.places)
    return side(tokens.text_length, tokens.text_width, text_ends), side(tokens.places, tokens.image_width, photo_ends)
