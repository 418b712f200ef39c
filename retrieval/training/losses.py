"""What training minimises: three contrastive losses with any number of positives to a row, and an adversarial term.

Each takes cosines [n, m] (row i is a picture, column j a text) and which of them are positives, bool [n, m]; every row
and column needs at least one. A positive is never pushed away, whichever pair it was drawn for.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

LOG_SCALE_CAP = math.log(100)
"""CLIP's cap on the inverse temperature; beyond it training becomes unstable."""


def info_nce(similarities: Tensor, positives: Tensor) -> Tensor:
    """Symmetric InfoNCE (van den Oord et al. 2018; CLIP, Radford et al. 2021) with several positives.

    similarities: float [n, m], cosine divided by the temperature.

    A row's target is spread evenly over its positives, so two pictures with one caption do not push each other
    away (Khosla et al. 2020, "Supervised Contrastive Learning", eq. 2, L_out):

        L = mean_i -1/|P(i)| sum_{j in P(i)} log softmax(similarities_i)_j,   averaged with the same by columns
    """
    target = positives.float()
    by_row = (similarities.log_softmax(dim=1) * target).sum(dim=1) / target.sum(dim=1)
    by_column = (similarities.log_softmax(dim=0) * target).sum(dim=0) / target.sum(dim=0)
    return -(by_row.mean() + by_column.mean()) / 2


def pairwise_sigmoid(logits: Tensor, positives: Tensor) -> Tensor:
    """Each pair a yes-or-no question of its own (SigLIP, Zhai et al. 2023, arXiv:2303.15343, eq. 1):

        L = -1/n sum_ij log sigmoid(z_ij logits_ij),   z = 1 for positives and -1 for all others

    logits: float [n, m], scale * cosine + bias.
    """
    signs = positives.float() * 2 - 1
    return -nn.functional.logsigmoid(signs * logits).sum() / len(logits)


def hardest_margin(similarities: Tensor, positives: Tensor, margin: float) -> Tensor:
    """Sum of hinges against the hardest negative (VSE++, Faghri et al. 2018, arXiv:1707.05612, eq. 6):

        L = mean_i 1/|P(i)| sum_{j in P(i)} [margin + max_{k not in P(i)} s_ik - s_ij]+,   plus the same by columns

    similarities: float [n, m], cosines. A row without negatives adds 0.
    """

    def one_side(scores: Tensor, right: Tensor) -> Tensor:
        hardest = scores.masked_fill(right, -torch.inf).amax(dim=1, keepdim=True)
        hinges = (margin + hardest - scores).relu() * right
        return (hinges.sum(dim=1) / right.sum(dim=1)).mean()

    return one_side(similarities, positives) + one_side(similarities.T, positives.T)


class InfoNCE(nn.Module):
    """`info_nce` with a learned temperature that starts where CLIP's does, at 0.07, and stays above 0.01."""

    def __init__(self) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))

    def forward(self, cosines: Tensor, positives: Tensor) -> Tensor:
        return info_nce(cosines * self.log_scale.exp(), positives)

    @torch.no_grad()
    def settle(self) -> None:
        """Keep the temperature in its range; called after each step."""
        self.log_scale.clamp_(max=LOG_SCALE_CAP)


class PairwiseSigmoid(nn.Module):
    """`pairwise_sigmoid` with a learned scale and bias that start where SigLIP's do: 10 and -10."""

    def __init__(self) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.tensor(math.log(10.0)))
        self.bias = nn.Parameter(torch.tensor(-10.0))

    def forward(self, cosines: Tensor, positives: Tensor) -> Tensor:
        return pairwise_sigmoid(cosines * self.log_scale.exp() + self.bias, positives)

    @torch.no_grad()
    def settle(self) -> None:
        """Keep the scale in the range of InfoNCE's."""
        self.log_scale.clamp_(max=LOG_SCALE_CAP)


class HardestMargin(nn.Module):
    """`hardest_margin` with VSE++'s margin of 0.2; learns nothing itself."""

    margin = 0.2

    def forward(self, cosines: Tensor, positives: Tensor) -> Tensor:
        return hardest_margin(cosines, positives, self.margin)

    def settle(self) -> None:
        """Nothing to keep in range."""


Loss = InfoNCE | PairwiseSigmoid | HardestMargin

LOSSES: Mapping[str, Callable[[], Loss]] = {
    "infonce": InfoNCE,
    "sigmoid": PairwiseSigmoid,
    "margin": HardestMargin,
}
"""By the name that `--loss` takes; the first is the default."""


class ModalityDiscriminator(nn.Module):
    """Tells pictures' vectors from texts', behind a layer that turns its gradient round.

    The discriminator learns to tell them apart while the heads learn to make that impossible, which aligns the two
    distributions (gradient reversal: Ganin & Lempitsky 2015, arXiv:1409.7495; for retrieval: ACMR, Wang et al. 2017).
    """

    def __init__(self, dimension: int, width: int = 128) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(dimension, width), nn.ReLU(), nn.Linear(width, 1))

    def forward(self, images: Tensor, texts: Tensor, weight: float) -> Tensor:
        """Mean binary cross-entropy over unit vectors [n, d] and [m, d]; ln 2 when they cannot be told apart.

        weight: what the heads' gradient is multiplied by, after its sign was turned.
        """
        vectors = _Reversed.apply(torch.cat([images, texts]), weight)
        is_text = torch.cat([torch.zeros(len(images)), torch.ones(len(texts))])
        return nn.functional.binary_cross_entropy_with_logits(self.layers(vectors).squeeze(1), is_text)


class _Reversed(torch.autograd.Function):
    """The identity, whose gradient is multiplied by -weight."""

    @staticmethod
    def forward(ctx: Any, vectors: Tensor, weight: float) -> Tensor:
        ctx.weight = weight
        return vectors.view_as(vectors)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return -ctx.weight * gradients[0], None
