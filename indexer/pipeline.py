"""One photo's whole way: source -> plan -> decode -> encode -> one database transaction -> index."""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import numpy.typing as npt

from indexer.changes import EncodedPhoto, FinishedItem
from indexer.compaction import compact
from indexer.decode import ahead
from indexer.known import known_contents, known_files, known_items
from indexer.observe import observe
from indexer.plan import Action, ItemPlan, Known, Outcome, PhotoPlan, Planner
from indexer.sources.base import Rejected, Source, SourceItem
from indexer.summary import Progress, Summary
from indexer.writer import CollectionWriter, SeenEntries, SourceRow, open_writer
from retrieval.catalogue.queries import STORED_DTYPE
from retrieval.encoders.base import DualEncoder, FloatArray
from retrieval.errors import ImageError
from retrieval.images import MAX_PIXELS, decode_file
from retrieval.index.ladder import EXACT_ROWS

CHUNK = 256  # items planned at once: five queries a chunk
BATCH = 32  # photos encoded at once, and about as many stored in one transaction
WINDOW = 3 * BATCH  # photos decoded ahead: 20 MB at 260 pixels, and the encoder never waits for one slow file
UNSTORED = 512  # finished items that need no encoding wait for company at most this long

OnProgress = Callable[[Progress], None]
Pixels = npt.NDArray[Any]


@dataclass(frozen=True)
class Decoded:
    """pixels: as the encoder wants them; width, height: of the original."""

    pixels: Pixels
    width: int
    height: int


@dataclass
class _Working:
    """An item on its way through the encoder. pending: photos without a result; ended: its last photo was decoded."""

    plan: ItemPlan
    encoded: dict[str, EncodedPhoto] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    pending: int = 0
    ended: bool = False

    @property
    def ready(self) -> bool:
        return self.ended and not self.pending


def index_sources(
    folder: Path,
    sources: Sequence[Source],
    encoder: DualEncoder,
    *,
    on_progress: OnProgress | None = None,
    max_pixels: int = MAX_PIXELS,
    exact_rows: int = EXACT_ROWS,
) -> Summary:
    """Bring a collection up to date with its sources, making it if it does not exist.

    Every batch is committed as it is finished: a run that is stopped at any moment leaves a valid collection, and the
    next run goes on from there. Other sources of the collection are left alone. One bad photo is counted and reported.
    max_pixels: photos with more are refused. exact_rows: up to how many rows the index is an exact scan.

    Raises CollectionLocked, StorageError, FingerprintMismatch; SourceError when a source breaks while it is read.
    """
    started = perf_counter()
    summary = Summary()
    tell: OnProgress = on_progress or (lambda _: None)
    total = sum(source.count() for source in sources)
    with (
        open_writer(folder, encoder.spec) as writer,
        ThreadPoolExecutor(max_workers=os.cpu_count()) as pool,
    ):
        earlier: dict[int, str] = {}
        for source in sources:
            run = _SourceRun(source, writer, encoder, pool, summary, tell, total, max_pixels, earlier)
            run.run()
            earlier[run.row.id] = run.row.location
        compact(
            folder,
            writer.engine,
            lambda done, rows: tell(Progress("index", done, rows)),
            exact_rows=exact_rows,
        )
    summary.seconds = perf_counter() - started
    return summary


class _SourceRun:
    """Indexes one source. The tasks that flow through the decoder are photos, and after an item's last one the item."""

    def __init__(
        self,
        source: Source,
        writer: CollectionWriter,
        encoder: DualEncoder,
        pool: ThreadPoolExecutor,
        summary: Summary,
        on_progress: OnProgress,
        total: int,
        max_pixels: int,
        earlier: dict[int, str],
    ) -> None:
        self.source = source
        self.writer = writer
        self.encoder = encoder
        self.pool = pool
        self.summary = summary
        self.on_progress = on_progress
        self.total = total
        self.max_pixels = max_pixels
        self.row: SourceRow
        self.seen: SeenEntries
        self.row, self.seen = writer.register(source)
        self.planner = Planner(self.row.id, self.row.kind, os.path.exists, earlier)
        self.rejected: list[tuple[str, str]] = []
        self.working: list[_Working] = []
        self.waiting: list[tuple[_Working, PhotoPlan, Decoded]] = []
        # Photos on their way to the encoder by content, with others of the same bytes that wait for their result.
        self.twins: dict[str, list[tuple[_Working, PhotoPlan]]] = {}

    def run(self) -> None:
        # Closed at once when the run is stopped: Ctrl-C must not wait for a window of photos that nobody wants now.
        with closing(ahead(self._tasks(), self._decode, self.pool, WINDOW)) as photos:
            for (item, photo), decoded in photos:
                self._take(item, photo, decoded)
        self._encode()
        self._store()
        self.summary.removed += self.writer.finish(self.row, self.seen, self.rejected)

    def _take(self, item: _Working, photo: PhotoPlan | None, decoded: Decoded | str | None) -> None:
        if photo is None:
            item.ended = True
            self.working.append(item)
        elif isinstance(decoded, Decoded):
            self.waiting.append((item, photo, decoded))
        else:
            self._settle(item, photo, str(decoded))
        if len(self.waiting) >= BATCH:
            self._encode()
            self._store()
        elif len(self.working) >= UNSTORED:
            self._store()

    def _tasks(self) -> Iterator[tuple[_Working, PhotoPlan | None]]:
        for plan in self._plans():
            if plan.rejected:
                self._reject(plan.item.where or plan.item.item_id, plan.rejected)
                continue
            for photo in plan.photos:
                if photo.ledger_id is not None:
                    self.seen.add(photo.ledger_id)
            item = _Working(plan)
            if plan.settled:
                self._count(FinishedItem(plan))
                continue
            for photo in plan.photos:
                if photo.action is not Action.ENCODE:
                    continue
                item.pending += 1
                if photo.content_hash in self.twins:
                    self.twins[photo.content_hash].append((item, photo))
                else:
                    self.twins[photo.content_hash] = []
                    yield item, photo
            yield item, None

    def _plans(self) -> Iterator[ItemPlan]:
        entries = self.source.items()
        while chunk := list(islice(entries, CHUNK)):
            found = [entry for entry in chunk if isinstance(entry, SourceItem)]
            for entry in chunk:
                if isinstance(entry, Rejected):
                    self._reject(entry.where, entry.reason)
            names = [item.item_id for item in found]
            with self.writer.engine.connect() as connection:
                files = known_files(connection, self.row.id, names)
                stored = known_items(connection, names)
            observed = observe(found, files, self.pool)
            hashes = sorted({photo.content_hash for one in observed for photo in one.photos if photo.content_hash})
            with self.writer.engine.connect() as connection:
                contents = known_contents(connection, hashes)
            yield from self.planner.plan(observed, Known(stored, files, contents))
            self._tell()

    def _decode(self, task: tuple[_Working, PhotoPlan | None]) -> Decoded | str | None:
        """The pixels of a photo, or why there are none. Runs in a worker thread."""
        _, photo = task
        if photo is None:
            return None
        try:
            picture = decode_file(Path(photo.path), target=self.encoder.image_size, max_pixels=self.max_pixels)
            return Decoded(self.encoder.preprocess(picture.image), picture.width, picture.height)
        except ImageError as error:
            return str(error)
        except Exception as error:  # one picture that the preprocessing cannot take must not stop the run
            return f"cannot be prepared: {type(error).__name__}: {error}"

    def _encode(self) -> None:
        if not self.waiting:
            return
        vectors = self.encoder.encode_images(np.stack([decoded.pixels for _, _, decoded in self.waiting]))
        for (item, photo, decoded), vector in zip(self.waiting, vectors, strict=True):
            usable = bool(np.isfinite(vector).all())
            encoded = EncodedPhoto(decoded.width, decoded.height, _as_stored(vector)) if usable else None
            self._settle(item, photo, encoded or "the model gave no usable vector")
        self.summary.embedded += len(vectors)
        self.waiting.clear()

    def _settle(self, item: _Working, photo: PhotoPlan, result: EncodedPhoto | str) -> None:
        """Give the result, or why there is none, to a photo and to those with the same bytes."""
        for one, twin in [(item, photo), *self.twins.pop(photo.content_hash)]:
            one.pending -= 1
            if isinstance(result, EncodedPhoto):
                one.encoded[twin.path] = result
            else:
                one.failures[twin.path] = result

    def _store(self) -> None:
        finished = [FinishedItem(item.plan, item.encoded, item.failures) for item in self.working if item.ready]
        if not finished:
            return
        contents = [text for one in finished if self.row.keeps(one) for _, text in one.plan.add_texts]
        # A text that the model cannot place becomes a zero vector: it is stored, and matches nothing.
        vectors = iter(np.nan_to_num(self.encoder.encode_texts(contents), nan=0, posinf=0, neginf=0))
        finished = [
            replace(one, text_vectors=[_as_stored(next(vectors)) for _ in one.plan.add_texts])
            if self.row.keeps(one)
            else one
            for one in finished
        ]
        self.writer.store(self.row, finished)
        self.summary.embedded_texts += len(contents)
        self.working = [item for item in self.working if not item.ready]
        for one in finished:
            self._count(one)
        self._tell()

    def _count(self, finished: FinishedItem) -> None:
        where = finished.plan.item.where
        self.summary.removed += len(finished.plan.drop_photos)
        for photo in finished.plan.photos:
            outcome, reason = finished.outcome(photo)
            self.summary.count(outcome, photo.path or where or finished.plan.item.item_id, reason)
            if photo.action is Action.DROP:
                self.summary.removed += 1

    def _reject(self, where: str, reason: str) -> None:
        self.rejected.append((where, reason))
        self.summary.count(Outcome.SKIPPED, where, reason)

    def _tell(self) -> None:
        self.on_progress(Progress("photos", sum(self.summary.outcomes.values()), self.total))


def _as_stored(vector: FloatArray) -> bytes:
    return vector.astype(STORED_DTYPE).tobytes()
