"""A source that is a list, an encoder that is a hash, and the slow oracle that both are for."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from indexer.compaction import compact
from indexer.pipeline import index_sources
from indexer.sources.base import Rejected, SourceItem
from indexer.summary import Summary
from indexer.writer import open_writer
from retrieval.arrays import FloatArray
from retrieval.catalogue import queries
from retrieval.catalogue.engine import reading_engine
from retrieval.catalogue.queries import Modality
from retrieval.encoders.base import DualEncoder, EncoderSpec, unit_rows
from retrieval.index.base import NO_ID, Neighbours


@dataclass
class ListSource:
    """A catalogue that is a Python list."""

    entries: list[SourceItem] = field(default_factory=list)
    location: Path = Path("/catalogue.csv")
    kind: str = "table"

    def remarks(self) -> list[str]:
        return []

    def count(self) -> int:
        return sum(len(entry.photos) for entry in self.entries)

    def items(self) -> Iterator[SourceItem | Rejected]:
        yield from self.entries


class NoiseEncoder:
    """Every picture and every text has a random direction of its own, always the same one."""

    image_size = 8

    def __init__(self, dimension: int = 16) -> None:
        self.spec = EncoderSpec(name="noise", weights_hash="1", tokenizer="bytes", dimension=dimension)

    def preprocess(self, image: Image.Image) -> npt.NDArray[np.uint8]:
        return np.asarray(image.resize((self.image_size, self.image_size)), dtype=np.uint8)

    def encode_images(self, pixels: npt.NDArray[np.uint8]) -> FloatArray:
        return self._embed([picture.tobytes() for picture in pixels])

    def encode_texts(self, texts: Sequence[str]) -> FloatArray:
        return self._embed([text.encode() for text in texts])

    def _embed(self, contents: Sequence[bytes]) -> FloatArray:
        seeds = [int.from_bytes(hashlib.sha256(content).digest()[:8]) for content in contents]
        rows = [np.random.default_rng(seed).normal(size=self.spec.dimension) for seed in seeds]
        return unit_rows(np.array(rows).reshape(-1, self.spec.dimension))


def worded(*titles: str) -> list[SourceItem]:
    """Items without photos; the title is the id too."""
    return [SourceItem(item_id=title, title=title, photos=()) for title in titles]


def paint(path: Path, colour: tuple[int, int, int]) -> Path:
    """A small picture of one colour."""
    Image.new("RGB", (16, 16), colour).save(path)
    return path


def fill(
    folder: Path, items: Sequence[SourceItem], encoder: DualEncoder | None = None, *, exact_rows: int = 100_000
) -> Summary:
    """Make a collection hold exactly these items."""
    return index_sources(folder, [ListSource(list(items))], encoder or NoiseEncoder(), exact_rows=exact_rows)


def compacted(folder: Path, encoder: DualEncoder | None = None, *, exact_rows: int = 100_000) -> list[str]:
    """Make new generations, due or not."""
    with open_writer(folder, (encoder or NoiseEncoder()).spec) as writer:
        return compact(folder, writer.engine, lambda *_: None, exact_rows=exact_rows, force=True)


def stored(folder: Path, modality: Modality, dimension: int = 16) -> tuple[npt.NDArray[np.int64], FloatArray]:
    """All vectors of the database, by id: the truth."""
    engine = reading_engine(folder)
    try:
        with engine.connect() as connection:
            ids, vectors = queries.vectors_after(connection, modality, 0, dimension)
    finally:
        engine.dispose()
    return ids, vectors.astype(np.float32)


def slow_search(
    ids: npt.NDArray[np.int64],
    vectors: npt.NDArray[np.floating],
    asked: FloatArray,
    k: int,
    allowed: set[int] | None = None,
) -> Neighbours:
    """The obvious twin of every index: the whole similarity matrix, then a sort by (score descending, id ascending)."""
    similarity = asked @ vectors.astype(np.float32).T
    scores = np.full((len(asked), k), -np.inf, dtype=np.float32)
    found = np.full((len(asked), k), NO_ID, dtype=np.int64)
    for query, row in enumerate(similarity):
        ranked = sorted(
            (-score, owner)
            for score, owner in zip(row.tolist(), ids.tolist(), strict=True)
            if allowed is None or owner in allowed
        )
        for place, (score, owner) in enumerate(ranked[:k]):
            scores[query, place], found[query, place] = -score, owner
    return Neighbours(scores, found)
