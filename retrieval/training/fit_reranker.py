"""Train a reranker: first on all pairs of large batches, then on what the first stage confuses."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from retrieval.errors import TrainingError
from retrieval.rerankers.modules.pair import PairModule
from retrieval.training.averaged import Averaged
from retrieval.training.combine import BEYOND
from retrieval.training.contrast import contrast_loss, draw_batches, seen
from retrieval.training.fit import Epoch
from retrieval.training.hard_negatives import draw, mine
from retrieval.training.pairs import IntArray
from retrieval.training.reranker_pairs import TrainingPairs, tensors

MINED = 30
WARM = 60  # steps


@dataclass(frozen=True)
class RerankerSettings:
    """What training can vary.

    kind: a name in `KINDS`.
    contrast_epochs, contrast_batch, contrast_rate: of the first phase, in which an epoch sees each photo `passes`
    times, with one of its texts each time.
    epochs, batch, learning_rate: of the second, in which an epoch sees each text once, with its photo, `negatives`
    other photos, and as many other texts for its photo.
    patience: epochs without a better figure before a phase ends. views: further views of each photo, see `view_of`.
    average: decay of the running average of all weights, which is what is judged and kept.
    bfloat16: compute in bfloat16, which takes half of the time on processors that have it.
    beyond: how clearly a match must help on validation to count, see `choose_weight`.
    """

    kind: str = "cross_attention"
    contrast_epochs: int = 12
    contrast_batch: int = 512
    contrast_rate: float = 1.5e-3
    passes: int = 8
    epochs: int = 1
    batch: int = 64
    learning_rate: float = 5e-4
    negatives: int = 4
    weight_decay: float = 0.05
    dropout: float = 0.3
    average: float = 0.995
    bfloat16: bool = False
    views: int = 0
    patience: int = 4
    depth: int = 20
    beyond: float = BEYOND
    seed: int = 0


@dataclass(frozen=True)
class FittedReranker:
    """The module with the weights of the best epoch (from 1; 0: none was better than the first stage)."""

    module: PairModule
    epoch: int
    figure: float
    history: tuple[Epoch, ...]


@dataclass(frozen=True)
class _Phase:
    """steps: in an epoch. losses: those of one epoch, one a step."""

    epochs: int
    steps: int
    rate: float
    losses: Callable[[], Iterator[Tensor]]


def fit_reranker(
    module: PairModule,
    pairs: TrainingPairs,
    judge: Callable[[PairModule], float],
    settings: RerankerSettings,
    *,
    before: float,
    on_epoch: Callable[[Epoch], None] | None = None,
) -> FittedReranker:
    """Train the module in place with AdamW, the rate of each phase warmed up and falling by a cosine.

    judge: gives the figure to maximise. before: the figure of the first stage alone. The second phase goes on from the
    best epoch of the first, or from its last where none beat the first stage: it may yet.

    The same seed, thread count and library versions give the same weights, bit for bit. Raises TrainingError for a loss
    that is not finite.
    """
    torch.manual_seed(settings.seed)
    for part in module.modules():
        if isinstance(part, torch.nn.Dropout):
            part.p = settings.dropout
    rng = np.random.default_rng(settings.seed)
    best = {name: one.clone() for name, one in module.state_dict().items()}
    fitted, history = FittedReranker(module, 0, before, ()), list[Epoch]()
    for phase in (_contrasting(module, pairs, settings, rng), _confused(module, pairs, settings, rng)):
        if not phase.steps:
            continue  # a photo a data set: nothing to contrast
        if fitted.epoch:
            module.load_state_dict(best)
        began = len(history)
        optimizer = torch.optim.AdamW(module.parameters(), lr=phase.rate, weight_decay=settings.weight_decay)
        total = phase.steps * phase.epochs
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, _rate(min(WARM, max(1, total // 10)), total))
        averaged = Averaged([module], settings.average)
        for number in range(began + 1, began + phase.epochs + 1):
            module.train()
            losses = []
            for loss in phase.losses():
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it bare
                torch.nn.utils.clip_grad_norm_(module.parameters(), 1.0)
                optimizer.step()
                schedule.step()
                averaged.update()
                losses.append(loss.item())
                if not math.isfinite(losses[-1]):
                    raise TrainingError(
                        f"the loss of epoch {number} is {losses[-1]}",
                        hint="lower --learning-rate, or train less with --contrast-epochs and --epochs",
                    )
            module.eval()
            with averaged.applied():
                history.append(Epoch(number, float(np.mean(losses)), judge(module)))
                if history[-1].figure > fitted.figure:
                    fitted = replace(fitted, epoch=number, figure=history[-1].figure)
                    best = {name: one.clone() for name, one in module.state_dict().items()}
            if on_epoch:
                on_epoch(history[-1])
            if number - max(fitted.epoch, began) >= settings.patience:
                break
    module.load_state_dict(best)
    module.eval()
    return replace(fitted, history=tuple(history))


def _contrasting(
    module: PairModule, pairs: TrainingPairs, settings: RerankerSettings, rng: np.random.Generator
) -> _Phase:
    sources = np.zeros(len(pairs.photos), dtype=np.int64) if pairs.sources is None else pairs.sources
    batch = min(settings.contrast_batch, module.contrast_batch)
    # As many as there will be: the number hangs on the sizes of the sources alone.
    steps = settings.passes * len(draw_batches(sources, batch, np.random.default_rng(0)))

    def losses() -> Iterator[Tensor]:
        for _ in range(settings.passes):
            for photos in draw_batches(sources, batch, rng):
                with torch.autocast("cpu", dtype=torch.bfloat16, enabled=settings.bfloat16):
                    loss = contrast_loss(module, pairs, photos, rng)
                yield loss

    return _Phase(settings.contrast_epochs, steps, settings.contrast_rate, losses)


def _confused(module: PairModule, pairs: TrainingPairs, settings: RerankerSettings, rng: np.random.Generator) -> _Phase:
    steps = math.ceil(len(pairs.texts) / settings.batch)
    mined: list[IntArray] = []

    def losses() -> Iterator[Tensor]:
        if not mined:
            mined.append(mine(pairs.texts.vectors, pairs.photos.vectors, pairs.photos_of, MINED))
            mined.append(mine(pairs.photos.vectors, pairs.texts.vectors, pairs.texts_of, MINED))
        for chosen in np.array_split(rng.permutation(len(pairs.texts)), steps):
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=settings.bfloat16):
                loss = _confused_loss(module, pairs, chosen, mined[0], mined[1], settings.negatives, rng)
            yield loss

    return _Phase(settings.epochs, steps, settings.learning_rate, losses)


def _confused_loss(
    module: PairModule,
    pairs: TrainingPairs,
    chosen: IntArray,
    hard_photos: IntArray,
    hard_texts: IntArray,
    negatives: int,
    rng: np.random.Generator,
) -> Tensor:
    """Softmax cross-entropy of the right one among its negatives, in both directions.

    Of the match alone: with the cosine beside it, which is nearly always right on pictures that the encoder was trained
    on, little would be left to learn.
    """
    shown = np.array([rng.choice(pairs.photos_of[text]) for text in chosen])
    photos = draw(hard_photos[chosen], [pairs.photos_of[t] for t in chosen], len(pairs.photos), negatives, rng)
    texts = draw(hard_texts[shown], [pairs.texts_of[p] for p in shown], len(pairs.texts), negatives, rng)
    width = 1 + negatives
    said = np.concatenate([np.repeat(chosen, width), np.column_stack([chosen, texts]).ravel()])
    looked_at = np.concatenate([np.column_stack([shown, photos]).ravel(), np.repeat(shown, width)])
    there = (said >= 0) & (looked_at >= 0)
    match = module(*tensors(pairs.texts.take(said[there])), *tensors(seen(pairs, looked_at[there], rng))).float()
    scores = torch.full((len(said),), -1e4)
    scores[torch.from_numpy(there)] = match
    rows = scores.reshape(-1, width)
    return torch.nn.functional.cross_entropy(rows, torch.zeros(len(rows), dtype=torch.long))


def _rate(warm: int, total: int) -> Callable[[int], float]:
    def rate(step: int) -> float:
        if step < warm:
            return (step + 1) / warm
        return (1 + math.cos(math.pi * (step - warm) / max(total - warm, 1))) / 2

    return rate
