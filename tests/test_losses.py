"""The losses against their formulas written out, and what each does to positives and negatives."""

import math

import numpy as np
import pytest
import torch

from api.cli.training.options import Loss
from retrieval.training.losses import LOSSES, ModalityDiscriminator, hardest_margin, pairwise_sigmoid

POSITIVES = torch.tensor([[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]], dtype=torch.bool)


def cosines(seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).uniform(-1, 1, (4, 4)).astype(np.float32))


def test_the_command_line_names_all_losses() -> None:
    assert [loss.value for loss in Loss] == list(LOSSES)


def test_sigmoid_agrees_with_its_formula() -> None:
    logits = cosines() * 10 - 3
    expected = 0.0
    for i in range(4):
        for j in range(4):
            z = 1 if POSITIVES[i, j] else -1
            expected -= math.log(1 / (1 + math.exp(-z * logits[i, j].item()))) / 4
    assert pairwise_sigmoid(logits, POSITIVES).item() == pytest.approx(expected, rel=1e-5)


def test_margin_agrees_with_its_formula() -> None:
    def one_side(s: np.ndarray, positives: np.ndarray) -> float:
        losses = []
        for i in range(len(s)):
            hardest = max(s[i, k] for k in range(s.shape[1]) if not positives[i, k])
            hinges = [max(0.0, 0.2 + hardest - s[i, j]) for j in range(s.shape[1]) if positives[i, j]]
            losses.append(sum(hinges) / len(hinges))
        return sum(losses) / len(losses)

    s, right = cosines(), POSITIVES.numpy()
    expected = one_side(s.numpy(), right) + one_side(s.numpy().T, right.T)
    assert hardest_margin(s, POSITIVES, 0.2).item() == pytest.approx(expected, rel=1e-5)


def test_margin_without_negatives_is_nothing() -> None:
    assert hardest_margin(cosines(), torch.ones(4, 4, dtype=torch.bool), 0.2).item() == 0


@pytest.mark.parametrize("name", LOSSES)
def test_positives_are_raised_and_negatives_lowered(name: str) -> None:
    similarities = torch.full((4, 4), 0.5, requires_grad=True)
    LOSSES[name]()(similarities, POSITIVES).backward()
    assert similarities.grad is not None
    assert (similarities.grad[POSITIVES] < 0).all()  # the one that another picture was drawn with too
    assert (similarities.grad[~POSITIVES] >= 0).all()
    assert (similarities.grad[~POSITIVES] > 0).any()


@pytest.mark.parametrize("name", ["infonce", "sigmoid"])
def test_the_temperature_is_learned_and_stays_in_range(name: str) -> None:
    loss = LOSSES[name]()
    optimizer = torch.optim.SGD(loss.parameters(), lr=100)
    right = POSITIVES.float() * 0.2  # already in the right order: a sharper temperature lowers the loss
    before = loss.log_scale.item()
    for _ in range(50):
        optimizer.zero_grad()
        loss(right, POSITIVES).backward()
        optimizer.step()
        loss.settle()
    assert before < loss.log_scale.item() <= math.log(100) + 1e-6


def test_the_discriminator_learns_and_the_heads_unlearn() -> None:
    torch.manual_seed(0)
    discriminator = ModalityDiscriminator(3)
    images = torch.tensor([[1.0, 0, 0], [0.9, 0.1, 0]], requires_grad=True)
    texts = torch.tensor([[0.0, 1, 0], [0, 0.9, 0.1]], requires_grad=True)
    optimizer = torch.optim.Adam(discriminator.parameters(), lr=0.05)
    for _ in range(20):
        optimizer.zero_grad()
        discriminator(images, texts, 1.0).backward()
        optimizer.step()
    told_apart = discriminator(images, texts, 1.0)
    assert told_apart.item() < math.log(2) / 2

    images.grad = None
    told_apart.backward()
    assert images.grad is not None
    moved = discriminator((images - 0.1 * images.grad / images.grad.norm()).detach(), texts, 1.0)
    assert moved.item() > told_apart.item()  # descent on the turned gradient makes them harder to tell apart


def test_the_adversarial_weight_scales_what_reaches_the_heads() -> None:
    discriminator = ModalityDiscriminator(3)

    def gradient(weight: float) -> torch.Tensor:
        images = torch.eye(3, requires_grad=True)
        discriminator(images, torch.ones(2, 3), weight).backward()
        assert images.grad is not None
        return images.grad

    torch.testing.assert_close(gradient(0.5), gradient(1.0) / 2)
