"""Vectors of a set: what is encoded together, and what must come out equal."""

import io
from collections.abc import Sequence

import numpy as np
import pytest
from PIL import Image

from retrieval.arrays import FloatArray
from retrieval.evaluation.embed import embed_images, embed_texts
from retrieval.evaluation.types import EvaluationImage, EvaluationText
from tests.fakes import ColourEncoder, Pixels


class BatchesSeen(ColourEncoder):
    """Remembers the size of every batch."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[int] = []

    def encode_images(self, pixels: Pixels) -> FloatArray:
        self.sizes.append(len(pixels))
        return super().encode_images(pixels)

    def encode_texts(self, texts: Sequence[str]) -> FloatArray:
        self.sizes.append(len(texts))
        return super().encode_texts(texts)


def picture() -> bytes:
    data = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(data, "PNG")
    return data.getvalue()


SIZES = [(0, []), (1, [1]), (2, [2]), (32, [32]), (33, [33]), (34, [32, 2]), (64, [32, 32]), (65, [32, 33])]


@pytest.mark.parametrize(("n", "sizes"), SIZES)
def test_no_batch_of_one_is_left_at_the_end(n: int, sizes: list[int]) -> None:
    encoder = BatchesSeen()
    assert embed_texts([EvaluationText(str(i), f"text {i}") for i in range(n)], encoder).shape == (n, 4)
    assert encoder.sizes == sizes
    encoder = BatchesSeen()
    assert embed_images([EvaluationImage(str(i), picture) for i in range(n)], encoder).shape == (n, 4)
    assert encoder.sizes == sizes


def test_equal_texts_are_encoded_once_and_have_one_vector() -> None:
    encoder = BatchesSeen()
    texts = ["red", "blue", "red", "green", "blue"]
    found = embed_texts([EvaluationText(str(i), text) for i, text in enumerate(texts)], encoder)
    assert encoder.sizes == [3]
    assert np.array_equal(found, ColourEncoder().encode_texts(texts))
