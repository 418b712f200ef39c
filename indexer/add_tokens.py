"""Adds what a reranker looks at to photos and texts that were indexed without it; no embedding is changed."""

import hashlib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import numpy.typing as npt
from sqlalchemy import insert, select

from indexer.encoding import TEXTS_AT_ONCE, Encoding
from indexer.memory import Limits, free_memory, limits
from indexer.pipeline import BYTES_PER_PIXEL, OnProgress
from indexer.summary import Progress
from indexer.tokens import drop_damaged, replace_others, required_spec
from indexer.writer import CollectionWriter, open_writer
from retrieval.ahead import ahead
from retrieval.catalogue.engine import database_status
from retrieval.catalogue.queries import Modality
from retrieval.catalogue.schema import photos, texts
from retrieval.catalogue.token_queries import TOKENS, count_without, owners_without
from retrieval.encoders.base import DualEncoder
from retrieval.errors import ImageError
from retrieval.images import MAX_PIXELS, decode, read_file

_READ_AT_ONCE = 500  # rows of the catalogue

Pixels = npt.NDArray[Any]


@dataclass
class Added:
    """photos, texts: how many got tokens. unreadable: (path, reason) of photos that got none. replaced: others went."""

    photos: int = 0
    texts: int = 0
    unreadable: list[tuple[str, str]] = field(default_factory=list)
    replaced: bool = False
    seconds: float = 0.0

    def to_json(self) -> dict[str, int | float]:
        """The counts as `catalens index --add-tokens --json` prints them."""
        return {
            "photos": self.photos,
            "texts": self.texts,
            "unreadable": len(self.unreadable),
            "seconds": round(self.seconds, 3),
        }


@dataclass(frozen=True)
class _Photo:
    id: int
    path: str
    content_hash: str


def add_tokens(
    folder: Path,
    encoder: DualEncoder,
    *,
    on_progress: OnProgress | None = None,
    max_pixels: int = MAX_PIXELS,
) -> Added:
    """Give tokens to all photos and texts whose own are missing or damaged; from then on index runs keep them too.

    Photos are read from where they were indexed, and only if their bytes are still the same. Every batch is one
    transaction: a run that is stopped at any moment leaves a valid collection, and the next goes on from there. Tokens
    of another kind, which another release made, are replaced.

    Raises CollectionNotFound, CollectionLocked, StorageError; FingerprintMismatch where another model made the
    collection; EncoderError if this one gives no tokens.
    """
    started = perf_counter()
    spec = required_spec(encoder)
    database_status(folder)  # a writer would make a collection that is not there
    tell: OnProgress = on_progress or (lambda _: None)
    with open_writer(folder, encoder.spec) as writer, ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        added = Added(replaced=replace_others(writer.engine, writer.encoder_id, spec))
        drop_damaged(writer.engine, spec)
        bounds = limits(encoder.image_size**2 * BYTES_PER_PIXEL, free_memory())
        run = _Run(writer, Encoding(encoder, with_tokens=True), pool, bounds, tell, max_pixels, added)
        run.add_to_texts()
        run.add_to_photos()
    added.seconds = perf_counter() - started
    return added


@dataclass(frozen=True)
class _Run:
    writer: CollectionWriter
    encoding: Encoding
    pool: ThreadPoolExecutor
    limits: Limits
    tell: OnProgress
    max_pixels: int
    added: Added

    def add_to_texts(self) -> None:
        total = self._count("text")
        for batch in self._lacking("text", TEXTS_AT_ONCE):
            with self.writer.engine.connect() as connection:
                statement = select(texts.c.id, texts.c.content).where(texts.c.id.in_(batch))
                contents = {row.id: row.content for row in connection.execute(statement)}
            self._write("text", batch, self.encoding.texts([contents[owner_id] for owner_id in batch])[1])
            self.added.texts += len(batch)
            self.tell(Progress("text tokens", self.added.texts, total))

    def add_to_photos(self) -> None:
        total = self._count("image")
        waiting: list[tuple[_Photo, Pixels]] = []
        with closing(ahead(self._photos(), self._read, self.pool, self.limits.ahead)) as found:
            for photo, pixels in found:
                if isinstance(pixels, str):
                    self.added.unreadable.append((photo.path, pixels))
                else:
                    waiting.append((photo, pixels))
                if len(waiting) >= self.limits.at_once:
                    self._encode(waiting)
                    waiting.clear()
                self.tell(Progress("photo tokens", self.added.photos + len(self.added.unreadable), total))
        self._encode(waiting)
        if total:
            self.tell(Progress("photo tokens", total, total))

    def _count(self, modality: Modality) -> int:
        with self.writer.engine.connect() as connection:
            return count_without(connection, modality)

    def _lacking(self, modality: Modality, at_once: int) -> Iterator[list[int]]:
        last = 0
        while True:
            with self.writer.engine.connect() as connection:
                batch = owners_without(connection, modality, last, at_once)
            if not batch:
                return
            yield batch
            last = batch[-1]

    def _photos(self) -> Iterator[_Photo]:
        for batch in self._lacking("image", _READ_AT_ONCE):
            with self.writer.engine.connect() as connection:
                columns = select(photos.c.id, photos.c.path, photos.c.content_hash)
                rows = connection.execute(columns.where(photos.c.id.in_(batch)).order_by(photos.c.id)).all()
            yield from (_Photo(*row) for row in rows)

    def _read(self, photo: _Photo) -> Pixels | str:
        """The pixels of a photo, or why there are none. Runs in a worker thread."""
        encoder = self.encoding.encoder
        try:
            data = read_file(Path(photo.path))
            if hashlib.sha256(data).hexdigest() != photo.content_hash:
                return "changed since it was indexed; index its source again"
            return encoder.preprocess(decode(data, target=encoder.image_size, max_pixels=self.max_pixels).image)
        except ImageError as error:
            return str(error)
        except Exception as error:  # one picture that the preprocessing cannot take must not stop the run
            return f"cannot be prepared: {type(error).__name__}: {error}"

    def _encode(self, waiting: list[tuple[_Photo, Pixels]]) -> None:
        if not waiting:
            return
        _, tokens = self.encoding.images(np.stack([pixels for _, pixels in waiting]))
        useless = [photo.path for (photo, _), data in zip(waiting, tokens, strict=True) if data is None]
        self.added.unreadable += [(path, "the model gave no usable tokens") for path in useless]
        self._write("image", [photo.id for photo, _ in waiting], tokens)
        self.added.photos += len(waiting) - len(useless)

    def _write(self, modality: Modality, owner_ids: list[int], tokens: list[bytes | None]) -> None:
        rows = [
            {"owner_id": owner_id, "encoder_id": self.writer.encoder_id, "data": data}
            for owner_id, data in zip(owner_ids, tokens, strict=True)
            if data is not None
        ]
        if rows:
            with self.writer.engine.begin() as connection:
                connection.execute(insert(TOKENS[modality]), rows)
