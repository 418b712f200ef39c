"""Items put by a program: check -> encode what is new -> lock -> plan -> one transaction -> index."""

import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from indexer.encoding import Encoding
from indexer.items.draft import Draft, Planned, drafted, planned
from indexer.items.outcome import ItemOutcome, What, Written
from indexer.items.prepared import Prepared
from indexer.items.program import keep_up, program_source, upkeep_due
from indexer.items.uploads import uploads_around
from indexer.items.value import PutItem
from indexer.known import known_contents, known_files, known_hashes, known_items
from indexer.memory import BYTES_PER_PIXEL, free_memory, limits
from indexer.plan import Planner
from indexer.sources.base import PROGRAM_KIND
from indexer.state import Known
from indexer.tokens import goes_on
from indexer.writer import CollectionWriter, SourceRow, open_writer
from retrieval.catalogue import queries
from retrieval.catalogue.engine import reading_engine
from retrieval.catalogue.versions import mismatch, require_head, unfinished
from retrieval.encoders.base import DualEncoder
from retrieval.errors import CollectionNotFound
from retrieval.images import MAX_PIXELS
from retrieval.index.ladder import EXACT_ROWS

TWICE = "its id stands in this batch before"


def put_items(
    folder: Path,
    encoder: DualEncoder,
    items: Sequence[PutItem],
    *,
    max_pixels: int = MAX_PIXELS,
    exact_rows: int = EXACT_ROWS,
    with_upkeep: bool = True,
    create: bool = True,
) -> Written:
    """Add items, or change those of the same id, so that the next search finds them as they are given.

    An item that cannot be stored as it is fails alone and keeps what was stored of it: a photo that cannot be read, an
    id that stands in the batch before. All others are written in one transaction; before it nothing is there, after it
    everything, whatever happens to the process. Pictures whose bytes are known and texts that the item has already are
    not encoded again. The collection is locked while it is written, not while pictures are read and encoded.

    with_upkeep: then bring index and calibrations up to date where it pays; else the answer says if that is due.
    create: make the collection if there is none.
    Raises CollectionNotFound if it is not to be made; CollectionLocked, StorageError, CollectionDamaged,
    FingerprintMismatch.
    """
    at_once = limits(encoder.image_size**2 * BYTES_PER_PIXEL, free_memory()).at_once
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        drafts = list(_each_once(pool.map(lambda item: drafted(folder, item), items)))
        ahead = _look_ahead(folder, encoder, drafts, create=create)
        prepared = Prepared(Encoding(encoder, ahead.keeps_tokens), pool, max_pixels, at_once)
        prepared.encode_photos(
            {name: at for draft in drafts for name, at in draft.origins.items() if name not in ahead}
        )
        prepared.encode_texts(text for draft in drafts for text in draft.texts if (draft.item_id, text) not in ahead)
        with open_writer(folder, encoder.spec) as writer:
            return _write(writer, drafts, prepared, exact_rows, with_upkeep=with_upkeep)


def _each_once(drafts: Iterable[Draft]) -> Iterator[Draft]:
    seen: set[str] = set()
    for draft in drafts:
        yield Draft(draft.item_id, (TWICE,)) if draft.item_id in seen else draft
        seen.add(draft.item_id)


@dataclass(frozen=True)
class _Ahead:
    """What the collection has already: pictures by hash, texts with their item's id."""

    keeps_tokens: bool = False
    known: frozenset[str | tuple[str, str]] = frozenset()

    def __contains__(self, one: str | tuple[str, str]) -> bool:
        return one in self.known


def _look_ahead(folder: Path, encoder: DualEncoder, drafts: Sequence[Draft], *, create: bool) -> _Ahead:
    """The collection as it stands before it is locked; it may change meanwhile, and is looked at again then."""
    try:
        engine = reading_engine(folder)
    except CollectionNotFound:
        if not create:
            raise
        return _Ahead()
    try:
        with engine.connect() as connection, connection.begin():
            require_head(connection, folder)
            made_with = queries.encoder_row(connection)
            if made_with is None:
                raise unfinished(folder)
            if made_with.fingerprint != encoder.spec.fingerprint:
                raise mismatch(folder, made_with, encoder.spec)
            hashes = known_hashes(connection, sorted({name for draft in drafts for name in draft.origins}))
            stored = known_items(connection, [draft.item_id for draft in drafts if draft.observed is not None])
            texts = ((item_id, content) for item_id, item in stored.items() for _, content in item.texts)
            return _Ahead(goes_on(connection, encoder)[0], frozenset((*hashes, *texts)))
    finally:
        engine.dispose()


def _write(
    writer: CollectionWriter, drafts: Sequence[Draft], prepared: Prepared, exact_rows: int, *, with_upkeep: bool
) -> Written:
    source = program_source(writer)
    with writer.engine.connect() as connection:
        keeps_tokens, _ = goes_on(connection, prepared.encoding.encoder)
    if keeps_tokens != prepared.encoding.with_tokens:  # an index run began to keep them a moment ago
        encoding = Encoding(prepared.encoding.encoder, keeps_tokens)
        prepared = replace(prepared, encoding=encoding, photos={}, texts={})
    plans = _plans(writer, source, [draft for draft in drafts if draft.observed is not None])
    for one in plans.values():  # what was known when it was looked for, and has been deleted since
        prepared.encode_photos(one.unencoded)
        prepared.encode_texts(content for _, content in one.plan.add_texts)
    outcomes = [_outcome(draft, plans.get(draft.item_id), prepared) for draft in drafts]
    written = [plans[one.item_id] for one in outcomes if one.outcome in ("added", "updated")]
    if written:
        uploads = {name: data for one in written for name, data in one.draft.uploads.items()}
        dropped = [path for one in written for path in one.dropped]
        gone = [entry for one in written for entry in one.gone]
        with uploads_around(writer.folder, writer.engine, uploads, dropped):
            writer.store(source, [one.finished(prepared) for one in written], gone)
    due = bool(written) and upkeep_due(writer)
    if due and with_upkeep:
        keep_up(writer, prepared.encoding.encoder, exact_rows)
    with writer.engine.connect() as connection:
        return Written(tuple(outcomes), queries.revision(connection), due and not with_upkeep)


def _plans(writer: CollectionWriter, source: SourceRow, drafts: Sequence[Draft]) -> dict[str, Planned]:
    names = [draft.item_id for draft in drafts]
    hashes = sorted({name for draft in drafts for name in draft.origins})
    with writer.engine.connect() as connection:
        known = Known(
            known_items(connection, names),
            known_files(connection, source.id, names),
            known_contents(connection, hashes),
        )
    planner = Planner(source.id, PROGRAM_KIND, os.path.exists)
    observed = [draft.observed for draft in drafts if draft.observed is not None]
    made = planner.plan(observed, known)
    return {draft.item_id: planned(draft, plan, known) for draft, plan in zip(drafts, made, strict=True)}


def _outcome(draft: Draft, plan: Planned | None, prepared: Prepared) -> ItemOutcome:
    problems = draft.problems or (plan.problems(prepared) if plan else ())
    if problems or plan is None:
        return ItemOutcome(draft.item_id, "failed", problems)
    if plan.unchanged:
        return ItemOutcome(draft.item_id, "unchanged")
    what: What = "added" if plan.plan.item_key is None else "updated"
    return ItemOutcome(draft.item_id, what)
