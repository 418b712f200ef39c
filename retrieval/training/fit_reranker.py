"""Train a reranker on pairs with hard negatives, against the scores that the first stage gives."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from retrieval.rerankers.modules.pair import PairModule
from retrieval.tokens.value import Tokens
from retrieval.training.fit import Epoch
from retrieval.training.hard_negatives import draw, mine
from retrieval.training.pairs import IntArray

SCALE = 20.0  # of the cosine in the loss: a temperature of 0.05
MINED = 30


@dataclass(frozen=True)
class RerankerSettings:
    """What training can vary.

    kind: a name in `KINDS`. batch: texts a step, each with its picture, `negatives` other pictures, and as many other
    texts for its picture. epochs: at most; patience: epochs without a better figure before it stops.
    """

    kind: str = "cross_attention"
    learning_rate: float = 5e-4
    weight_decay: float = 0.05
    batch: int = 32
    negatives: int = 7
    epochs: int = 8
    patience: int = 3
    depth: int = 20
    seed: int = 0


@dataclass(frozen=True)
class TrainingPairs:
    """photos, texts: the training part. photos_of: for each text the rows of its photos; texts_of: the reverse."""

    photos: Tokens
    texts: Tokens
    photos_of: tuple[IntArray, ...]
    texts_of: tuple[IntArray, ...]


@dataclass(frozen=True)
class FittedReranker:
    """The module with the weights of the best epoch (from 1; 0: none was better than the first stage)."""

    module: PairModule
    epoch: int
    figure: float
    history: tuple[Epoch, ...]


def fit_reranker(
    module: PairModule,
    pairs: TrainingPairs,
    judge: Callable[[PairModule], float],
    settings: RerankerSettings,
    *,
    before: float,
    on_epoch: Callable[[Epoch], None] | None = None,
) -> FittedReranker:
    """Train the module in place with AdamW, the rate warmed over the first tenth and falling by a cosine.

    judge: gives the figure to maximise. before: the figure of the first stage alone.

    The same seed, thread count and library versions give the same weights, bit for bit.
    """
    rng = np.random.default_rng(settings.seed)
    hard_photos = mine(pairs.texts.vectors, pairs.photos.vectors, pairs.photos_of, MINED)
    hard_texts = mine(pairs.photos.vectors, pairs.texts.vectors, pairs.texts_of, MINED)
    steps = math.ceil(len(pairs.texts) / settings.batch)
    total = steps * settings.epochs
    optimizer = torch.optim.AdamW(module.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, max(1, total // 10), total))
    best, figure = {name: one.clone() for name, one in module.state_dict().items()}, before
    fitted = FittedReranker(module, 0, before, ())
    history: list[Epoch] = []
    for number in range(1, settings.epochs + 1):
        module.train()
        losses = 0.0
        for chosen in np.array_split(rng.permutation(len(pairs.texts)), steps):
            loss = _loss(module, pairs, chosen, hard_photos, hard_texts, settings.negatives, rng)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it bare
            torch.nn.utils.clip_grad_norm_(module.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            losses += loss.item()
        module.eval()
        history.append(Epoch(number, losses / steps, judge(module)))
        if history[-1].figure > figure:
            figure = history[-1].figure
            best = {name: one.clone() for name, one in module.state_dict().items()}
            fitted = replace(fitted, epoch=number, figure=figure)
        if on_epoch:
            on_epoch(history[-1])
        if number - fitted.epoch >= settings.patience:
            break
    module.load_state_dict(best)
    module.eval()
    return replace(fitted, history=tuple(history))


def _loss(
    module: PairModule,
    pairs: TrainingPairs,
    chosen: IntArray,
    hard_photos: IntArray,
    hard_texts: IntArray,
    negatives: int,
    rng: np.random.Generator,
) -> Tensor:
    """Softmax cross-entropy of SCALE * cosine + match, of the right one among its negatives, in both directions."""
    shown = np.array([rng.choice(pairs.photos_of[text]) for text in chosen])
    photos = draw(hard_photos[chosen], [pairs.photos_of[t] for t in chosen], len(pairs.photos), negatives, rng)
    texts = draw(hard_texts[shown], [pairs.texts_of[p] for p in shown], len(pairs.texts), negatives, rng)
    width = 1 + negatives
    said = np.concatenate([np.repeat(chosen, width), np.column_stack([chosen, texts]).ravel()])
    seen = np.concatenate([np.column_stack([shown, photos]).ravel(), np.repeat(shown, width)])
    there = (said >= 0) & (seen >= 0)
    some_texts, some_photos = pairs.texts.take(said[there]), pairs.photos.take(seen[there])
    match = module(*tensors(some_texts), *tensors(some_photos))
    cosines = torch.from_numpy((some_texts.vectors * some_photos.vectors).sum(axis=1))
    scores = torch.full((len(said),), -torch.inf)
    scores[torch.from_numpy(there)] = SCALE * cosines + match
    rows = scores.reshape(-1, width)
    return torch.nn.functional.cross_entropy(rows, torch.zeros(len(rows), dtype=torch.long))


def tensors(side: Tokens) -> tuple[Tensor, Tensor, Tensor]:
    """Tokens cut to the longest row, lengths and vectors, as a module takes them."""
    longest = max(1, int(side.lengths.max(initial=1)))
    tokens = np.ascontiguousarray(side.tokens[:, :longest])
    return torch.from_numpy(tokens), torch.from_numpy(side.lengths), torch.from_numpy(side.vectors)


def _rate(step: int, warm: int, total: int) -> float:
    if step < warm:
        return (step + 1) / warm
    return (1 + math.cos(math.pi * (step - warm) / max(total - warm, 1))) / 2
