"""CLIP-like encoders: one class for torch and for exported graphs. Imports neither torch nor open_clip."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from retrieval.arrays import FloatArray
from retrieval.encoders.base import EncoderSpec, unit_rows
from retrieval.encoders.clip_reranking import TokenGraphs
from retrieval.encoders.towers.graphs import Graph, GraphSource
from retrieval.errors import EncoderError
from retrieval.tokens.codec import padded
from retrieval.tokens.value import Tokens, TokenSpec

_BATCH = 64  # 10 000 texts at once would need 6 GB for one layer of ViT-B's text tower


class ClipEncoder:
    """A `DualEncoder`, and `Towers` whose features are its unit vectors.

    `preprocess` gives uint8 [height, width, 3]: a quarter of the bytes of open_clip's own float tensor to carry
    between threads. The image graph normalises the batch; together they equal open_clip's transform exactly.

    pixels: the geometry of a picture. tokens: texts -> int64 [n, context]. graphs: `image` and `text`.
    trimmed: the text tower looks only backwards and takes the vector of the end token, so that the zeros behind it may
        be left out: exact, and three to five times as fast for texts of ten words.
    sources, unpack: for export, see `ExportableTowers`. files: all that the model was made of.
    runtime: see `Towers`. cells: uint8 [n, height, width, 3] -> float32 [n, rows, columns, dimension], for `grid`.
    token_graphs: of a vision transformer in torch, for reranking; an export has none.
    """

    kind = "clip"

    def __init__(
        self,
        spec: EncoderSpec,
        *,
        pixels: Callable[[Image.Image], npt.NDArray[np.uint8]],
        tokens: Callable[[Sequence[str]], npt.NDArray[np.int64]],
        graphs: Mapping[str, Graph],
        trimmed: bool,
        sources: Mapping[str, GraphSource] | None = None,
        unpack: Callable[[Path], None] | None = None,
        files: tuple[Path, ...] = (),
        runtime: str = "torch",
        cells: Graph | None = None,
        token_graphs: TokenGraphs | None = None,
    ) -> None:
        self.spec = spec
        self.files = files
        self.runtime = runtime
        self._cells, self._token_graphs = cells, token_graphs
        self._pixels, self._tokens, self._graphs, self._trimmed = pixels, tokens, graphs, trimmed
        self._sources, self._unpack = sources or {}, unpack
        height, width = spec.preprocessing["size"]
        self.image_size = max(height, width)
        self.name, self.towers_hash = spec.name, spec.weights_hash
        self.tokenizer, self.preprocessing = spec.tokenizer, spec.preprocessing
        self.image_features_dimension = self.text_features_dimension = spec.dimension

    def preprocess(self, image: Image.Image) -> npt.NDArray[np.uint8]:
        """One RGB picture -> uint8 [height, width, 3], resized and cropped as the weights were trained."""
        return self._pixels(image)

    def encode_images(self, pixels: npt.NDArray[np.uint8]) -> FloatArray:
        """uint8 [n, height, width, 3] -> float32 unit vectors [n, dimension]."""
        vectors = np.empty((len(pixels), self.spec.dimension), dtype=np.float32)
        for start in range(0, len(pixels), _BATCH):
            vectors[start : start + _BATCH] = self._graphs["image"](pixels[start : start + _BATCH])
        return unit_rows(vectors)

    def grid(self, pixels: npt.NDArray[np.uint8]) -> FloatArray | None:
        """Of a vision transformer in torch, each patch's unit vector, see `SpatialEncoder`; else None."""
        return None if self._cells is None else unit_rows(self._cells(pixels))

    def encode_texts(self, texts: Sequence[str]) -> FloatArray:
        """Texts -> float32 unit vectors [len(texts), dimension]; the tokenizer cuts what exceeds its context."""
        vectors = np.empty((len(texts), self.spec.dimension), dtype=np.float32)
        if len(texts) == 0:
            return vectors
        tokens = self._tokens(texts)
        lengths = _lengths(tokens) if self._trimmed else np.full(len(tokens), tokens.shape[1])
        for rows, ids in _batches(tokens, lengths):
            vectors[rows] = self._graphs["text"](ids)
        return unit_rows(vectors)

    @cached_property
    def token_spec(self) -> TokenSpec | None:
        """See `TokenEncoder`: of a vision transformer in torch whose texts end at a token of their own; else None."""
        return self.token_spec_for(self.spec.fingerprint)

    def token_spec_for(self, encoder: str) -> TokenSpec | None:
        """The same beside the vectors of trained heads on this one, see `TowersWithTokens`."""
        return None if self._token_graphs is None else self._token_graphs.spec(encoder)

    def encode_images_with_tokens(self, pixels: npt.NDArray[np.uint8]) -> Tokens:
        """Stacked `preprocess` results -> patches beside the vectors of `encode_images`; n may be 0."""
        graphs, spec = self._giving_tokens()
        vectors = np.empty((len(pixels), self.spec.dimension), dtype=np.float32)
        tokens = np.empty((len(pixels), spec.places, spec.image_width), dtype=np.float32)
        for start in range(0, len(pixels), _BATCH):
            rows = slice(start, start + _BATCH)
            vectors[rows], tokens[rows] = graphs.of_images(pixels[rows], self.spec.dimension)
        return Tokens(tokens, np.full(len(pixels), spec.places, dtype=np.int64), unit_rows(vectors))

    def encode_texts_with_tokens(self, texts: Sequence[str]) -> Tokens:
        """Texts -> states of their ids beside the vectors of `encode_texts`; may be empty."""
        graphs, spec = self._giving_tokens()
        vectors = np.empty((len(texts), self.spec.dimension), dtype=np.float32)
        states = [np.zeros((0, spec.text_width), dtype=np.float32)] * len(texts)
        ids = self._tokens(texts) if texts else np.zeros((0, 1), dtype=np.int64)
        lengths = _lengths(ids)
        for rows, batch in _batches(ids, lengths):
            vectors[rows], found = graphs.of_texts(batch, self.spec.dimension)
            for row, own in zip(rows, found, strict=True):
                states[row] = own[: lengths[row]].copy()  # a view would hold the batch
        return Tokens(*padded(states, spec.text_width), unit_rows(vectors))

    image_features_with_tokens = encode_images_with_tokens
    text_features_with_tokens = encode_texts_with_tokens

    def _giving_tokens(self) -> tuple[TokenGraphs, TokenSpec]:
        if self._token_graphs is None or self.token_spec is None:
            raise EncoderError(f"{self.name} gives no tokens on {self.runtime}", hint="search without reranking")
        return self._token_graphs, self.token_spec

    image_features = encode_images
    text_features = encode_texts

    def graph_sources(self) -> Mapping[str, GraphSource]:
        """`image` and `text`; of an encoder that is an export itself, nothing."""
        return self._sources

    def unpack(self, folder: Path) -> Mapping[str, Any]:
        """Write the tokenizer; raises ExportError if it cannot do without torch."""
        if self._unpack is not None:
            self._unpack(folder)
        return {"spec": self.spec.to_json(), "trimmed": self._trimmed}


def _batches(
    ids: npt.NDArray[np.int64], lengths: npt.NDArray[np.int64]
) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
    """Rows with their ids, as many as the longest has: like lengths together, so that little is computed for zeros."""
    order = np.argsort(lengths, kind="stable")
    for start in range(0, len(order), _BATCH):
        rows = order[start : start + _BATCH]
        yield rows, np.ascontiguousarray(ids[rows, : lengths[rows].max()])


def _lengths(tokens: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Where each text ends: behind its last id that is not zero; 1 for a row of zeros."""
    held = tokens != 0
    last = tokens.shape[1] - np.argmax(held[:, ::-1], axis=1)
    return np.where(held.any(axis=1), last, 1)
