"""The contrastive loss, with any number of positives to a row."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def info_nce(similarities: "Tensor", positives: "Tensor") -> "Tensor":
    """Symmetric InfoNCE (van den Oord et al. 2018; CLIP, Radford et al. 2021) with several positives.

    similarities: float [n, m], cosine divided by the temperature; row i is a picture, column j a text.
    positives: bool [n, m], whether text j describes picture i; each row and column needs at least one.

    A row's target is spread evenly over its positives, so two pictures with one caption do not push each other
    away (Khosla et al. 2020, "Supervised Contrastive Learning", eq. 2, L_out):

        L = mean_i -1/|P(i)| sum_{j in P(i)} log softmax(similarities_i)_j,   averaged with the same by columns
    """
    target = positives.float()
    by_row = (similarities.log_softmax(dim=1) * target).sum(dim=1) / target.sum(dim=1)
    by_column = (similarities.log_softmax(dim=0) * target).sum(dim=0) / target.sum(dim=0)
    return -(by_row.mean() + by_column.mean()) / 2
