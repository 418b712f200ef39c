"""From gathered pictures and texts to what a reranker learns from."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from retrieval.arrays import FloatArray
from retrieval.encoders.base import DualEncoder
from retrieval.errors import TrainingError
from retrieval.training.gather import Gathered, OnProgress, gather
from retrieval.training.pairs import IntArray
from retrieval.training.reranker_data import TokenTowers
from retrieval.training.reranker_pairs import TrainingPairs


def texts_with_tokens(found: Gathered, towers: TokenTowers) -> list[list[str]]:
    """For each picture its different texts, but those without tokens, and none if it has none itself.

    A pair without tokens of one side is never judged in a search, so there is nothing to learn from it. Raises
    TrainingError if none is left.
    """
    said, shown = towers.texts(found.text_features).lengths > 0, towers.photos(found.images).lengths > 0
    if len(said) and not said.any():
        raise TrainingError(
            "none of the texts has tokens, as in a language that the model's tower does not know",
            hint="name captions in another language with --language, or another --base",
        )
    return [
        [text for text in dict.fromkeys(text for texts in groups.values() for text in texts) if said[found.texts[text]]]
        if shown[row]
        else []
        for row, groups in enumerate(found.groups)
    ]


def pairs_of(
    found: Gathered,
    rows: Sequence[int],
    own: Sequence[Sequence[str]],
    towers: TokenTowers,
    views: tuple[FloatArray, ...],
) -> TrainingPairs:
    """rows: that train. own: for each picture its texts that train."""
    numbers = {text: at for at, text in enumerate(dict.fromkeys(text for row in rows for text in own[row]))}
    photos_of: list[list[int]] = [[] for _ in numbers]
    for at, row in enumerate(rows):
        for text in own[row]:
            photos_of[numbers[text]].append(at)
    return TrainingPairs(
        photos=towers.photos(found.images[rows]),
        texts=towers.texts(found.text_features[[found.texts[text] for text in numbers]]),
        photos_of=_arrays(photos_of),
        texts_of=_arrays([[numbers[text] for text in own[row]] for row in rows]),
        sources=np.unique([found.pictures[row].source for row in rows], return_inverse=True)[1].astype(np.int64),
        views=views,
    )


def views_of(
    base: DualEncoder,
    found: Gathered,
    rows: Sequence[int],
    views: int,
    cache: Path | None,
    on_progress: OnProgress | None,
) -> tuple[FloatArray, ...]:
    """Tokens of the pictures in further views, float32 [len(rows), places, width] each."""
    shown = [replace(found.pictures[row], texts={}) for row in rows]
    made = []
    for number in range(1, views + 1):
        towers = TokenTowers(base, view=number)
        seen = gather(shown, towers, validation=0.0, cache=cache, on_progress=on_progress)
        if seen.digests != tuple(found.digests[row] for row in rows):
            raise TrainingError("pictures changed while they were read", hint="run the same command again")
        made.append(towers.photos(seen.images).tokens)
    return tuple(made)


def _arrays(rows: Sequence[Sequence[int]]) -> tuple[IntArray, ...]:
    return tuple(np.array(row, dtype=np.int64) for row in rows)
