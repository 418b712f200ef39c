"""One model on one set, exactly: encode everything once, rank each task in full, judge."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from time import perf_counter

from retrieval.arrays import FloatArray
from retrieval.encoders.base import DualEncoder
from retrieval.errors import EvaluationError
from retrieval.evaluation.embed import OnProgress, embed_images, embed_texts
from retrieval.evaluation.evaluation import Evaluation
from retrieval.evaluation.judge import judge
from retrieval.evaluation.measures.registry import DEFAULT_MEASURES, parse_all
from retrieval.evaluation.ranking import DEPTH, rank_exact
from retrieval.evaluation.relevance import Relevance, named, refuse_duplicates
from retrieval.evaluation.types import Direction, EvaluationImage, EvaluationSet, EvaluationText, Task, TaskResult
from retrieval.images import MAX_PIXELS

Entry = EvaluationImage | EvaluationText
Vectors = Mapping[str, FloatArray]


def evaluate(
    dataset: EvaluationSet,
    encoder: DualEncoder,
    *,
    measures: Iterable[str] = DEFAULT_MEASURES,
    on_progress: OnProgress | None = None,
    max_pixels: int = MAX_PIXELS,
    seed: int = 0,
) -> Evaluation:
    """Judge a model on every task of a set by exact search over all its documents.

    Pictures and texts that no task uses are not encoded. Rankings name the first 100 documents of each query, or as
    many as the measures look at. Results are sliced by the language and the attributes of the queries.
    on_progress: called with (stage, done, total) from this thread.
    max_pixels: a picture with more counts as unreadable. seed: of the bootstrap.

    Raises EvaluationError, never a figure, when the set has no tasks, repeats ids or names entries it does not have,
    when a picture cannot be read, or when the model fails.
    """
    started = perf_counter()
    wanted = parse_all(measures)
    names = [measure.name for measure in wanted]
    depth = max(DEPTH, *(measure.cutoff or 0 for measure in wanted))
    images, texts = _used(dataset)  # all that can be wrong with the set shows here, before anything is encoded
    vectors: dict[str, FloatArray] = {}
    if images:
        found = embed_images(images, encoder, on_progress=on_progress, max_pixels=max_pixels)
        vectors["image"] = found
    if texts:
        vectors["text"] = embed_texts(texts, encoder, on_progress=on_progress)
    rows = {
        "image": {image.image_id: row for row, image in enumerate(images)},
        "text": {text.text_id: row for row, text in enumerate(texts)},
    }
    entries: dict[str, Sequence[Entry]] = {"image": images, "text": texts}
    results: dict[Direction, TaskResult] = {}
    for task in dataset.tasks:
        asked, answered = kinds(task)
        query_rows = [rows[asked][name] for name in task.query_ids]
        document_rows = [rows[answered][name] for name in task.document_ids]
        ranking = rank_exact(
            vectors[asked][query_rows],
            vectors[answered][document_rows],
            task,
            depth,
            on_progress=partial(on_progress, task.direction) if on_progress else None,
        )
        attributes = attributes_of([entries[asked][row] for row in query_rows])
        results[task.direction] = judge(task, ranking, names, attributes=attributes, seed=seed)
    return Evaluation(
        dataset=dataset,
        model=encoder.spec.name,
        fingerprint=encoder.spec.fingerprint,
        search="exact",
        results=results,
        seconds=perf_counter() - started,
    )


def kinds(task: Task) -> tuple[str, str]:
    """What the queries and the documents of a task are: `image` or `text` each."""
    asked, _, answered = task.direction.partition("_to_")
    return asked, answered


def attributes_of(queries: Sequence[Entry]) -> dict[str, list[str]]:
    """Attribute -> one value a query, empty where it has none; a text's language is the attribute `language`."""
    rows = [
        {**({"language": entry.language} if isinstance(entry, EvaluationText) else {}), **entry.attributes}
        for entry in queries
    ]
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: [row.get(name, "") for row in rows] for name in names}


def _used(dataset: EvaluationSet) -> tuple[list[EvaluationImage], list[EvaluationText]]:
    """The entries that tasks name, in the set's order, after a check of the whole set."""
    refuse_duplicates("image", [image.image_id for image in dataset.images])
    refuse_duplicates("text", [text.text_id for text in dataset.texts])
    directions = [task.direction for task in dataset.tasks]
    if not directions or len(set(directions)) < len(directions):
        raise EvaluationError(
            f"the set '{dataset.name}' has {len(directions)} tasks in {len(set(directions))} directions",
            hint="a set needs one task or more, each in a direction of its own",
        )
    known = {
        "image": {image.image_id for image in dataset.images},
        "text": {text.text_id for text in dataset.texts},
    }
    used: dict[str, set[str]] = {"image": set(), "text": set()}
    for task in dataset.tasks:
        if not task.query_ids or not task.document_ids:
            raise EvaluationError(
                f"{task.direction} of '{dataset.name}' has {len(task.query_ids)} queries and "
                f"{len(task.document_ids)} documents",
                hint="is the split or language empty?",
            )
        Relevance.of_task(task)
        for kind, ids in zip(kinds(task), (task.query_ids, task.document_ids), strict=True):
            missing = [name for name in ids if name not in known[kind]]
            if missing:
                raise EvaluationError(
                    f"{task.direction} names {len(missing):,} {kind}s that '{dataset.name}' does not have: "
                    f"{named(missing)}",
                    hint="add them to the set, or take them out of the task",
                )
            used[kind].update(ids)
    return (
        [image for image in dataset.images if image.image_id in used["image"]],
        [text for text in dataset.texts if text.text_id in used["text"]],
    )
