"""Projections: seeded ones are the same everywhere, the shipped one is the file that was tested."""

from pathlib import Path

import numpy as np
import pytest

from retrieval.errors import EncoderError
from retrieval.tokens import projection


def test_a_seeded_projection_is_gaussian_and_always_the_same() -> None:
    made = projection.seeded(768)
    assert made is not None and made.width == projection.NARROW
    first, last = [1.76405235, 0.40015721, 0.97873798], [1.59511401, -0.61624174, -0.70241545]
    np.testing.assert_allclose(made.matrix[0, :3] * np.sqrt(192), first, rtol=1e-6)
    np.testing.assert_allclose(made.matrix[-1, -3:] * np.sqrt(192), last, rtol=1e-6)
    assert made.matrix.mean() == pytest.approx(0, abs=1e-3) and made.matrix.std() == pytest.approx(192**-0.5, rel=0.01)
    assert not made.mean.any()


def test_a_seeded_projection_keeps_distances() -> None:
    made = projection.seeded(768)
    assert made is not None
    points = np.random.default_rng(1).standard_normal((20, 768)).astype(np.float32)
    before = np.linalg.norm(points[:, None] - points[None], axis=2)
    after = np.linalg.norm(made.apply(points)[:, None] - made.apply(points)[None], axis=2)
    apart = ~np.eye(20, dtype=bool)
    assert np.abs(after[apart] / before[apart] - 1).max() < 0.3  # a few standard deviations of 1 / sqrt(2 * 192)


@pytest.mark.parametrize("wide", [64, 192])
def test_what_is_narrow_enough_stays(wide: int) -> None:
    assert projection.seeded(wide) is None


def test_the_shipped_one_centres_and_projects() -> None:
    image, text = projection.of_starter()
    assert image.matrix.shape == (1280, 192) and text.matrix.shape == (384, 192)
    np.testing.assert_array_equal(image.apply(image.mean[None]), np.zeros((1, 192)))
    token = np.random.default_rng(2).standard_normal((1, 384)).astype(np.float32)
    np.testing.assert_allclose(text.apply(token), (token - text.mean) @ text.matrix, atol=1e-6)


def test_another_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = tmp_path / "starter-tokens.safetensors"
    other.write_bytes(projection.STARTER.read_bytes()[:-1] + b"x")
    monkeypatch.setattr(projection, "STARTER", other)
    projection.of_starter.cache_clear()
    with pytest.raises(EncoderError, match="is not the file expected"):
        projection.of_starter()
    projection.of_starter.cache_clear()


def test_the_hash_knows_matrices_their_order_and_the_rounding(monkeypatch: pytest.MonkeyPatch) -> None:
    image, text = projection.of_starter()
    found = {projection.hash_of(each) for each in ([image, text], [text, image], [image, None], [None, None])}
    assert len(found) == 4
    assert projection.hash_of([image, text]) in found
    monkeypatch.setattr(projection, "FORMAT", "another")
    assert projection.hash_of([image, text]) not in found
