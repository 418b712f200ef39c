"""Gives what a collection holds the tokens that it lacks, without embedding anything anew."""

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import numpy.typing as npt
from sqlalchemy import delete, insert, select

from indexer.changes import advance
from indexer.contents import Content, contents_without_tokens, hashes_of, known_tokens
from indexer.encoding import TEXTS_AT_ONCE, Encoding
from indexer.memory import BYTES_PER_PIXEL, free_memory, limits
from indexer.summary import MAX_PROBLEMS, Progress
from indexer.tokens import replace_others, required_spec
from indexer.writer import CollectionWriter, open_existing
from retrieval.ahead import ahead
from retrieval.catalogue import queries
from retrieval.catalogue.queries import Modality, chunks
from retrieval.catalogue.schema import texts
from retrieval.catalogue.token_queries import TOKENS, damaged, lacking_count, owners_without
from retrieval.catalogue.versions import mismatch, unfinished
from retrieval.encoders.base import DualEncoder
from retrieval.errors import ImageError
from retrieval.images import MAX_PIXELS, decode, read_file
from retrieval.tokens.value import TokenSpec

CHANGED = "changed since it was indexed; index its source again"


@dataclass
class TokensAdded:
    """photos, texts: that got tokens. failed: photos that got none, with (path, reason) of the first MAX_PROBLEMS.

    encoded: photos that went through the model; the others have the bytes of one that did. replaced: the collection
    kept tokens of another kind before, which are gone.
    """

    photos: int = 0
    texts: int = 0
    encoded: int = 0
    failed: int = 0
    replaced: bool = False
    seconds: float = 0.0
    problems: list[tuple[str, str]] = field(default_factory=list)

    def to_json(self) -> dict[str, int | float | bool]:
        """The counts as `catalens index --add-tokens --json` prints them."""
        names = "photos", "texts", "encoded", "failed", "replaced"
        return {name: getattr(self, name) for name in names} | {"seconds": round(self.seconds, 3)}


def made_with(folder: Path) -> str:
    """The model of a collection, whose schema is brought up to date. Raises as `add_tokens` does."""
    with open_existing(folder) as writer, writer.engine.connect() as connection:
        found = queries.encoder_row(connection)
    if found is None:
        raise unfinished(folder)
    return found.name


def add_tokens(
    folder: Path, encoder: DualEncoder, *, on_progress: Callable[[Progress], None] = lambda _: None
) -> TokensAdded:
    """From now on keep tokens, and give them to each photo and text that has none, or damaged ones.

    Photos are read from where they were indexed, and only if they still have the bytes of then; equal ones go through
    the model once. Every batch is committed, so a run that is stopped is gone on with by the next.

    Raises EncoderError for a model without tokens, FingerprintMismatch for another model than the collection's;
    CollectionNotFound, CollectionLocked, CollectionDamaged, StorageError.
    """
    started = perf_counter()
    spec = required_spec(encoder)
    with open_existing(folder) as writer, ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        run = _Adding(writer, encoder, spec, pool, on_progress)
        run.prepare()
        run.add_to_photos()
        run.add_to_texts()
    run.added.seconds = perf_counter() - started
    return run.added


class _Adding:
    def __init__(
        self,
        writer: CollectionWriter,
        encoder: DualEncoder,
        spec: TokenSpec,
        pool: ThreadPoolExecutor,
        tell: Callable[[Progress], None],
    ) -> None:
        self.added = TokensAdded()
        self._writer, self._encoder, self._spec, self._pool, self._tell = writer, encoder, spec, pool, tell
        self._encoding = Encoding(encoder, with_tokens=True)
        self._limits = limits(encoder.image_size**2 * BYTES_PER_PIXEL, free_memory())
        self._total: Mapping[Modality, int] = {}

    def prepare(self) -> None:
        """Leave the collection with none but whole tokens of this kind."""
        with self._writer.engine.connect() as connection:
            stored = queries.encoder_row(connection)
        if stored is None:
            raise unfinished(self._writer.folder)
        if stored.fingerprint != self._encoder.spec.fingerprint:
            raise mismatch(self._writer.folder, stored, self._encoder.spec)
        self.added.replaced = replace_others(self._writer.engine, self._writer.encoder_id, self._spec)
        for modality, table in TOKENS.items():
            with self._writer.engine.begin() as connection:
                for chunk in chunks(list(damaged(connection, modality, self._spec))):
                    connection.execute(delete(table).where(table.c.owner_id.in_(chunk)))
        with self._writer.engine.connect() as connection:
            self._total = {modality: lacking_count(connection, modality) for modality in queries.MODALITIES}

    def add_to_photos(self) -> None:
        # Closed at once when the run is stopped: Ctrl-C must not wait for a window of photos that nobody wants now.
        with closing(ahead(self._contents(), self._decode, self._pool, self._limits.ahead)) as found:
            waiting: list[tuple[Content, npt.NDArray[Any]]] = []
            for content, pixels in found:
                if isinstance(pixels, str):
                    self._fail(content, pixels)
                    continue
                waiting.append((content, pixels))
                if len(waiting) == self._limits.at_once:
                    self._encode(waiting)
                    waiting.clear()
            self._encode(waiting)

    def add_to_texts(self) -> None:
        after = 0
        while True:
            with self._writer.engine.connect() as connection:
                owners = owners_without(connection, "text", after, TEXTS_AT_ONCE)
                rows = connection.execute(select(texts.c.id, texts.c.content).where(texts.c.id.in_(owners))).all()
            if not owners:
                return
            after = owners[-1]
            _, tokens = self._encoding.texts([row.content for row in rows])
            self.added.texts += self._store("text", [(row.id, data) for row, data in zip(rows, tokens, strict=True)])
            self._tell(Progress("texts", self.added.texts, self._total["text"]))

    def _contents(self) -> Iterator[Content]:
        """What is to be encoded. Photos whose bytes have tokens already get them on the way."""
        after = 0
        begun: set[str] = set()  # 12 MB at 100,000 photos; what waits for the model is not to be begun again
        while True:
            with self._writer.engine.connect() as connection:
                owners = owners_without(connection, "image", after, queries.MAX_PARAMETERS)
                names = [name for name in hashes_of(connection, owners) if name not in begun]
                contents = contents_without_tokens(connection, names)
                known = known_tokens(connection, names)
            if not owners:
                return
            after = owners[-1]
            begun.update(names)
            copies = [(owner, data) for name, data in known.items() for owner in contents[name].owners]
            self.added.photos += self._store("image", copies)
            yield from (one for name, one in contents.items() if name not in known)

    def _decode(self, content: Content) -> npt.NDArray[Any] | str:
        """The pixels from the first place that still has the bytes, or why there are none. Runs in a worker thread."""
        reasons = []
        for path, size in content.places:
            try:
                data = read_file(Path(path))
                if hashlib.sha256(data).hexdigest() != content.content_hash:
                    reasons.append(CHANGED)
                    continue
                # It was indexed, perhaps with a higher --max-pixels than usual.
                picture = decode(data, target=self._encoder.image_size, max_pixels=max(MAX_PIXELS, size))
                return self._encoder.preprocess(picture.image)
            except ImageError as error:
                reasons.append(str(error))
            except Exception as error:  # one picture that the preprocessing cannot take must not stop the run
                reasons.append(f"cannot be prepared: {type(error).__name__}: {error}")
        return reasons[0]

    def _encode(self, waiting: Sequence[tuple[Content, npt.NDArray[Any]]]) -> None:
        if not waiting:
            return
        _, tokens = self._encoding.images(np.stack([pixels for _, pixels in waiting]))
        rows: list[tuple[int, bytes | None]] = []
        for (content, _), data in zip(waiting, tokens, strict=True):
            rows += [(owner, data) for owner in content.owners]
            if data is None:
                self._fail(content, "the model gave no usable tokens")
        self.added.encoded += len(waiting)
        self.added.photos += self._store("image", rows)
        self._tell(Progress("photos", self.added.photos + self.added.failed, self._total["image"]))

    def _store(self, modality: Modality, rows: Sequence[tuple[int, bytes | None]]) -> int:
        encoder_id = self._writer.encoder_id
        whole = [
            {"owner_id": owner, "encoder_id": encoder_id, "data": data} for owner, data in rows if data is not None
        ]
        for chunk in chunks(whole):  # one picture may be shown by 100,000 items: 1 GB of tokens
            with self._writer.engine.begin() as connection:
                connection.execute(insert(TOKENS[modality]), chunk)
                advance(connection)
        return len(whole)

    def _fail(self, content: Content, reason: str) -> None:
        self.added.failed += len(content.owners)
        room = MAX_PROBLEMS - len(self.added.problems)
        self.added.problems += [(path, reason) for path, _ in islice(content.places, room)]
