"""What a reranker's training is judged by: success@1 after reranking, both directions, on each check of validation."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np

from retrieval.arrays import FloatArray
from retrieval.rerankers.base import Direction, Reranker
from retrieval.rerankers.modules.pair import PairModule
from retrieval.tokens.value import Tokens
from retrieval.training.combine import BEYOND, Candidates, choose_margin, choose_weight, success
from retrieval.training.pairs import IntArray
from retrieval.training.reranker_data import TokenTowers
from retrieval.training.validation import Validation

DIRECTIONS: tuple[Direction, ...] = get_args(Direction)
MOST = 1_000
"""Queries of a check and direction, evenly drawn: with 20 pairs each, 20 s of cross attention on one core."""


@dataclass(frozen=True)
class Asked:
    """The queries of one check and direction. queries [n], documents [n, depth]: rows of the tokens."""

    direction: Direction
    source: str
    group: str
    queries: IntArray
    documents: IntArray
    candidates: Candidates

    def pairs(self) -> tuple[IntArray, IntArray]:
        """Rows of the texts and of the photos, [n, depth] each."""
        queries, documents = np.broadcast_arrays(self.queries[:, None], self.documents)
        return (queries, documents) if self.direction == "text_to_image" else (documents, queries)


class RerankedValidation:
    """asked: what is judged, in the order of the checks.

    most: queries of each check and direction. beyond: see `choose_weight`.
    """

    def __init__(
        self, validation: Validation, towers: TokenTowers, depth: int, most: int = MOST, *, beyond: float = BEYOND
    ) -> None:
        self.beyond = beyond
        self.photos, self.texts = towers.photos(validation.images), towers.texts(validation.texts)
        self.asked: list[Asked] = []
        for check in validation.checks:
            names = check.source, check.group
            sides = ((self.texts, check.texts), (self.photos, check.pictures))
            self.asked.append(_asked("text_to_image", names, *sides, check.pictures_of, depth, most))
            self.asked.append(_asked("image_to_text", names, *sides[::-1], check.texts_of, depth, most))

    def matches(self, reranker: Reranker) -> list[FloatArray]:
        """For each of `asked` float32 [n, depth]; NaN where a side has no tokens, which a search does not reorder."""
        found = []
        for one in self.asked:
            said, shown = one.pairs()
            scores = _matched(reranker, self.texts, said.ravel(), self.photos, shown.ravel()).reshape(said.shape)
            both = (self.texts.lengths[said] > 0) & (self.photos.lengths[shown] > 0)
            found.append(np.where(both, scores, np.float32(np.nan)))
        return found

    def hubness(self, module: PairModule) -> list[FloatArray]:
        """For each of `asked` how much of a hub the text and the photo of each pair are, float32 [n, depth, 2]."""
        import torch

        found = []
        for one in self.asked:
            said, shown = one.pairs()
            with torch.inference_mode():
                rows = [
                    module.hubness(torch.from_numpy(self.texts.vectors[t]), torch.from_numpy(self.photos.vectors[p]))
                    for t, p in zip(said, shown, strict=True)
                ]
            found.append(np.stack([row.numpy() for row in rows]))
        return found

    def combined(self, matches: Sequence[FloatArray]) -> tuple[dict[Direction, float], dict[Direction, float]]:
        """Weights and margins by direction."""
        weights: dict[Direction, float] = {}
        margins: dict[Direction, float] = {}
        for direction in DIRECTIONS:
            own = [at for at, one in enumerate(self.asked) if one.direction == direction]
            found = [self.asked[at].candidates for at in own]
            weights[direction] = choose_weight(found, [matches[at] for at in own], self.beyond)
            margins[direction] = choose_margin(found, [matches[at] for at in own], weights[direction])
        return weights, margins

    def success(self, matches: Sequence[FloatArray], weights: dict[Direction, float], k: int = 1) -> list[float]:
        """For each of `asked`."""
        pairs = zip(self.asked, matches, strict=True)
        return [success(one.candidates, match, weights[one.direction], k) for one, match in pairs]

    def figure(self, matches: Sequence[FloatArray], direction: Direction | None = None) -> float:
        """Mean success@1 over checks with the best weights, of one direction or of both."""
        found = self.success(matches, self.combined(matches)[0])
        own = [share for share, one in zip(found, self.asked, strict=True) if direction in (None, one.direction)]
        return float(np.mean(own))


def _asked(
    direction: Direction,
    names: tuple[str, str],
    asking: tuple[Tokens, IntArray],
    asked: tuple[Tokens, IntArray],
    right_of: Sequence[IntArray],
    depth: int,
    most: int,
) -> Asked:
    own = np.array([at for at, right in enumerate(right_of) if len(right)])
    own = own[np.unique(np.linspace(0, len(own) - 1, min(most, len(own))).astype(np.int64))]
    cosines = asking[0].vectors[asking[1][own]] @ asked[0].vectors[asked[1]].T
    nearest = np.argsort(-cosines, axis=1, kind="stable")[:, :depth]
    right = np.stack([np.isin(row, right_of[at]) for row, at in zip(nearest, own, strict=True)])
    found = Candidates(np.take_along_axis(cosines, nearest, axis=1), right)
    return Asked(direction, *names, queries=asking[1][own], documents=asked[1][nearest], candidates=found)


def _matched(reranker: Reranker, texts: Tokens, said: IntArray, photos: Tokens, shown: IntArray) -> FloatArray:
    """In blocks: the tokens of 10,000 pairs take 740 MB."""
    block = 512
    starts = range(0, len(said), block)
    found = [reranker.match(texts.take(said[at : at + block]), photos.take(shown[at : at + block])) for at in starts]
    return np.concatenate(found) if found else np.zeros(0, dtype=np.float32)
