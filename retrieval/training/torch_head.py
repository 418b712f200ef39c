"""The trainable twin of `retrieval.encoders.heads.Head`."""

import numpy as np
import torch
from torch import Tensor, nn

from retrieval.arrays import FloatArray
from retrieval.encoders.heads import Head


class TorchHead(nn.Module):
    """Computes what `Head` computes, with dropout on the features and on the hidden layer while training.

    features: float32 [n, n_features] of the training part; their mean and spread standardise all others.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, features: FloatArray, *, dimension: int, width: int, dropout: float) -> None:
        super().__init__()
        spread = np.maximum(features.std(axis=0), 1e-3)  # a feature that never moves must not blow up
        self.register_buffer("mean", torch.from_numpy(features.mean(axis=0)))
        self.register_buffer("scale", torch.from_numpy(1 / spread))
        n_features = features.shape[1]
        self.linear = nn.Linear(n_features, dimension)
        self.hidden = nn.Linear(n_features, width)
        self.output = nn.Linear(width, dimension, bias=False)
        self.drop_features = nn.Dropout(dropout)
        self.drop_hidden = nn.Dropout(dropout)

    @classmethod
    def of(cls, head: Head, *, dropout: float) -> "TorchHead":
        """The twin of a head, standardisation included, to train on from there."""
        twin = cls(head.mean[None], dimension=head.dimension, width=head.hidden_bias.size, dropout=dropout)
        twin.load_state_dict(
            {
                "mean": torch.from_numpy(head.mean),
                "scale": torch.from_numpy(head.scale),
                "linear.weight": torch.from_numpy(head.linear.T),
                "linear.bias": torch.from_numpy(head.bias),
                "hidden.weight": torch.from_numpy(head.hidden.T),
                "hidden.bias": torch.from_numpy(head.hidden_bias),
                "output.weight": torch.from_numpy(head.output.T),
            }
        )
        return twin

    def forward(self, features: Tensor) -> Tensor:
        """float32 [n, n_features] -> unit vectors [n, dimension]."""
        z = self.drop_features((features - self.mean) * self.scale)
        bent = self.drop_hidden(self.hidden(z).relu())
        return nn.functional.normalize(self.linear(z) + self.output(bent), dim=1)

    def to_head(self) -> Head:
        """The trained values as the NumPy head."""
        return Head(
            mean=_array(self.mean),
            scale=_array(self.scale),
            linear=_array(self.linear.weight.T),
            bias=_array(self.linear.bias),
            hidden=_array(self.hidden.weight.T),
            hidden_bias=_array(self.hidden.bias),
            output=_array(self.output.weight.T),
        )


def _array(tensor: Tensor) -> FloatArray:
    array: FloatArray = tensor.detach().numpy().copy(order="C")
    return array
