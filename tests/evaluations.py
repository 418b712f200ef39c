"""A hand-made evaluation: two photos and a third, three texts, one of them found, one second, one last."""

from pathlib import Path

import numpy as np
from PIL import Image

from retrieval.evaluation.evaluation import Evaluation
from retrieval.evaluation.types import (
    Direction,
    EvaluationImage,
    EvaluationSet,
    EvaluationText,
    Qrels,
    Ranking,
    Task,
    TaskResult,
)

COLOURS = ("red", "green", "blue")


def images(folder: Path, names: tuple[str, ...] = ("red.png", "green.png", "blue.png")) -> tuple[EvaluationImage, ...]:
    """Real files, wider than high, in three colours."""
    made = []
    for name, colour in zip(names, COLOURS, strict=True):
        path = folder / name
        Image.new("RGB", (900, 600), colour).save(path, "PNG")
        made.append(EvaluationImage(name, path.read_bytes, path))
    return tuple(made)


def texts(*captions: str) -> tuple[EvaluationText, ...]:
    return tuple(EvaluationText(f"t{number}", caption) for number, caption in enumerate(captions, start=1))


def ranking(task: Task, orders: list[list[int]], depth: int = 3) -> Ranking:
    """orders: for each query the positions of its documents, best first; scores fall from 0.5 by 0.125."""
    top = np.full((len(orders), depth), -1, dtype=np.int64)
    scores = np.full((len(orders), depth), -np.inf, dtype=np.float32)
    ranks = []
    for row, order in enumerate(orders):
        shown = order[:depth]
        top[row, : len(shown)] = shown
        scores[row, : len(shown)] = 0.5 - 0.125 * np.arange(len(shown))
        right = task.qrels.get(task.query_ids[row], {})
        ranks.append(np.array([r for r, at in enumerate(order, 1) if right.get(task.document_ids[at], 0) >= 1]))
    return Ranking(top, scores, [np.asarray(found, dtype=np.int64) for found in ranks])


def result(task: Task, made: Ranking) -> TaskResult:
    """Figures worked out from the ranks in the plainest way."""
    first = np.array([found[0] if len(found) else np.inf for found in made.ranks])
    per_query = {f"success@{k}": (first <= k).astype(np.float64) for k in (1, 5, 10)}
    per_query["mrr@10"] = np.where(first <= 10, 1 / first, 0.0)
    per_query["median_rank"] = first
    figures = {name: float(values.mean()) for name, values in per_query.items()}
    figures["median_rank"] = float(np.median(first))
    intervals = {name: (max(0.0, value - 0.1), value + 0.1) for name, value in figures.items()}
    return TaskResult(task, made, figures, per_query, intervals)


def task(direction: Direction, queries: tuple[str, ...], documents: tuple[str, ...], qrels: Qrels) -> Task:
    return Task(direction, queries, documents, qrels)


def evaluation(folder: Path, captions: tuple[str, str, str] = ("red", "green", "blue")) -> Evaluation:
    """Both directions. The first query finds its own first, the second second, the third last."""
    photos, said = images(folder), texts(*captions)
    photo_ids, text_ids = tuple(photo.image_id for photo in photos), tuple(text.text_id for text in said)
    orders = [[0, 1, 2], [0, 1, 2], [1, 0, 2]]
    forth = task("text_to_image", text_ids, photo_ids, {t: {i: 1} for t, i in zip(text_ids, photo_ids, strict=True)})
    back = task("image_to_text", photo_ids, text_ids, {i: {t: 1} for t, i in zip(text_ids, photo_ids, strict=True)})
    dataset = EvaluationSet("three colours", photos, said, (forth, back), ("1 photo was left out",))
    return Evaluation(
        dataset=dataset,
        model="starter",
        fingerprint="0123456789abcdef",
        search="exact",
        results={one.direction: result(one, ranking(one, orders)) for one in (back, forth)},
        seconds=1.5,
    )
