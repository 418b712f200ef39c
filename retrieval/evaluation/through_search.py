"""One model on one set through a collection's own search: what index, newer and deleted rows cost shows."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from time import perf_counter

import numpy as np

from retrieval.arrays import FloatArray
from retrieval.catalogue.queries import Modality
from retrieval.collection import Collection
from retrieval.encoders.base import DualEncoder
from retrieval.errors import EvaluationError
from retrieval.evaluation.embed import OnProgress, embed_images, embed_texts
from retrieval.evaluation.evaluate import attributes_of, kinds
from retrieval.evaluation.evaluation import Evaluation
from retrieval.evaluation.judge import judge
from retrieval.evaluation.matching import Matched, Owners, count_own_words, match_images, match_texts
from retrieval.evaluation.measures.registry import DEFAULT_MEASURES, parse_all
from retrieval.evaluation.ranking import DEPTH
from retrieval.evaluation.relevance import Relevance, named, refuse_duplicates
from retrieval.evaluation.types import Direction, EvaluationSet, Ranking, Task, TaskResult
from retrieval.images import MAX_PIXELS
from retrieval.index.base import NO_ID, IdMask
from retrieval.index.view import VectorView
from retrieval.search import Searcher

QUERY_BLOCK = 32
"""Queries searched at once: an approximate index fetches the stored vectors of 40 candidates for each."""


def evaluate_through_search(
    dataset: EvaluationSet,
    collection: Collection,
    encoder: DualEncoder,
    *,
    by: Modality = "image",
    measures: Iterable[str] = DEFAULT_MEASURES,
    on_progress: OnProgress | None = None,
    max_pixels: int = MAX_PIXELS,
    seed: int = 0,
) -> Evaluation:
    """Judge the search of a collection that holds the pictures of a set; what is compared are its stored vectors.

    by: how pictures are found: `image` by their own vectors, `text` by the titles and texts of their items.
    An image of the set is the photo at the same absolute path, else the same file in the item with the image's id. A
    text that is a document is any text of the collection with the very same words.
    Documents of the collection that the set does not have are filtered out of the search, so that figures compare with
    those of `evaluate`. Search is asked for as many documents as the measures look at, as a person would ask: a right
    answer beyond has no rank, and a median rank beyond is infinite.
    A direction whose documents are texts that the collection does not all have is left out, with a note.

    Raises FingerprintMismatch when the encoder did not make the collection; EvaluationError, with counts, when images
    of the set are not in the collection, when more than half of the queries are the texts that they would find, when
    the collection changes meanwhile, when nothing is left to judge, and as `evaluate` does.
    """
    started = perf_counter()
    Searcher(collection, encoder)  # raises FingerprintMismatch
    wanted = parse_all(measures)
    depth = max((measure.cutoff for measure in wanted if measure.cutoff is not None), default=DEPTH)
    _check(dataset)
    notes, results, view = list(dataset.notes), dict[Direction, TaskResult](), collection.view()
    if any(measure.cutoff is None for measure in wanted):
        notes.append(f"search was asked for {depth:,} answers a query; a rank beyond them counts as infinite")
    labels = []
    images = {image.image_id: image for image in dataset.images}
    texts = {text.text_id: text for text in dataset.texts}
    for task in dataset.tasks:
        asked, answered = kinds(task)
        modality: Modality = "text" if answered == "text" or by == "text" else "image"
        if answered == "text":
            found = match_texts(collection, view, [texts[name] for name in task.document_ids])
        else:
            found = match_images(collection, view, [images[name] for name in task.document_ids], modality)
        if found.missing and answered == "text":
            notes.append(
                f"{task.direction} was left out: {len(found.missing):,} of {len(task.document_ids):,} texts of the set "
                f"are no texts of the collection"
            )
            continue
        if found.missing:
            raise _not_there(collection, found, len(task.document_ids), modality)
        if found.by_id:
            notes.append(f"{found.by_id:,} of {len(task.document_ids):,} images were matched by item id, not by path")
        if asked == "text":
            entries = [texts[name] for name in task.query_ids]
            if answered == "image" and modality == "text":
                _refuse_own_words(collection, found.owners, task, {entry.text_id: entry.text for entry in entries})
            queries = embed_texts(entries, encoder, on_progress=on_progress)
            attributes = attributes_of(entries)
        else:
            pictures = [images[name] for name in task.query_ids]
            queries = embed_images(pictures, encoder, on_progress=on_progress, max_pixels=max_pixels)
            attributes = attributes_of(pictures)
        ranking = _rank(collection, view.of(modality), modality, task, queries, found.owners, depth, on_progress)
        names = [measure.name for measure in wanted]
        results[task.direction] = judge(task, ranking, names, attributes=attributes, seed=seed)
        labels.append(f"{modality} {_kind(view.of(modality))}")
    if collection.view() is not view:
        raise EvaluationError(f"the collection changed while it was judged: {collection.folder}", hint="run it again")
    if not results:
        raise EvaluationError(
            f"nothing of '{dataset.name}' can be judged through {collection.folder}: {'; '.join(notes)}",
            hint="judge the model alone: leave out --collection",
        )
    return Evaluation(
        dataset=replace(dataset, notes=tuple(notes)),
        model=encoder.spec.name,
        fingerprint=encoder.spec.fingerprint,
        search=f"collection ({', '.join(dict.fromkeys(labels))})",
        results=results,
        seconds=perf_counter() - started,
    )


def _check(dataset: EvaluationSet) -> None:
    refuse_duplicates("image", [image.image_id for image in dataset.images])
    refuse_duplicates("text", [text.text_id for text in dataset.texts])
    known = {"image": {i.image_id for i in dataset.images}, "text": {t.text_id for t in dataset.texts}}
    for task in dataset.tasks:
        Relevance.of_task(task)
        for kind, ids in zip(kinds(task), (task.query_ids, task.document_ids), strict=True):
            unknown = [name for name in ids if name not in known[kind]]
            if unknown or not ids:
                raise EvaluationError(
                    f"{task.direction} of '{dataset.name}' has {len(ids):,} {kind}s, of which the set lacks "
                    f"{len(unknown):,}: {named(unknown)}",
                    hint="mend the set",
                )


def _rank(
    collection: Collection,
    view: VectorView,
    modality: Modality,
    task: Task,
    queries: FloatArray,
    owners: Owners,
    depth: int,
    on_progress: OnProgress | None,
) -> Ranking:
    width = min(depth, len(task.document_ids))
    top = np.full((len(queries), width), NO_ID, dtype=np.int64)
    scores = np.full((len(queries), width), -np.inf, dtype=np.float32)
    allowed = IdMask(np.zeros(view.last_owner_id + 1, dtype=np.bool_))
    allowed.allowed[list(owners)] = True
    relevance = Relevance.of_task(task)
    ranks = []
    for start in range(0, len(queries), QUERY_BLOCK):
        block = queries[start : start + QUERY_BLOCK]
        for query, found in enumerate(_search(collection, view, allowed, modality, block, owners, width), start):
            # Equal scores stand in the order of the set, as everywhere in evaluation.
            best = sorted(found.items(), key=lambda one: (-one[1], one[0]))[:width]
            top[query, : len(best)] = [position for position, _ in best]
            scores[query, : len(best)] = [score for _, score in best]
            ranks.append(np.flatnonzero(np.isin(top[query], relevance.documents[relevance.of(query)])) + 1)
        if on_progress:
            on_progress(task.direction, min(start + QUERY_BLOCK, len(queries)), len(queries))
    return Ranking(top, scores, ranks)


def _search(
    collection: Collection,
    view: VectorView,
    allowed: IdMask,
    modality: Modality,
    queries: FloatArray,
    owners: Owners,
    width: int,
) -> list[dict[int, float]]:
    """For each query the score of each document found, that of its best row; at least `width` where there are."""
    found: list[dict[int, float]] = [{} for _ in queries]
    short, wanted = list(range(len(queries))), width
    while True:
        # A document with several rows takes several places, as an item with several photos does in `Searcher`.
        k = min(wanted, len(owners))
        answer = view.search(queries[short], k, lambda ids: collection.vectors(modality, ids), allowed)
        for query, ids, scores in zip(short, answer.ids.tolist(), answer.scores.tolist(), strict=True):
            best: dict[int, float] = {}
            for owner, score in zip(ids, scores, strict=True):
                for position in owners.get(owner, ()):
                    best.setdefault(position, score)
            found[query] = best
        short = [query for query in short if len(found[query]) < width]
        if wanted >= len(owners) or not short:
            return found
        wanted *= 4


def _kind(view: VectorView) -> str:
    return view.generation.kind if view.generation else "exact, without an index file"


def _refuse_own_words(collection: Collection, owners: Owners, task: Task, words: Mapping[str, str]) -> None:
    own = count_own_words(collection, owners, task, words)
    if 2 * own > len(task.query_ids):
        raise EvaluationError(
            f"the queries are the titles that --by text searches, so they would find themselves: "
            f"{own:,} of {len(task.query_ids):,}",
            hint="use --queries attributes or a queries.csv, or --by image",
        )


def _not_there(collection: Collection, found: Matched, total: int, modality: Modality) -> EvaluationError:
    what = "are not in" if modality == "image" else "belong to no item with a text in"
    others = f"; {found.other_files:,} of them have the id of an item with other photos" if found.other_files else ""
    return EvaluationError(
        f"{len(found.missing):,} of {total:,} images of the set {what} {collection.folder}: "
        f"{named(found.missing)}{others}",
        hint="a picture that cannot be found changes every figure; index the folder of the set's images first",
    )
