"""Train a pair of heads on cached features: InfoNCE with a learned temperature, stopped by validation."""

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from retrieval.encoders.base import FloatArray
from retrieval.encoders.heads import Head
from retrieval.training.loss import info_nce
from retrieval.training.pairs import Pairs
from retrieval.training.torch_head import TorchHead

log = logging.getLogger(__name__)
Judge = Callable[[Head, Head], float]


@dataclass(frozen=True)
class Settings:
    """What training can vary.

    dimension: of the joint space. width_image, width_text: of the hidden layers.
    batch: pictures a step, each with `texts_per_picture` drawn texts: more positives and negatives for half of
    what pictures would cost (1 -> 3 lifted Flickr8k's validation success@1 from .187 to .194).
    epochs: at most; the learning rate falls to zero over them by a cosine. patience: epochs without a better
    figure before it stops.
    """

    dimension: int = 512
    width_image: int = 512
    width_text: int = 1024
    dropout: float = 0.15
    learning_rate: float = 3e-3
    weight_decay: float = 0.1
    batch: int = 1024
    texts_per_picture: int = 3
    epochs: int = 30
    patience: int = 8
    seed: int = 0


@dataclass(frozen=True)
class Fitted:
    """The heads of the best epoch, that epoch (from 1) and its figure."""

    image: Head
    text: Head
    epoch: int
    figure: float


def fit(images: FloatArray, texts: FloatArray, pairs: Pairs, judge: Judge, settings: Settings) -> Fitted:
    """Train on picture features [n, d_image] and text features [len(pairs.texts), d_text].

    judge: takes the image head and the text head, gives a figure to maximise, such as success@1 on validation.

    The same seed, thread count and library versions give the same heads, bit for bit.
    """
    torch.manual_seed(settings.seed)
    rng = np.random.default_rng(settings.seed)
    image_head = TorchHead(images, dimension=settings.dimension, width=settings.width_image, dropout=settings.dropout)
    text_head = TorchHead(texts, dimension=settings.dimension, width=settings.width_text, dropout=settings.dropout)
    # CLIP's start of 1/0.07, and its cap of 100 below: beyond it training becomes unstable.
    log_scale = torch.nn.Parameter(torch.tensor(math.log(1 / 0.07)))
    heads = [*image_head.parameters(), *text_head.parameters()]
    optimizer = torch.optim.AdamW(
        [
            {"params": [p for p in heads if p.ndim > 1], "weight_decay": settings.weight_decay},
            {"params": [p for p in heads if p.ndim == 1] + [log_scale], "weight_decay": 0.0},
        ],
        lr=settings.learning_rate,
    )
    steps = math.ceil(len(images) / settings.batch)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: _warm_cosine(step, steps, settings.epochs * steps)
    )
    best: Fitted | None = None
    for epoch in range(1, settings.epochs + 1):
        image_head.train()
        text_head.train()
        total = 0.0
        for chosen in np.array_split(rng.permutation(len(images)), steps):
            drawn = pairs.draw(np.tile(chosen, settings.texts_per_picture), rng)
            similarities = image_head(torch.from_numpy(images[chosen])) @ text_head(torch.from_numpy(texts[drawn])).T
            positives = torch.from_numpy(pairs.positives(chosen, drawn))
            loss = info_nce(similarities * log_scale.exp(), positives)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it bare
            optimizer.step()
            schedule.step()
            with torch.no_grad():
                log_scale.clamp_(max=math.log(100))
            total += loss.item()
        image, text = image_head.to_head(), text_head.to_head()
        figure = judge(image, text)
        log.info(
            "epoch %d: loss %.3f, validation %.4f, temperature 1/%.0f",
            epoch,
            total / steps,
            figure,
            log_scale.exp().item(),
        )
        if best is None or figure > best.figure:
            best = Fitted(image=image, text=text, epoch=epoch, figure=figure)
        elif epoch - best.epoch >= settings.patience:
            break
    if best is None:
        raise ValueError("settings.epochs must be at least 1")
    return best


def _warm_cosine(step: int, warm: int, total: int) -> float:
    """Share of the learning rate: rises over the first epoch, then falls by a cosine to zero."""
    if step < warm:
        return (step + 1) / warm
    return (1 + math.cos(math.pi * (step - warm) / max(total - warm, 1))) / 2
