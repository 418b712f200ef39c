"""Train a pair of heads on cached features with a contrastive loss, from nothing or from a pair of heads."""

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import nn

from retrieval.encoders.base import FloatArray
from retrieval.encoders.heads import Head
from retrieval.training.averaged import Averaged
from retrieval.training.losses import LOSSES, Loss, ModalityDiscriminator
from retrieval.training.pairs import Pairs
from retrieval.training.pictures import Pictures, Views
from retrieval.training.torch_head import TorchHead

log = logging.getLogger(__name__)
Judge = Callable[[Head, Head], float]


@dataclass(frozen=True)
class Settings:
    """What training can vary.

    dimension: of the joint space. width_image, width_text: of the hidden layers. All three are those of the pair that
    training starts from, if it starts from one.
    loss: a name in LOSSES. adversarial: weight of the modality discriminator's reversed gradient; 0 leaves it out.
    average: decay of the running average of all weights, which is what is judged and kept; 0 keeps the last step's.
    bfloat16: compute heads and similarities in bfloat16, which takes a quarter of the time on processors that have it.
    tower_learning_rate: of a tower that is trained along.
    batch: pictures a step, each with `texts_per_picture` drawn texts: more positives and negatives for half of
    what pictures would cost (1 -> 3 lifted Flickr8k's validation success@1 from .187 to .194).
    epochs: at most; the learning rate falls to zero over them by a cosine. patience: epochs without a better
    figure before it stops.
    """

    dimension: int = 512
    width_image: int = 512
    width_text: int = 1024
    dropout: float = 0.15
    loss: str = "infonce"
    adversarial: float = 0.0
    learning_rate: float = 3e-3
    weight_decay: float = 0.1
    average: float = 0.0
    bfloat16: bool = False
    tower_learning_rate: float = 3e-4
    batch: int = 1024
    texts_per_picture: int = 3
    epochs: int = 30
    patience: int = 8
    seed: int = 0


@dataclass(frozen=True)
class Epoch:
    """number: from 1. loss: mean over its steps. figure: on validation, after it."""

    number: int
    loss: float
    figure: float


@dataclass(frozen=True)
class Fitted:
    """The heads of the best epoch, that epoch (from 1; 0 is the pair that training started from) and its figure.

    history: every epoch that was trained.
    """

    image: Head
    text: Head
    epoch: int
    figure: float
    history: tuple[Epoch, ...] = ()


def fit(
    images: FloatArray | Pictures,
    texts: FloatArray,
    pairs: Pairs,
    judge: Judge,
    settings: Settings,
    *,
    start: tuple[Head, Head] | None = None,
    on_epoch: Callable[[Epoch], None] | None = None,
) -> Fitted:
    """Train on picture features [n, d_image] and text features [len(pairs.texts), d_text].

    images: features that stay as they are, or what gives those of a batch; its tower, if any, is trained along and
    left with the weights of the best epoch.
    judge: takes the image head and the text head, gives a figure to maximise, such as success@1 on validation; it may
    use the tower, which has the weights to be judged while it runs.
    start: the image head and the text head to go on from; they are kept if no epoch is better.

    The same seed, thread count and library versions give the same heads, bit for bit.
    """
    if settings.epochs < 1:
        raise ValueError("settings.epochs must be at least 1")
    torch.manual_seed(settings.seed)
    rng = np.random.default_rng(settings.seed)
    pictures = Views(images) if isinstance(images, np.ndarray) else images
    image_head, text_head = _twins(pictures, texts, settings, start)
    loss_of = LOSSES[settings.loss]()
    if start:
        _calibrate(loss_of, *_first_batch(pictures, texts, pairs, start, settings))
    discriminator = ModalityDiscriminator(image_head.linear.out_features) if settings.adversarial else None
    learned = [loss_of, discriminator] if discriminator else [loss_of]
    optimizer = _optimizer([image_head, text_head], learned, pictures.tower, settings)
    steps = math.ceil(len(pictures) / settings.batch)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: _warm_cosine(step, steps, settings.epochs * steps)
    )
    trained = [image_head, text_head, *([pictures.tower] if pictures.tower else [])]
    averaged = Averaged(trained, settings.average)
    best = Fitted(*start, epoch=0, figure=judge(*start)) if start else None
    best_tower = _weights(pictures.tower)
    history: list[Epoch] = []
    for number in range(1, settings.epochs + 1):
        total = 0.0
        for module in trained:
            module.train()
        for chosen in np.array_split(rng.permutation(len(pictures)), steps):
            drawn = pairs.draw(np.tile(chosen, settings.texts_per_picture), rng)
            features = pictures.batch(chosen, rng)
            with torch.autocast("cpu", torch.bfloat16, enabled=settings.bfloat16):
                shown, said = image_head(features), text_head(torch.from_numpy(texts[drawn]))
                cosines = shown @ said.T
            loss = loss_of(cosines.float(), torch.from_numpy(pairs.positives(chosen, drawn)))
            total += loss.item()
            if discriminator:
                loss = loss + discriminator(shown, said, settings.adversarial)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            loss_of.settle()
            averaged.update()
        for module in trained:
            module.eval()
        with averaged.applied():
            image, text = image_head.to_head(), text_head.to_head()
            epoch = Epoch(number, total / steps, judge(image, text))
            if best is None or epoch.figure > best.figure:
                best = Fitted(image=image, text=text, epoch=number, figure=epoch.figure)
                best_tower = _weights(pictures.tower)
        history.append(epoch)
        log.info("epoch %d: loss %.3f, validation %.4f", number, epoch.loss, epoch.figure)
        if on_epoch:
            on_epoch(epoch)
        if number - best.epoch >= settings.patience:
            break
    assert best is not None  # noqa: S101 (an epoch was trained)
    if pictures.tower:
        pictures.tower.load_state_dict(best_tower)
    return replace(best, history=tuple(history))


def _optimizer(
    heads: Sequence[nn.Module], learned: Sequence[nn.Module], tower: nn.Module | None, settings: Settings
) -> torch.optim.Optimizer:
    """AdamW over the heads, what the loss learns, and the tower; only the heads' matrices decay towards zero."""
    weights = [weight for head in heads for weight in head.parameters()]
    others = [weight for module in learned for weight in module.parameters()]
    groups: list[dict[str, Any]] = [
        {"params": [p for p in weights if p.ndim > 1], "weight_decay": settings.weight_decay},
        {"params": [p for p in weights if p.ndim == 1] + others, "weight_decay": 0.0},
    ]
    if tower:
        tuned = [p for p in tower.parameters() if p.requires_grad]
        groups.append({"params": tuned, "weight_decay": 0.0, "lr": settings.tower_learning_rate})
    return torch.optim.AdamW(groups, lr=settings.learning_rate)


def _weights(tower: nn.Module | None) -> dict[str, torch.Tensor]:
    return {name: weight.clone() for name, weight in tower.state_dict().items()} if tower else {}


def _twins(
    pictures: Pictures, texts: FloatArray, settings: Settings, start: tuple[Head, Head] | None
) -> tuple[TorchHead, TorchHead]:
    dropout = settings.dropout
    if start:
        return TorchHead.of(start[0], dropout=dropout), TorchHead.of(start[1], dropout=dropout)
    return (
        TorchHead(pictures.sample(), dimension=settings.dimension, width=settings.width_image, dropout=dropout),
        TorchHead(texts, dimension=settings.dimension, width=settings.width_text, dropout=dropout),
    )


def _first_batch(
    pictures: Pictures, texts: FloatArray, pairs: Pairs, start: tuple[Head, Head], settings: Settings
) -> tuple[torch.Tensor, torch.Tensor]:
    """Cosines that the start gives to one batch, and its positives."""
    rng = np.random.default_rng(settings.seed)
    chosen = rng.permutation(len(pictures))[: settings.batch]
    drawn = pairs.draw(np.tile(chosen, settings.texts_per_picture), rng)
    with torch.inference_mode():
        features = pictures.batch(chosen, rng).numpy()
    cosines = start[0].apply(features) @ start[1].apply(texts[drawn]).T
    return torch.from_numpy(cosines), torch.from_numpy(pairs.positives(chosen, drawn))


def _calibrate(loss: Loss, cosines: torch.Tensor, positives: torch.Tensor) -> None:
    """Bring what the loss itself learns (temperature, bias) to where a trained pair wants it, the pair untouched.

    Otherwise the first epochs pull the pair towards an untrained temperature: from the starter on 1,253 pictures the
    sigmoid loss fell below the start and had not come back to it after 8 epochs.
    """
    learned = list(loss.parameters())
    if not learned:
        return
    optimizer = torch.optim.Adam(learned, lr=0.1)
    for _ in range(100):
        optimizer.zero_grad()
        loss(cosines, positives).backward()
        optimizer.step()
        loss.settle()


def _warm_cosine(step: int, warm: int, total: int) -> float:
    """Share of the learning rate: rises over the first epoch, then falls by a cosine to zero."""
    if step < warm:
        return (step + 1) / warm
    return (1 + math.cos(math.pi * (step - warm) / max(total - warm, 1))) / 2
