"""Train a pair of heads on cached features with a contrastive loss, from nothing or from a pair of heads."""

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import nn

from retrieval.arrays import FloatArray
from retrieval.encoders.heads import Head
from retrieval.training.averaged import Averaged
from retrieval.training.inputs import Inputs, Views
from retrieval.training.losses import LOSSES, Loss, ModalityDiscriminator
from retrieval.training.pairs import IntArray, Pairs
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
    keep_last: keep the last epoch and not the best, where validation is too small to tell epochs apart.
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
    keep_last: bool = False
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
    images: FloatArray | Inputs,
    texts: FloatArray | Inputs,
    pairs: Pairs,
    judge: Judge,
    settings: Settings,
    *,
    start: tuple[Head, Head] | None = None,
    on_epoch: Callable[[Epoch], None] | None = None,
) -> Fitted:
    """Train on picture features [n, d_image] and text features [len(pairs.texts), d_text].

    images, texts: features that stay as they are, or what gives those of a batch; the images' tower, if any, is trained
    along and left with the weights of the best epoch.
    judge: takes the image head and the text head, gives a figure to maximise, such as success@1 on validation; it may
    use the tower, which has the weights to be judged while it runs.
    start: the image head and the text head to go on from; they are kept if no epoch is better.

    The same seed, thread count and library versions give the same heads, bit for bit.
    """
    if settings.epochs < 1:
        raise ValueError("settings.epochs must be at least 1")
    torch.manual_seed(settings.seed)
    pictures: Inputs = Views(images) if isinstance(images, np.ndarray) else images
    words: Inputs = Views(texts) if isinstance(texts, np.ndarray) else texts
    run = _Run(pictures, words, pairs, settings, start)
    best = Fitted(*start, epoch=0, figure=judge(*start)) if start else None
    best_tower = run.tower_weights()
    history: list[Epoch] = []
    for number in range(1, settings.epochs + 1):
        loss = run.epoch()
        with run.averaged.applied():
            image, text = run.image_head.to_head(), run.text_head.to_head()
            epoch = Epoch(number, loss, judge(image, text))
            if best is None or settings.keep_last or epoch.figure > best.figure:
                best, best_tower = Fitted(image, text, number, epoch.figure), run.tower_weights()
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


class _Run:
    """Everything that changes while training: heads, tower, what the loss learns, and their optimizer."""

    def __init__(
        self,
        pictures: Inputs,
        texts: Inputs,
        pairs: Pairs,
        settings: Settings,
        start: tuple[Head, Head] | None,
    ) -> None:
        self._pictures, self._texts, self._pairs, self._settings = pictures, texts, pairs, settings
        self._rng = np.random.default_rng(settings.seed)
        self.image_head, self.text_head = _twins(pictures, texts, settings, start)
        self._loss = LOSSES[settings.loss]()
        if start:
            _calibrate(self._loss, *_first_batch(pictures, texts, pairs, start, settings))
        size = self.image_head.linear.out_features
        self._discriminator = ModalityDiscriminator(size) if settings.adversarial else None
        learned = [self._loss, self._discriminator] if self._discriminator else [self._loss]
        self._optimizer = _optimizer([self.image_head, self.text_head], learned, pictures.tower, settings)
        self._steps = math.ceil(len(pictures) / settings.batch)
        self._schedule = torch.optim.lr_scheduler.LambdaLR(
            self._optimizer, lambda step: _warm_cosine(step, self._steps, settings.epochs * self._steps)
        )
        self._trained = [self.image_head, self.text_head, *([pictures.tower] if pictures.tower else [])]
        self.averaged = Averaged(self._trained, settings.average)

    def epoch(self) -> float:
        """Train on every picture once. Returns the mean loss over the steps."""
        for module in self._trained:
            module.train()
        total = 0.0
        for chosen in np.array_split(self._rng.permutation(len(self._pictures)), self._steps):
            total += self._step(chosen)
        for module in self._trained:
            module.eval()
        return total / self._steps

    def tower_weights(self) -> dict[str, torch.Tensor]:
        """A copy of the tower's weights; empty if none is trained."""
        tower = self._pictures.tower
        return {name: weight.clone() for name, weight in tower.state_dict().items()} if tower else {}

    def _step(self, chosen: IntArray) -> float:
        drawn = self._pairs.draw(np.tile(chosen, self._settings.texts_per_picture), self._rng)
        features = self._pictures.batch(chosen, self._rng)
        with torch.autocast("cpu", torch.bfloat16, enabled=self._settings.bfloat16):
            shown, said = self.image_head(features), self.text_head(self._texts.batch(drawn, self._rng))
            cosines = shown @ said.T
        positives = torch.from_numpy(self._pairs.positives(chosen, drawn))
        loss: torch.Tensor = self._loss(cosines.float(), positives)
        contrastive = loss.item()
        if self._discriminator:
            loss = loss + self._discriminator(shown.float(), said.float(), self._settings.adversarial)
        self._optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it bare
        self._optimizer.step()
        self._schedule.step()
        self._loss.settle()
        self.averaged.update()
        return contrastive


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


def _twins(
    pictures: Inputs, texts: Inputs, settings: Settings, start: tuple[Head, Head] | None
) -> tuple[TorchHead, TorchHead]:
    dropout = settings.dropout
    if start:
        return TorchHead.of(start[0], dropout=dropout), TorchHead.of(start[1], dropout=dropout)
    return (
        TorchHead(pictures.sample(), dimension=settings.dimension, width=settings.width_image, dropout=dropout),
        TorchHead(texts.sample(), dimension=settings.dimension, width=settings.width_text, dropout=dropout),
    )


def _first_batch(
    pictures: Inputs, texts: Inputs, pairs: Pairs, start: tuple[Head, Head], settings: Settings
) -> tuple[torch.Tensor, torch.Tensor]:
    """Cosines that the start gives to one batch, and its positives."""
    rng = np.random.default_rng(settings.seed)
    chosen = rng.permutation(len(pictures))[: settings.batch]
    drawn = pairs.draw(np.tile(chosen, settings.texts_per_picture), rng)
    with torch.inference_mode():
        shown, said = pictures.batch(chosen, rng).numpy(), texts.batch(drawn, rng).numpy()
    cosines = start[0].apply(shown) @ start[1].apply(said).T
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
