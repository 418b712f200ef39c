"""What a reranker is worth on a set: the exact ranking against the same one re-ordered, to several depths."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from retrieval.encoders.base import DualEncoder, TokenEncoder
from retrieval.encoders.seen import digest
from retrieval.errors import EvaluationError
from retrieval.evaluation.candidates import Candidates
from retrieval.evaluation.compare import compare
from retrieval.evaluation.embed import RERANK, OnProgress
from retrieval.evaluation.evaluate import evaluate
from retrieval.evaluation.evaluation import Evaluation
from retrieval.evaluation.matching_time import time_matches
from retrieval.evaluation.measures.base import Judged
from retrieval.evaluation.measures.registry import DEFAULT_MEASURES, parse_all
from retrieval.evaluation.relevance import Relevance
from retrieval.evaluation.reordering import reordered
from retrieval.evaluation.reranked import MEASURES, AtDepth, RerankedDirection, Reranking
from retrieval.evaluation.token_keeping import TokenKeeping
from retrieval.evaluation.types import EvaluationSet, Ranking, Task, TaskResult
from retrieval.images import MAX_PIXELS
from retrieval.rerankers.base import Direction, Reranker
from retrieval.tokens.value import TokenSpec

DEPTHS = (5, 10, 20, 50, 100)


def evaluate_with_reranking(
    dataset: EvaluationSet,
    encoder: DualEncoder,
    reranker: Reranker,
    *,
    measures: Iterable[str] = DEFAULT_MEASURES,
    depths: Sequence[int] = DEPTHS,
    seen: frozenset[bytes] = frozenset(),
    on_progress: OnProgress | None = None,
    max_pixels: int = MAX_PIXELS,
    seed: int = 0,
) -> Evaluation:
    """`evaluate`, and beside it what the reranker makes of each task between texts and images.

    Everything is encoded once. Matches are computed once, to the deepest depth, and shared by the others. Their time is
    measured apart, for each depth, on one thread. seen: the pictures that the encoder or the reranker was trained on,
    as `pictures_trained_on` gives them.

    Raises EvaluationError as `evaluate` does, and before anything is encoded when the encoder has no tokens, when the
    reranker reads others, or when the set has no direction that it re-orders; also when the reranker fails.
    """
    keeping = _keeping(encoder, reranker)
    directions = _directions(dataset, reranker)
    evaluation = evaluate(
        dataset, keeping, measures=measures, on_progress=on_progress, max_pixels=max_pixels, seed=seed
    )
    found = {
        direction: _reranked(evaluation, direction, keeping, reranker, depths, on_progress, seed)
        for direction in directions
    }
    used = {name for task in dataset.tasks for name in (*task.query_ids, *task.document_ids)}
    known = [image for image in dataset.images if seen and image.image_id in used and digest(image.read()) in seen]
    return replace(
        evaluation,
        reranking=Reranking(
            reranker=reranker.spec.name,
            kind=reranker.spec.kind,
            runtime=reranker.runtime,
            directions=found,
            trained_on=len(known),
            images=len(keeping.images),
        ),
    )


def token_encoder(encoder: DualEncoder) -> tuple[TokenEncoder, TokenSpec]:
    """The encoder as one that gives tokens, and which. Raises EvaluationError if it gives none."""
    given = encoder.token_spec if isinstance(encoder, TokenEncoder) else None
    if given is None or not isinstance(encoder, TokenEncoder):
        raise EvaluationError(
            f"the model '{encoder.spec.name}' has no tokens for a reranker to read",
            hint="try --runtime torch, or a model with spatial features, such as starter; or leave the reranker out",
        )
    return encoder, given


def _keeping(encoder: DualEncoder, reranker: Reranker) -> TokenKeeping:
    giving, given = token_encoder(encoder)
    wanted: TokenSpec = reranker.spec.tokens
    if given.fingerprint != wanted.fingerprint:
        differ = "of another encoder" if given.encoder != wanted.encoder else "made in another way"
        raise EvaluationError(
            f"the reranker '{reranker.spec.name}' reads tokens {differ}: it was trained on {wanted.fingerprint} of "
            f"encoder {wanted.encoder}, '{encoder.spec.name}' gives {given.fingerprint} of {given.encoder}",
            hint=f"train one for it: catalens train reranker DATA --base {encoder.spec.name} --out DIR",
        )
    return TokenKeeping(encoder, giving, given)


def _directions(dataset: EvaluationSet, reranker: Reranker) -> list[Direction]:
    weights = reranker.spec.weights
    asked = [task.direction for task in dataset.tasks]
    found: list[Direction] = [direction for direction in weights if direction in asked]
    if not found:
        raise EvaluationError(
            f"the reranker '{reranker.spec.name}' re-orders {' and '.join(weights) or 'nothing'}, "
            f"'{dataset.name}' asks {' and '.join(asked) or 'nothing'}",
            hint="evaluate on a set of texts and images, such as photos with captions",
        )
    return found


def _reranked(
    evaluation: Evaluation,
    direction: Direction,
    keeping: TokenKeeping,
    reranker: Reranker,
    depths: Sequence[int],
    on_progress: OnProgress | None,
    seed: int,
) -> RerankedDirection:
    task, ranking = evaluation.results[direction].task, evaluation.results[direction].ranking
    pairs = Candidates(evaluation.dataset, task, ranking, keeping, reranker)
    weight = reranker.spec.weights[direction]
    widths = sorted({min(depth, ranking.top.shape[1]) for depth in depths})
    matches = np.zeros((len(ranking.top), widths[-1]), dtype=np.float32)
    if weight:
        for query in range(len(matches)):
            matches[query] = pairs.match(query, widths[-1])
            if on_progress:
                on_progress(RERANK + direction, query + 1, len(matches))
    timings = time_matches(pairs.prepared, len(matches), widths) if weight else {}
    relevance = Relevance.of_task(task)
    first = _judged(task, ranking, relevance)
    rows = []
    for depth in widths:
        second = _judged(task, reordered(ranking, matches, weight, depth, relevance), relevance)
        figures = {name: compare(first, second, name, examples=0, seed=seed) for name in MEASURES}
        rows.append(AtDepth(depth, figures, timings.get(depth)))
    lengths = keeping.texts.lengths()[pairs.text_rows]
    return RerankedDirection(weight, tuple(rows), int((lengths == 0).sum()), len(lengths))


def _judged(task: Task, ranking: Ranking, relevance: Relevance) -> TaskResult:
    """Figures alone: the intervals that count here are those of the difference."""
    judged = Judged.of(ranking, relevance, len(task.document_ids))
    wanted = parse_all(MEASURES)
    per_query = {measure.name: measure.per_query(judged) for measure in wanted}
    figures = {measure.name: measure.figure(per_query[measure.name]) for measure in wanted}
    return TaskResult(task, ranking, figures, per_query, intervals={})
