"""What a reranker is worth, against a full loop in Python; the right answers of first stage and reranker are known."""

import io
import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from retrieval.arrays import FloatArray
from retrieval.encoders.seen import digest
from retrieval.errors import EvaluationError
from retrieval.evaluation.evaluate import evaluate
from retrieval.evaluation.matching_time import time_matches
from retrieval.evaluation.ranking import rank_exact
from retrieval.evaluation.relevance import Relevance
from retrieval.evaluation.reordering import reordered
from retrieval.evaluation.reranked import MEASURES, Reranking
from retrieval.evaluation.reranking import DEPTHS, evaluate_with_reranking
from retrieval.evaluation.summary import to_json
from retrieval.evaluation.types import EvaluationSet, EvaluationText, Task
from retrieval.rerankers.base import Direction
from retrieval.tokens.value import Tokens
from tests.fakes import ColourEncoder
from tests.halves import PAIRS, HalvesEncoder, HalvesReranker, halves, halves_set

BOTH: tuple[Direction, ...] = ("text_to_image", "image_to_text")


def found(
    dataset: EvaluationSet | None = None, *, weight: float = 0.5, sense: float = 1, depths: Sequence[int] = DEPTHS
) -> Reranking:
    encoder = HalvesEncoder()
    reranker = HalvesReranker(encoder.token_spec, dict.fromkeys(BOTH, weight), sense)
    made = evaluate_with_reranking(dataset or halves_set(), encoder, reranker, depths=depths)
    assert made.reranking
    return made.reranking


def naive(task: Task, dataset: EvaluationSet, weight: float, depth: int) -> dict[str, float]:
    """The figures of a task, one pair of a text and a picture at a time."""
    encoder = HalvesEncoder()
    reranker = HalvesReranker(encoder.token_spec)
    photos = {
        image.image_id: encoder.encode_images_with_tokens(
            encoder.preprocess(Image.open(io.BytesIO(image.read())).convert("RGB"))[None]
        )
        for image in dataset.images
    }
    texts = {text.text_id: encoder.encode_texts_with_tokens([text.text]) for text in dataset.texts}
    sides: dict[str, Tokens] = {**photos, **texts}
    totals = dict.fromkeys(MEASURES, 0.0)
    for query in task.query_ids:
        scores = [float(np.float32(sides[query].vectors[0] @ sides[name].vectors[0])) for name in task.document_ids]
        order = sorted(range(len(scores)), key=lambda at: (-scores[at], at))
        head = []
        for place, at in enumerate(order[:depth]):
            pair = (query, task.document_ids[at])
            text, photo = pair if task.direction == "text_to_image" else pair[::-1]
            head.append((-(scores[at] + weight * float(reranker.match(texts[text], photos[photo])[0])), place, at))
        final = [at for _, _, at in sorted(head)] + order[depth:]
        right = [rank for rank, at in enumerate(final, 1) if task.document_ids[at] in task.qrels[query]]
        totals["success@1"] += right[0] <= 1
        totals["success@5"] += right[0] <= 5
        totals["ndcg@10"] += 1 / math.log2(right[0] + 1) if right[0] <= 10 else 0
    return {name: total / len(task.query_ids) for name, total in totals.items()}


@pytest.mark.parametrize("weight", [0.5, 0.02])
def test_every_figure_is_that_of_a_full_loop(weight: float) -> None:
    dataset = halves_set()
    directions = found(dataset, weight=weight).directions
    assert list(directions) == list(BOTH)
    for task in dataset.tasks:
        first = naive(task, dataset, 0, 1)
        depths = directions[task.direction].depths  # type: ignore[index]
        assert [at.depth for at in depths] == [5, 10, 20, 50, 72]  # there are 72 documents
        for at in depths:
            assert {name: one.first for name, one in at.figures.items()} == pytest.approx(first)
            assert {name: one.second for name, one in at.figures.items()} == pytest.approx(
                naive(task, dataset, weight, at.depth)
            )


def test_a_ranking_re_ordered_to_any_depth_is_that_of_a_loop() -> None:
    """With doubles among the documents and matches of few values, so that sums are often equal; some have none."""
    rng = np.random.default_rng(0)
    names = tuple(map(str, range(40)))
    relevant = {name: {str(other): 1 for other in rng.choice(40, 5, replace=False)} for name in names}
    task = Task("text_to_image", names, names, relevant)
    queries, documents = rng.integers(-1, 2, (2, 40, 3)).astype(np.float32)
    ranking = rank_exact(queries, documents, task, 30)
    matches = rng.integers(0, 3, (40, 30)).astype(np.float32)
    matches[rng.random(matches.shape) < 0.2] = np.nan
    relevance = Relevance.of_task(task)
    for depth in (1, 5, 30, 100):
        second = reordered(ranking, matches, 0.5, depth, relevance)
        for query in range(40):
            before = ranking.top[query].tolist()
            scored = [at for at in range(min(depth, 30)) if not np.isnan(matches[query, at])]
            sums = {at: ranking.scores[query, at] + 0.5 * matches[query, at] for at in scored}
            order = list(before)
            for place, at in zip(scored, sorted(scored, key=lambda at: (-sums[at], at)), strict=True):
                order[place] = before[at]
            assert second.top[query].tolist() == order
            beyond = [rank for rank in ranking.ranks[query] if rank > 30]
            ranks = [rank for rank, at in enumerate(order, 1) if str(at) in relevant[str(query)]]
            assert second.ranks[query].tolist() == ranks + beyond


def test_a_reranker_that_sees_what_the_first_stage_does_not_pays() -> None:
    for direction in found().directions.values():
        at = direction.depths[0]
        figures = at.figures["success@1"]
        assert (figures.first, figures.second) == (0.5, 1)
        assert figures.p_value < 0.001
        assert figures.interval and figures.interval[0] > 0.3
        assert at.pays
        assert direction.pays_at == 5  # the deeper ones are as good and dearer
        assert at.timing and at.timing.queries == 50
        assert 0 < at.timing.median <= at.timing.p95


def test_a_reranker_that_prefers_the_wrong_does_not_pay() -> None:
    for direction in found(sense=-1).directions.values():
        assert direction.depths[0].figures["success@1"].second < 0.5
        assert direction.pays_at is None


def test_better_first_places_do_not_pay_when_the_first_five_are_worse() -> None:
    direction = found().directions["text_to_image"]
    at = direction.depths[0]
    worse = replace(at.figures["success@5"], difference=-0.1, p_value=0.01)
    assert not replace(at, figures={**at.figures, "success@5": worse}).pays
    assert replace(at, figures={**at.figures, "success@5": replace(worse, p_value=0.06)}).pays


def test_weight_0_matches_nothing_and_changes_nothing() -> None:
    encoder = HalvesEncoder()
    reranker = HalvesReranker(encoder.token_spec, {"text_to_image": 0, "image_to_text": 0.5})
    made = evaluate_with_reranking(halves_set(), encoder, reranker).reranking
    assert made
    for at in made.directions["text_to_image"].depths:
        assert all((one.first, one.difference, one.p_value) == (one.second, 0, 1) for one in at.figures.values())
        assert at.timing is None
    assert made.directions["text_to_image"].pays_at is None
    assert made.directions["image_to_text"].pays_at == 5
    timed = 51 * (5 + 10 + 20 + 50 + 72)  # 50 queries and a first one, at each depth
    assert reranker.pairs == 72 * 72 + timed


def test_everything_is_encoded_once_and_the_first_stage_is_that_of_evaluate() -> None:
    encoder = HalvesEncoder()
    made = evaluate_with_reranking(halves_set(), encoder, HalvesReranker(encoder.token_spec))
    plain = evaluate(halves_set(), HalvesEncoder())
    assert (encoder.images_encoded, encoder.texts_encoded) == (72, 72)
    for direction, result in plain.results.items():
        assert made.results[direction].figures == result.figures
        assert made.results[direction].ranking.top.tolist() == result.ranking.top.tolist()


def test_texts_without_tokens_are_counted_and_equal_texts_share_theirs() -> None:
    dataset = halves_set(PAIRS[:6])
    texts = (*dataset.texts, EvaluationText("zh", "红蓝"), EvaluationText("again", dataset.texts[0].text))
    asked = dataset.tasks[0]
    judged = {**asked.qrels, "zh": {asked.document_ids[0]: 1}, "again": {asked.document_ids[0]: 1}}
    task = replace(asked, query_ids=tuple(text.text_id for text in texts), qrels=judged)
    direction = found(replace(dataset, texts=texts, tasks=(task,))).directions["text_to_image"]
    assert (direction.without_tokens, direction.texts) == (1, 8)
    assert direction.depths[-1].figures["success@1"].n_queries == 8


def test_a_text_without_tokens_keeps_its_place_as_in_a_search() -> None:
    """All others get less than the 0 that a reranker gives it; it must not rise for that."""
    dataset = halves_set(PAIRS[:6])
    asked = dataset.tasks[1]
    judged = {name: {"zh": 1} for name in asked.query_ids}
    task = replace(asked, document_ids=(*asked.document_ids, "zh"), qrels=judged)
    texts = (*dataset.texts, EvaluationText("zh", "红蓝"))
    direction = found(replace(dataset, texts=texts, tasks=(task,)), weight=5, sense=-1).directions["image_to_text"]
    for figures in (at.figures for at in direction.depths):
        assert figures["ndcg@10"].first == figures["ndcg@10"].second < 1
    assert direction.without_tokens == 1


def test_pictures_that_were_trained_on_are_counted() -> None:
    encoder = HalvesEncoder()
    reranker = HalvesReranker(encoder.token_spec)
    seen = frozenset({digest(halves("red", "blue")), digest(halves("red", "green")), b"others  "})
    made = evaluate_with_reranking(halves_set(), encoder, reranker, seen=seen).reranking
    assert made and (made.trained_on, made.images) == (2, 72)
    assert found().trained_on == 0


def test_json() -> None:
    encoder = HalvesEncoder()
    made = to_json(evaluate_with_reranking(halves_set(), encoder, HalvesReranker(encoder.token_spec)))["reranking"]
    assert (made["reranker"], made["kind"], made["runtime"]) == ("halves", "halves", "numpy")
    told = made["text_to_image"]
    assert (told["weight"], told["pays_at"]) == (0.5, 5)
    assert [at["depth"] for at in told["depths"]] == [5, 10, 20, 50, 72]
    assert told["depths"][0]["success@1"]["first_stage"] == 0.5
    assert told["depths"][0]["success@1"]["reranked"] == 1
    assert told["depths"][0]["ms_p95"] >= told["depths"][0]["ms"] > 0
    assert "reranking" not in to_json(evaluate(halves_set(), encoder))


def test_progress_names_the_direction() -> None:
    told: list[tuple[str, int, int]] = []
    encoder = HalvesEncoder()
    evaluate_with_reranking(
        halves_set(PAIRS[:4]),
        encoder,
        HalvesReranker(encoder.token_spec),
        on_progress=lambda *step: told.append(step),
    )
    assert told[-1] == ("rerank_image_to_text", 4, 4)
    assert ("rerank_text_to_image", 1, 4) in told


def test_depths_take_turns_and_few_queries_are_timed_again() -> None:
    asked: list[tuple[int, int]] = []

    def prepare(query: int, depth: int) -> object:
        asked.append((query, depth))
        return lambda: None

    timings = time_matches(prepare, 2, (5, 10), timed=4)  # type: ignore[arg-type]
    assert asked == [(0, 5), (0, 10), *[(query, depth) for query in (0, 1, 0, 1) for depth in (5, 10)]]
    assert {depth: timing.queries for depth, timing in timings.items()} == {5: 4, 10: 4}


class TestErrors:
    def test_an_encoder_without_tokens(self) -> None:
        reranker = HalvesReranker(HalvesEncoder().token_spec)
        bare = HalvesEncoder()
        bare.token_spec = None
        for encoder in (ColourEncoder(), bare):
            with pytest.raises(EvaluationError, match="has no tokens for a reranker to read") as caught:
                evaluate_with_reranking(halves_set(), encoder, reranker)
            assert caught.value.hint
            assert encoder.images_encoded == 0

    def test_a_reranker_of_another_encoder(self) -> None:
        encoder, other = HalvesEncoder(), HalvesEncoder(version="2")
        with pytest.raises(EvaluationError, match="reads tokens of another encoder: .*" + other.spec.fingerprint):
            evaluate_with_reranking(halves_set(), encoder, HalvesReranker(other.token_spec))
        assert encoder.token_spec
        projected = replace(encoder.token_spec, projection_hash="q" * 64)
        with pytest.raises(EvaluationError, match="reads tokens made in another way: .*" + projected.fingerprint):
            evaluate_with_reranking(halves_set(), encoder, HalvesReranker(projected))

    def test_a_direction_that_is_not_there(self) -> None:
        encoder = HalvesEncoder()
        both = halves_set()
        one = replace(both, tasks=both.tasks[1:])
        with pytest.raises(EvaluationError, match="re-orders text_to_image, 'halves' asks image_to_text"):
            evaluate_with_reranking(one, encoder, HalvesReranker(encoder.token_spec, {"text_to_image": 1}))
        made = evaluate_with_reranking(both, encoder, HalvesReranker(encoder.token_spec, {"text_to_image": 1}))
        assert made.reranking and list(made.reranking.directions) == ["text_to_image"]

    @pytest.mark.parametrize(
        ("answer", "message"),
        [
            (RuntimeError("out of memory\nTried to"), "failed at query 1 of 72: out of memory$"),
            (np.zeros(3, dtype=np.float32), r"matches of shape \(3,\), or NaN, for 72 pairs"),
            (np.full(72, np.nan, dtype=np.float32), r"matches of shape \(72,\), or NaN"),
        ],
    )
    def test_a_reranker_that_fails(self, answer: Exception | FloatArray, message: str) -> None:
        class Broken(HalvesReranker):
            def match(self, texts: Tokens, photos: Tokens) -> FloatArray:
                if isinstance(answer, Exception):
                    raise answer
                return answer

        encoder = HalvesEncoder()
        with pytest.raises(EvaluationError, match=message) as caught:
            evaluate_with_reranking(halves_set(), encoder, Broken(encoder.token_spec))
        assert caught.value.hint
