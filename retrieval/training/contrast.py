"""The first phase of training a reranker: each text of a batch among all its photos, and each photo likewise.

One step judges as many pairs as the batch has squared: a module sees each photo a hundred times in minutes. What
it learns is broad; the candidates that the first stage confuses come in the second phase.
"""

import numpy as np
import torch
from torch import Tensor

from retrieval.arrays import FloatArray
from retrieval.rerankers.modules.pair import PairModule
from retrieval.tokens.value import Tokens
from retrieval.training.pairs import IntArray
from retrieval.training.reranker_pairs import TrainingPairs, tensors


def draw_batches(sources: IntArray, batch: int, rng: np.random.Generator) -> list[IntArray]:
    """All photos once, in batches of at most `batch` photos of one data set each: others are too easy to tell apart.

    sources: int64 [n], the data set of each photo. A batch of one photo teaches nothing and is left out.
    """
    batches: list[IntArray] = []
    for source in np.unique(sources):
        own = rng.permutation(np.flatnonzero(sources == source))
        batches += [part for part in np.array_split(own, -(-len(own) // batch)) if len(part) > 1]
    return [batches[at] for at in rng.permutation(len(batches))]


def contrast_loss(module: PairModule, pairs: TrainingPairs, photos: IntArray, rng: np.random.Generator) -> Tensor:
    """InfoNCE (van den Oord et al. 2018, arXiv:1807.03748) in both directions, a text drawn for each photo.

    A text that belongs to several photos of the batch is no wrong answer for any of them.
    """
    texts = np.array([rng.choice(pairs.texts_of[photo]) for photo in photos])
    logits = module.all_pairs(tensors(pairs.texts.take(texts)), tensors(seen(pairs, photos, rng))).float()
    column = {photo: at for at, photo in enumerate(photos.tolist())}
    also = torch.zeros(logits.shape, dtype=torch.bool)
    for at, text in enumerate(texts):
        also[at, [column[photo] for photo in pairs.photos_of[text].tolist() if photo in column]] = True
    also.fill_diagonal_(False)
    logits = logits.masked_fill(also, -1e4)
    right = torch.arange(len(photos))
    cross_entropy = torch.nn.functional.cross_entropy
    return (cross_entropy(logits, right) + cross_entropy(logits.T, right)) / 2


def seen(pairs: TrainingPairs, photos: IntArray, rng: np.random.Generator) -> Tokens:
    """The photos, each in one of its views."""
    given = pairs.photos.take(photos)
    if not pairs.views:
        return given
    which = rng.integers(len(pairs.views) + 1, size=len(photos))
    tokens: FloatArray = given.tokens.copy()
    for number, view in enumerate(pairs.views, start=1):
        tokens[which == number] = view[photos[which == number]]
    return Tokens(tokens, given.lengths, given.vectors)
