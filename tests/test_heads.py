"""Heads: the NumPy forward pass, its torch twin, and the file that holds a pair."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from retrieval.encoders.heads import FORMAT, Head, load_heads, save_heads
from retrieval.errors import EncoderError, WeightsUnavailable


def a_head(n_features: int, dimension: int = 8, width: int = 5, seed: int = 0) -> Head:
    rng = np.random.default_rng(seed)

    def normal(*shape: int) -> np.ndarray:
        return rng.normal(size=shape).astype(np.float32)

    return Head(
        mean=normal(n_features),
        scale=np.abs(normal(n_features)) + 0.5,
        linear=normal(n_features, dimension),
        bias=normal(dimension),
        hidden=normal(n_features, width),
        hidden_bias=normal(width),
        output=normal(width, dimension),
    )


@pytest.fixture
def heads_file(tmp_path: Path) -> Path:
    path = tmp_path / "heads.safetensors"
    save_heads(path, image=a_head(12), text=a_head(7, seed=1), towers="t")
    return path


def test_apply_by_hand():
    one = np.ones(1, dtype=np.float32)
    head = Head(
        mean=np.array([1.0, 0.0], dtype=np.float32),
        scale=np.array([2.0, 1.0], dtype=np.float32),
        linear=np.array([[1.0, 0.0], [0.0, 1.0]], dtype=np.float32),
        bias=np.array([0.0, 1.0], dtype=np.float32),
        hidden=np.array([[1.0], [-1.0]], dtype=np.float32),
        hidden_bias=one,
        output=np.array([[0.0, 1.0]], dtype=np.float32),
    )
    # z = (2, 0) and (0, 9); the hidden unit gives 3 and max(0, -8); y = (2, 4) and (0, 10).
    got = head.apply(np.array([[2.0, 0.0], [1.0, 9.0]], dtype=np.float32))
    np.testing.assert_allclose(got, [[1 / 5**0.5, 2 / 5**0.5], [0.0, 1.0]], atol=1e-6)
    assert got.dtype == np.float32


def test_unit_rows_and_empty_batch():
    head = a_head(12)
    rows = head.apply(np.random.default_rng(2).normal(size=(9, 12)).astype(np.float32))
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-6)
    assert head.apply(np.empty((0, 12), dtype=np.float32)).shape == (0, 8)


def test_numpy_and_torch_twins_agree():
    import torch

    from retrieval.training.torch_head import TorchHead

    features = np.random.default_rng(3).normal(3, 2, size=(50, 40)).astype(np.float32)
    features[:, 7] = 1.5  # a feature that never moves
    torch.manual_seed(0)
    twin = TorchHead(features, dimension=16, width=24, dropout=0.5).eval()
    with torch.inference_mode():
        expected = twin(torch.from_numpy(features)).numpy()
    np.testing.assert_allclose(twin.to_head().apply(features), expected, atol=1e-4)


def test_round_trip_is_half_precision(heads_file: Path):
    features = np.random.default_rng(4).normal(size=(20, 12)).astype(np.float32)
    loaded = load_heads(heads_file)
    cosines = (loaded.image.apply(features) * a_head(12).apply(features)).sum(axis=1)
    assert cosines.min() > 0.99999
    assert loaded.towers == "t"
    assert loaded.image.linear.dtype == np.float32


def test_one_changed_bit_is_refused(heads_file: Path):
    digest = load_heads(heads_file).sha256
    data = bytearray(heads_file.read_bytes())
    data[-5] ^= 1
    heads_file.write_bytes(bytes(data))
    with pytest.raises(EncoderError, match="were changed") as caught:
        load_heads(heads_file, sha256=digest)
    assert caught.value.hint


def test_missing_file(tmp_path: Path):
    with pytest.raises(WeightsUnavailable, match="cannot read the heads"):
        load_heads(tmp_path / "none.safetensors")


@pytest.mark.parametrize("data", [b"", b"\x80\x04pickle", b"\xff" * 64], ids=["empty", "pickle", "noise"])
def test_not_safetensors(tmp_path: Path, data: bytes):
    path = tmp_path / "heads.safetensors"
    path.write_bytes(data)
    with pytest.raises(EncoderError, match="not a safetensors file"):
        load_heads(path)


def test_other_safetensors_file(tmp_path: Path):
    path = tmp_path / "other.safetensors"
    path.write_bytes(save({"weight": np.zeros((2, 2), dtype=np.float16)}))
    with pytest.raises(EncoderError, match="holds no Catalens heads"):
        load_heads(path)


def test_a_tensor_is_missing(tmp_path: Path):
    path = tmp_path / "part.safetensors"
    tensors = {"image.mean": np.zeros(2, dtype=np.float16)}
    path.write_bytes(save(tensors, metadata={"format": FORMAT, "towers": "t"}))
    with pytest.raises(EncoderError, match=r"lack the tensor 'image\.scale'"):
        load_heads(path)


@pytest.mark.parametrize(
    "name, shape",
    [("mean", (3,)), ("linear", (12,)), ("linear", (12, 8, 1)), ("bias", (1, 8)), ("output", (8, 5))],
)
def test_shapes_that_do_not_fit(tmp_path: Path, name: str, shape: tuple[int, ...]):
    path = tmp_path / "heads.safetensors"
    bad = replace(a_head(12), **{name: np.zeros(shape, dtype=np.float32)})
    save_heads(path, image=bad, text=a_head(7), towers="t")
    with pytest.raises(EncoderError, match="do not fit"):
        load_heads(path)


def test_two_spaces(tmp_path: Path):
    path = tmp_path / "heads.safetensors"
    save_heads(path, image=a_head(12, dimension=8), text=a_head(7, dimension=6), towers="t")
    with pytest.raises(EncoderError, match="8 and 6 dimensions"):
        load_heads(path)


def test_equal_heads_are_equal_bytes(tmp_path: Path):
    head = a_head(12)
    hashes = {save_heads(tmp_path / "heads", image=head, text=head, towers="t") for _ in range(20)}
    assert len(hashes) == 1
    loaded = load_heads(tmp_path / "heads")
    np.testing.assert_array_equal(loaded.image.linear, head.as_saved().linear)


def test_heads_in_8_bits_are_half_as_large_and_nearly_the_same(tmp_path: Path) -> None:
    image, text = a_head(96, dimension=64), a_head(64, dimension=64, seed=1)
    sizes = []
    for in_8_bits in (False, True):
        path = tmp_path / f"{in_8_bits}.safetensors"
        save_heads(path, image=image, text=text, towers="t", in_8_bits=in_8_bits)
        sizes.append(path.stat().st_size)
        loaded = load_heads(path)
        features = np.random.default_rng(0).normal(size=(50, 96)).astype(np.float32)
        cosines = (image.apply(features) * loaded.image.apply(features)).sum(axis=1)
        assert cosines.min() > 0.9995
    assert sizes[1] < 0.7 * sizes[0]


def test_8_bits_without_their_scale_are_refused(tmp_path: Path) -> None:
    from safetensors.numpy import load, save

    path = tmp_path / "heads.safetensors"
    save_heads(path, image=a_head(12), text=a_head(7), towers="t", in_8_bits=True)
    tensors = load(path.read_bytes())
    del tensors["image.linear.scale_8bit"]
    path.write_bytes(save(tensors, metadata={"format": FORMAT, "towers": "t"}))
    with pytest.raises(EncoderError, match=r"image\.linear has no scale"):
        load_heads(path)
