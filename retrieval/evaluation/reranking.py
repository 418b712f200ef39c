"""What a reranker is worth on a set: the exact ranking against the same one re-ordered, to several depths."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from retrieval.encoders.base import DualEncoder, FloatArray, TokenEncoder
from retrieval.encoders.seen import digest, read_seen
from retrieval.errors import EvaluationError
from retrieval.evaluation.compare import Comparison, compare
from retrieval.evaluation.embed import RERANK, OnProgress
from retrieval.evaluation.evaluate import evaluate, kinds
from retrieval.evaluation.matching_time import Timing, time_matches
from retrieval.evaluation.measures.base import Judged
from retrieval.evaluation.measures.registry import DEFAULT_MEASURES, parse_all
from retrieval.evaluation.relevance import Relevance
from retrieval.evaluation.reordering import reordered
from retrieval.evaluation.token_keeping import KeptTokens, TokenKeeping
from retrieval.evaluation.types import Evaluation, EvaluationSet, Ranking, Task, TaskResult
from retrieval.images import MAX_PIXELS
from retrieval.index.base import IdArray
from retrieval.rerankers.base import Direction, Reranker, RerankerSpec
from retrieval.tokens.value import Tokens, TokenSpec

DEPTHS = (5, 10, 20, 50, 100)
MEASURES = ("success@1", "success@5", "ndcg@10")
CLEAR = 0.05
"""A difference with a p value below this counts. Five depths are looked at, but of one and the same re-ordering, whose
differences hang closely together: p values are given as they are, not divided by five."""


@dataclass(frozen=True)
class AtDepth:
    """figures: measure -> first stage against reranked. timing: what matching adds to a query, None if not needed."""

    depth: int
    figures: Mapping[str, Comparison]
    timing: Timing | None

    @property
    def pays(self) -> bool:
        """success@1 is clearly better, and no measure clearly worse."""
        clear = [one for one in self.figures.values() if one.p_value < CLEAR]
        first = self.figures[MEASURES[0]]
        return first in clear and first.difference > 0 and all(one.difference >= 0 for one in clear)


@dataclass(frozen=True)
class RerankedDirection:
    """weight: what a match counts beside the cosine; with 0 nothing is matched and nothing changes.

    without_tokens: texts of the task that have no tokens and are judged by their vectors alone, of `texts`.
    """

    weight: float
    depths: tuple[AtDepth, ...]
    without_tokens: int
    texts: int

    @property
    def pays_at(self) -> int | None:
        """The depth of the best success@1 among those that pay, of equal ones the shallowest; None if none does."""
        paying = [at for at in self.depths if at.pays]
        best = max(paying, key=lambda at: (at.figures[MEASURES[0]].second, -at.depth), default=None)
        return best.depth if best else None


@dataclass(frozen=True)
class Reranking:
    """One reranker on one set. trained_on: pictures of the set that it was trained on, of `images`."""

    reranker: str
    kind: str
    runtime: str
    directions: Mapping[Direction, RerankedDirection]
    trained_on: int = 0
    images: int = 0

    def to_json(self) -> dict[str, Any]:
        """JSON values; the figures by direction and, under `depths`, one entry a depth. ms: median and 95th percentile
        of what matching adds to a query.
        """
        return {
            "reranker": self.reranker,
            "kind": self.kind,
            "runtime": self.runtime,
            "images_trained_on": self.trained_on,
            **{direction: _direction_json(found) for direction, found in self.directions.items()},
        }


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
    measured apart, for each depth, on one thread. seen: the pictures that the reranker was trained on, as `read_seen`
    gives them.

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


def pictures_trained_on(spec: RerankerSpec) -> frozenset[bytes]:
    """What the file lists that the facts of a reranker name as `seen`, which lies in its folder; empty if none does.

    Raises EncoderError for a list that is not whole.
    """
    name = spec.facts.get("seen")
    if not isinstance(name, str) or not name or Path(name).name != name:  # it must not lead out of the folder
        return frozenset()
    return read_seen(Path(spec.name) / name)


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
    pairs = _Pairs(evaluation.dataset, task, ranking, keeping, reranker)
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


class _Pairs:
    """Which tokens belong to a query and to the documents that were found for it."""

    def __init__(
        self, dataset: EvaluationSet, task: Task, ranking: Ranking, keeping: TokenKeeping, reranker: Reranker
    ) -> None:
        used = {name for one in dataset.tasks for kind, names in _ids(one) if kind == "image" for name in names}
        images = [image.image_id for image in dataset.images if image.image_id in used]  # in the order of encoding
        rows = {
            "image": {name: row for row, name in enumerate(images)},
            "text": {entry.text_id: keeping.text_rows.get(entry.text, -1) for entry in dataset.texts},
        }
        kept = {"image": keeping.images, "text": keeping.texts}
        (asked, queries), (answered, documents) = _ids(task)
        self._queries = np.array([rows[asked][name] for name in queries])
        self._documents = np.array([rows[answered][name] for name in documents])
        self._asked: KeptTokens = kept[asked]
        self._answered: KeptTokens = kept[answered]
        self._top = ranking.top
        self._of_texts = asked == "text"
        self._reranker = reranker

    @property
    def text_rows(self) -> IdArray:
        """Rows of the task's texts."""
        return self._queries if self._of_texts else self._documents

    def prepared(self, query: int, depth: int) -> "Prepared":
        """The tokens of a query and of its first documents, ready to be matched."""
        own = self._asked.take([self._queries[query]])
        found = self._answered.take(self._documents[self._top[query, :depth]])
        return Prepared(self._reranker, own, found) if self._of_texts else Prepared(self._reranker, found, own)

    def match(self, query: int, depth: int) -> FloatArray:
        """float32 [depth]. Raises EvaluationError when the reranker fails or gives something else."""
        name = self._reranker.spec.name
        try:
            found = np.asarray(self.prepared(query, depth)(), dtype=np.float32)
        except Exception as error:
            lines = str(error).splitlines() or [type(error).__name__]
            raise EvaluationError(
                f"the reranker '{name}' failed at query {query + 1:,} of {len(self._top):,}: {lines[0]}",
                hint="evaluate without it, or train it again",
            ) from error
        if found.shape != (depth,) or not np.isfinite(found).all():
            raise EvaluationError(
                f"the reranker '{name}' gave matches of shape {found.shape}, or NaN, for {depth} pairs",
                hint="its weights are broken; copy its folder again, or train it again",
            )
        return found


@dataclass(frozen=True)
class Prepared:
    """The match of one query with its documents, all but computed."""

    reranker: Reranker
    texts: Tokens
    photos: Tokens

    def __call__(self) -> FloatArray:
        """float32 [documents]."""
        return self.reranker.match(self.texts, self.photos)


def _ids(task: Task) -> list[tuple[str, tuple[str, ...]]]:
    return list(zip(kinds(task), (task.query_ids, task.document_ids), strict=True))


def _judged(task: Task, ranking: Ranking, relevance: Relevance) -> TaskResult:
    """Figures alone: the intervals that count here are those of the difference."""
    judged = Judged.of(ranking, relevance, len(task.document_ids))
    wanted = parse_all(MEASURES)
    per_query = {measure.name: measure.per_query(judged) for measure in wanted}
    figures = {measure.name: measure.figure(per_query[measure.name]) for measure in wanted}
    return TaskResult(task, ranking, figures, per_query, intervals={})


def _direction_json(found: RerankedDirection) -> dict[str, Any]:
    return {
        "weight": float(found.weight),
        "pays_at": found.pays_at,
        "texts_without_tokens": found.without_tokens,
        "depths": [
            {
                "depth": at.depth,
                **{name: _figure_json(one) for name, one in at.figures.items()},
                "ms": round(at.timing.median, 4) if at.timing else None,
                "ms_p95": round(at.timing.p95, 4) if at.timing else None,
                "timed_queries": at.timing.queries if at.timing else 0,
            }
            for at in found.depths
        ],
    }


def _figure_json(one: Comparison) -> dict[str, Any]:
    return {
        "first_stage": one.first,
        "reranked": one.second,
        "change": one.difference,
        "interval": list(one.interval) if one.interval else None,
        "p": one.p_value,
        "n_better": one.n_better,
        "n_worse": one.n_worse,
    }
