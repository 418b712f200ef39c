"""One photo's whole way: source -> plan -> decode -> encode -> one database transaction -> index."""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from time import perf_counter

import numpy as np

from indexer.calibration import recalibrate
from indexer.changes import FinishedItem
from indexer.compaction import compact
from indexer.encoding import Decoded, EncodeQueue, Encoding, Working, as_stored
from indexer.items.uploads import sweep_uploads
from indexer.known import known_contents, known_files, known_items
from indexer.memory import BYTES_PER_PIXEL, Limits, free_memory, limits
from indexer.observe import observe
from indexer.plan import Action, ItemPlan, Outcome, PhotoPlan, Planner
from indexer.sources.base import Rejected, Source, SourceItem
from indexer.state import Known
from indexer.summary import Progress, Summary
from indexer.tokens import goes_on, lacking, required_spec, start_keeping
from indexer.writer import CollectionWriter, open_writer
from retrieval.ahead import ahead
from retrieval.arrays import FloatArray
from retrieval.catalogue import queries
from retrieval.encoders.base import DualEncoder
from retrieval.errors import ImageError
from retrieval.images import MAX_PIXELS, decode_file
from retrieval.index.ladder import EXACT_ROWS

CHUNK = 256  # items planned at once: five queries a chunk
UNSTORED = 512  # finished items that need no encoding wait for company at most this long
# Photos stored between two looks at the index in a long run: a reader of an unfinished collection never has more than
# these to search one by one. A rebuild at 100,000 rows takes seconds, encoding 8,192 photos minutes.
COMPACT_EVERY = 8_192

OnProgress = Callable[[Progress], None]


def index_sources(
    folder: Path,
    sources: Sequence[Source],
    encoder: DualEncoder,
    *,
    on_progress: OnProgress | None = None,
    max_pixels: int = MAX_PIXELS,
    retry_failed: bool = False,
    exact_rows: int = EXACT_ROWS,
    rerank_tokens: bool = False,
) -> Summary:
    """Bring a collection up to date with its sources, making it if it does not exist.

    Every batch is committed as it is finished: a run that is stopped at any moment leaves a valid collection, and the
    next run goes on from there. Other sources of the collection are left alone. One bad photo is counted and reported.
    max_pixels: photos with more are refused. retry_failed: also read the files again that failed three times; a higher
    cap than usual does so by itself. exact_rows: up to how many rows the index is an exact scan. rerank_tokens: from
    now on keep for each new photo and text what a reranker looks at; a collection that does so goes on without asking.

    Raises CollectionLocked, StorageError, FingerprintMismatch, EncoderError when the model has no tokens that are asked
    for; SourceError when a source breaks while it is read.
    """
    started = perf_counter()
    tell: OnProgress = on_progress or (lambda _: None)
    # Threads, not processes: Pillow releases the interpreter's lock. Pixels of processes would have to be sent over.
    spec = required_spec(encoder) if rerank_tokens else None
    with open_writer(folder, encoder.spec) as writer, ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        if spec is not None:
            start_keeping(writer.engine, folder, writer.encoder_id, spec)
        with writer.engine.connect() as connection:
            with_tokens, note = goes_on(connection, encoder)
        run = _Run(
            writer=writer,
            encoder=encoder,
            encoding=Encoding(encoder, with_tokens),
            pool=pool,
            tell=tell,
            total=sum(source.count() for source in sources),
            max_pixels=max_pixels,
            retry_failed=retry_failed or max_pixels > MAX_PIXELS,
            exact_rows=exact_rows,
            limits=limits(encoder.image_size**2 * BYTES_PER_PIXEL, free_memory()),
        )
        folders = []
        for source in sources:
            one = _SourceRun(source, run)
            one.run()
            run.earlier[one.row.id] = one.row.location
            if one.row.kind == "folder":
                folders.append(one)  # what left one folder may have moved to the next: look there before removing it
            else:
                one.finish()
        for one in folders:
            one.finish()
        if run.summary.removed or run.summary.taken_over:
            sweep_uploads(folder, writer.engine)
        compact(folder, writer.engine, lambda done, rows: tell(Progress("index", done, rows)), exact_rows=exact_rows)
        recalibrate(folder, writer.engine, encoder)
        if with_tokens:
            with writer.engine.connect() as connection:
                note = lacking(connection)
    if note:
        run.summary.notes.append(note)
    run.summary.seconds = perf_counter() - started
    return run.summary


@dataclass
class _Run:
    """What the sources of one run share. earlier: sources that are done, by id, with their location."""

    writer: CollectionWriter
    encoder: DualEncoder
    encoding: Encoding
    pool: ThreadPoolExecutor
    tell: OnProgress
    total: int
    max_pixels: int
    retry_failed: bool
    exact_rows: int
    limits: Limits
    earlier: dict[int, str] = field(default_factory=dict)
    summary: Summary = field(default_factory=Summary)
    stored_since_compaction: int = 0

    def tell_photos(self) -> None:
        self.tell(Progress("photos", sum(self.summary.outcomes.values()), self.total))

    def compact_now_and_then(self, stored: int) -> None:
        """Keep the index near what is stored while an exact one is enough; a larger one is built once, at the end."""
        self.stored_since_compaction += stored
        if self.stored_since_compaction < COMPACT_EVERY:
            return
        self.stored_since_compaction = 0
        with self.writer.engine.connect() as connection:
            rows = queries.rows_after(connection, "image", 0)
        if rows <= self.exact_rows:
            compact(self.writer.folder, self.writer.engine, lambda *_: None, exact_rows=self.exact_rows)


class _SourceRun:
    """Indexes one source. The tasks that flow through the decoder are photos, and after an item's last one the item."""

    def __init__(self, source: Source, run: _Run) -> None:
        self._source = source
        self._run = run
        self.row, self._seen = run.writer.register(source)
        self._planner = Planner(self.row.id, self.row.kind, os.path.exists, run.earlier)
        self._rejected: list[Rejected] = []
        self._working: list[Working] = []
        self._queue = EncodeQueue(run.encoding, run.limits.at_once)

    def run(self) -> None:
        """Index what the source names."""
        # Closed at once when the run is stopped: Ctrl-C must not wait for a window of photos that nobody wants now.
        with closing(ahead(self._tasks(), self._decode, self._run.pool, self._run.limits.ahead)) as photos:
            for (item, photo), decoded in photos:
                self._take(item, photo, decoded)
        self._encode()
        self._store()
        self._run.summary.notes.extend(self._source.remarks())

    def finish(self) -> None:
        """Remove what the source no longer names."""
        removed, kept = self._run.writer.finish(self.row, self._seen, self._rejected)
        self._run.summary.removed += removed
        if kept:
            unreadable = sum(entry.unreadable for entry in self._rejected)
            self._run.summary.notes.append(
                f"{kept:,} stored photos that {self.row.location} does not name were kept, because {unreadable:,} of "
                "its rows cannot be read; mend them and run again"
            )

    def _take(self, item: Working, photo: PhotoPlan | None, decoded: Decoded | str | None) -> None:
        if photo is None:
            item.ended = True
            self._working.append(item)
        elif decoded is not None:
            self._queue.add(photo, decoded)
        if self._queue.full:
            self._encode()
            self._store()
        elif len(self._working) >= UNSTORED:
            self._store()

    def _tasks(self) -> Iterator[tuple[Working, PhotoPlan | None]]:
        for plan in self._plans():
            if plan.rejected:
                self._reject(Rejected(plan.item.where or plan.item.item_id, plan.rejected))
                continue
            for photo in plan.photos:
                if photo.ledger_id is not None:
                    self._seen.add(photo.ledger_id)
            item = Working(plan)
            if plan.settled:
                self._count(item.finished())
                continue
            for photo in plan.photos:
                if photo.action is Action.ENCODE and self._queue.expect(item, photo):
                    yield item, photo
            yield item, None

    def _plans(self) -> Iterator[ItemPlan]:
        entries = self._source.items()
        while chunk := list(islice(entries, CHUNK)):
            found = [entry for entry in chunk if isinstance(entry, SourceItem)]
            for entry in chunk:
                if isinstance(entry, Rejected):
                    self._reject(entry)
            names = [item.item_id for item in found]
            engine = self._run.writer.engine
            with engine.connect() as connection:
                files = known_files(connection, self.row.id, names, forget_attempts=self._run.retry_failed)
                stored = known_items(connection, names)
            observed = observe(found, files, self._run.pool)
            hashes = sorted({photo.content_hash for one in observed for photo in one.photos if photo.content_hash})
            with engine.connect() as connection:
                contents = known_contents(connection, hashes)
            plans = self._planner.plan(observed, Known(stored, files, contents))
            troubled = {plan.item.item_id for plan in plans if any(p.action is Action.FAIL for p in plan.photos)}
            for (item_id, _), file in files.items():
                # What an item had stays while any of its photos cannot be read: with a forgotten --images-dir none can.
                if item_id in troubled:
                    self._seen.add(file.ledger_id)
            yield from plans
            self._run.tell_photos()

    def _decode(self, task: tuple[Working, PhotoPlan | None]) -> Decoded | str | None:
        """The pixels of a photo, or why there are none. Runs in a worker thread."""
        _, photo = task
        if photo is None:
            return None
        encoder = self._run.encoder
        try:
            picture = decode_file(Path(photo.path), target=encoder.image_size, max_pixels=self._run.max_pixels)
            return Decoded(encoder.preprocess(picture.image), picture.width, picture.height)
        except ImageError as error:
            return str(error)
        except Exception as error:  # one picture that the preprocessing cannot take must not stop the run
            return f"cannot be prepared: {type(error).__name__}: {error}"

    def _encode(self) -> None:
        self._run.summary.embedded += self._queue.encode()

    def _store(self) -> None:
        finished = [item.finished() for item in self._working if item.ready]
        if not finished:
            return
        contents = [text for one in finished if self.row.keeps(one) for _, text in one.plan.add_texts]
        # A text that the model cannot place becomes a zero vector: it is stored, and its score is 0 with every query.
        vectors, tokens = self._run.encoding.texts(contents)
        encoded = zip(np.nan_to_num(vectors, nan=0, posinf=0, neginf=0), tokens, strict=True)
        finished = [self._with_texts(one, encoded) if self.row.keeps(one) else one for one in finished]
        self._run.writer.store(self.row, finished)
        self._run.summary.embedded_texts += len(contents)
        self._working = [item for item in self._working if not item.ready]
        for one in finished:
            self._count(one)
        self._run.tell_photos()
        self._run.compact_now_and_then(len(finished))

    def _with_texts(self, finished: FinishedItem, encoded: Iterator[tuple[FloatArray, bytes | None]]) -> FinishedItem:
        """With as many of the encoded texts as it adds."""
        mine = list(islice(encoded, len(finished.plan.add_texts)))
        return replace(
            finished,
            text_vectors=[as_stored(vector) for vector, _ in mine],
            text_tokens=[data for _, data in mine],
        )

    def _count(self, finished: FinishedItem) -> None:
        summary, plan = self._run.summary, finished.plan
        summary.removed += len(plan.drop_photos)
        summary.taken_over += plan.taken_over
        for photo in plan.photos:
            outcome, reason = finished.outcome(photo)
            summary.count(outcome, photo.path or plan.item.where or plan.item.item_id, reason)
            if photo.action is Action.DROP:
                summary.removed += 1

    def _reject(self, entry: Rejected) -> None:
        self._rejected.append(entry)
        self._run.summary.rejected += 1
        self._run.summary.count(Outcome.SKIPPED, entry.where, entry.reason)
