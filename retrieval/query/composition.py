"""Several parts as one unit vector, so that scores of composed queries compare with those of plain ones."""

from collections.abc import Sequence

import numpy as np

from retrieval.arrays import FloatArray
from retrieval.errors import QueryError

# Share of the weights' sum that must be left over. Below, the direction is that of rounding (float32 has 6e-8) and
# of what the encoder happens to do with two texts that mean the same.
LEFT_OVER = 1e-3


def composed(vectors: FloatArray, weights: Sequence[float]) -> FloatArray:
    """The direction of the weighted sum of unit vectors, float32 unit vector [dimension].

        q = sum_i w_i u_i / || sum_i w_i u_i ||

    vectors: float32 [n, dimension], n >= 1, unit rows; weights: n numbers, negative for what hits should be unlike.
    The score of a row x is then q . x, a cosine in [-1, 1] whatever the number of parts and the scale of the weights;
    one part of positive weight gives back its own vector. The sum of embeddings as the meaning of the whole is from
    Mikolov et al., "Distributed Representations of Words and Phrases and their Compositionality" (2013), section 5;
    words added to and taken from a picture in a joint space from Kiros, Salakhutdinov and Zemel, "Unifying
    Visual-Semantic Embeddings with Multimodal Neural Language Models" (2014), section 4.3.
    Raises QueryError when the parts cancel to nothing.
    """
    w = np.asarray(weights, np.float32)
    total = w @ vectors
    length = float(np.linalg.norm(total))
    if length <= LEFT_OVER * float(np.abs(w).sum()):
        raise QueryError(
            "the parts of the query cancel to nothing",
            hint="what is added and taken away must differ, and some weight must not be 0",
        )
    unit: FloatArray = (total / length).astype(np.float32)
    return unit
