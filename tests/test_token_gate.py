"""An export gives a reranker what torch gives it, or there is no export; an export without tokens is still one."""

from collections.abc import Callable

import numpy as np
import pytest

from retrieval.arrays import FloatArray
from retrieval.encoders.base import unit_rows
from retrieval.encoders.starter import StarterTowers
from retrieval.encoders.towers import efficientnet
from retrieval.encoders.towers.graphs import IMAGE_TOKENS, Graph, torch_graph
from retrieval.runtime import bank
from retrieval.runtime.gate import EXACT
from retrieval.runtime.token_gate import PICTURES, TOKENS, TokenGate

pytestmark = pytest.mark.model


@pytest.fixture(scope="module")
def graph() -> Graph:
    return torch_graph(efficientnet.tokens_source())


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    return np.stack([efficientnet.preprocess(picture) for picture in bank.pictures(PICTURES)])


def over(graph: Graph, change: Callable[[FloatArray], FloatArray]) -> StarterTowers:
    """Exported towers whose rows of features with tokens are changed."""
    return StarterTowers({IMAGE_TOKENS: lambda *given: change(graph(*given))})


def noisy(rows: FloatArray, part: slice, share: float) -> FloatArray:
    """Noise on a part of each row, as a share of that part's own size: a cosine of about 1 - share² / 2."""
    changed = rows.copy()
    dice = np.random.default_rng(0)
    changed[:, part] += share * rows[:, part].std() * dice.standard_normal(rows[:, part].shape).astype(np.float32)
    return changed


VECTORS, PLACES = slice(0, efficientnet.DIMENSION), slice(efficientnet.DIMENSION, None)


@pytest.mark.parametrize(
    ("part", "share", "passes"),
    [
        (PLACES, 0.0, True),
        (PLACES, 0.02, True),  # 0.9998
        (PLACES, 0.08, False),  # 0.9968
        (VECTORS, 0.1, False),  # tokens as they should be, beside other vectors
    ],
)
def test_tokens_and_the_vectors_beside_them_are_judged(
    graph: Graph, pixels: np.ndarray, part: slice, share: float, passes: bool
) -> None:
    gate = TokenGate(over(graph, lambda rows: rows), pixels, unit_rows)
    measured, passed = gate.judged(over(graph, lambda rows: noisy(rows, part, share)))
    assert passed is passes
    if part == PLACES:
        assert (measured.mean >= TOKENS) is passes
    else:
        assert measured.lowest >= EXACT


def test_an_export_without_tokens_gives_them_in_torch(graph: Graph, pixels: np.ndarray) -> None:
    earlier = StarterTowers({"image": torch_graph(efficientnet.source())}, runtime="openvino (image f32)")
    found, expected = (each.image_features_with_tokens(pixels) for each in (earlier, over(graph, lambda rows: rows)))
    np.testing.assert_allclose(found.tokens, expected.tokens, atol=1e-4)
    np.testing.assert_allclose(found.vectors, earlier.image_features(pixels), atol=1e-4)
