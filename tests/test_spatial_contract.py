"""What every `SpatialEncoder` must do, run for each of them."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from retrieval.encoders import load_encoder
from retrieval.encoders.base import DualEncoder, SpatialEncoder
from retrieval.encoders.heads import Heads
from retrieval.encoders.projected import ProjectedEncoder
from retrieval.encoders.towers import efficientnet
from retrieval.encoders.towers.embedding import EmbeddingTowers, identity_head
from retrieval.explain.heat_map import heat_map
from tests.explained import GridColourEncoder, thing
from tests.fakes import ColourEncoder, colour_model
from tests.test_openclip import tiny_folder

MODEL = pytest.mark.model


@pytest.fixture(
    scope="module",
    params=[
        "colour",
        "open_clip-tiny",
        "heads-on-open_clip",
        pytest.param("starter", marks=MODEL),
        pytest.param("starter-on-openvino", marks=MODEL),
    ],
)
def encoder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DualEncoder]:
    folder = tmp_path_factory.mktemp("model")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("CATALENS_CACHE", str(folder / "cache"))
        yield load(request.param, folder / "model")


def load(kind: str, folder: Path) -> DualEncoder:
    name, _, runtime = kind.partition("-on-")
    if kind == "colour":
        return GridColourEncoder()
    if kind == "heads-on-open_clip":
        return with_heads(load_encoder(str(tiny_folder(folder)), runtime="torch"))
    return load_encoder("starter" if name == "starter" else str(tiny_folder(folder)), runtime=runtime or "torch")


def with_heads(base: DualEncoder) -> ProjectedEncoder:
    """Heads that change nothing on an encoder's own embeddings."""
    head = identity_head(base.spec.dimension)
    towers = EmbeddingTowers(base)
    return ProjectedEncoder(towers, Heads(head, head, towers.towers_hash, "0" * 64), "headed")


@pytest.fixture(scope="module")
def pixels(encoder: DualEncoder) -> np.ndarray:
    dice = np.random.default_rng(0)
    noisy = thing("green", (0.2, 0.2, 0.6, 0.6))
    noisy = Image.fromarray(
        np.clip(np.asarray(noisy, dtype=int) + dice.integers(0, 60, (120, 120, 3)), 0, 255).astype(np.uint8)
    )
    return np.stack([encoder.preprocess(thing("red", (0.1, 0.1, 0.4, 0.4))), encoder.preprocess(noisy)])


def grid(encoder: DualEncoder, pixels: np.ndarray) -> np.ndarray:
    assert isinstance(encoder, SpatialEncoder)
    cells = encoder.grid(pixels)
    assert cells is not None
    return cells


def test_cells_are_unit_vectors_of_the_joint_space(encoder: DualEncoder, pixels: np.ndarray) -> None:
    cells = grid(encoder, pixels)
    assert cells.dtype == np.float32
    assert cells.ndim == 4 and len(cells) == 2 and cells.shape[-1] == encoder.spec.dimension
    assert min(cells.shape[1:3]) >= 4
    np.testing.assert_allclose(np.linalg.norm(cells, axis=-1), 1, atol=1e-5)


def test_a_batch_equals_one_at_a_time(encoder: DualEncoder, pixels: np.ndarray) -> None:
    singles = [grid(encoder, pixels[i : i + 1])[0] for i in range(2)]
    np.testing.assert_allclose(grid(encoder, pixels), singles, atol=1e-4)


def test_nothing_in_nothing_out(encoder: DualEncoder, pixels: np.ndarray) -> None:
    assert len(grid(encoder, pixels[:0])) == 0


def test_cells_change_where_the_picture_does(encoder: DualEncoder, pixels: np.ndarray) -> None:
    """Rows run down and columns to the right: a change at the upper left shows there first."""
    changed = pixels[:1].copy()
    height, width = changed.shape[1:3]
    changed[0, : height // 4, : width // 4] = 255 - changed[0, : height // 4, : width // 4]
    moved = np.linalg.norm(grid(encoder, changed)[0] - grid(encoder, pixels[:1])[0], axis=-1)
    row, column = np.unravel_index(np.argmax(moved), moved.shape)
    assert row < moved.shape[0] / 2 and column < moved.shape[1] / 2
    rows, columns = moved.shape[0] // 2, moved.shape[1] // 2
    assert moved[:rows, :columns].mean() > 1.5 * moved[rows:, columns:].mean()


def test_the_heat_map_takes_the_grid(encoder: DualEncoder) -> None:
    photo = thing("red", (0.1, 0.1, 0.4, 0.4))
    made = heat_map(encoder, photo, encoder.encode_texts(["red"])[0], tested=False)
    assert made.method == "grid"
    expected = grid(encoder, encoder.preprocess(photo)[None])[0] @ encoder.encode_texts(["red"])[0]
    np.testing.assert_allclose(made.relevance, expected, atol=1e-5)


def test_patches_are_what_the_last_block_gives_each_alone(tmp_path: Path) -> None:
    """By hand: of a token that attends to itself alone, attention gives the value, projected."""
    import open_clip

    encoder = load_encoder(str(tiny_folder(tmp_path)), runtime="torch")
    model = open_clip.create_model(f"local-dir:{tmp_path}").eval()
    dice = np.random.default_rng(1)
    pixels = dice.integers(0, 255, (1, 32, 32, 3)).astype(np.uint8)
    mean, std = (torch.tensor(encoder.spec.preprocessing[name]).view(1, 3, 1, 1) for name in ("mean", "std"))
    batch = (torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255 - mean) / std
    with torch.inference_mode():
        visual = model.visual
        given = visual.forward_intermediates(batch, indices=[0], output_fmt="NLC", intermediates_only=True)
        tokens = given["image_intermediates"][0]
        last = visual.transformer.resblocks[-1]
        weight, bias = last.attn.in_proj_weight.chunk(3)[2], last.attn.in_proj_bias.chunk(3)[2]
        values = last.attn.out_proj(last.ln_1(tokens) @ weight.T + bias)
        tokens = tokens + values
        tokens = tokens + last.mlp(last.ln_2(tokens))
        expected = (visual.ln_post(tokens) @ visual.proj)[0]
        expected = (expected / expected.norm(dim=-1, keepdim=True)).numpy()
    np.testing.assert_allclose(grid(encoder, pixels).reshape(16, -1), expected, atol=1e-5)


@MODEL
def test_the_starters_cells_are_those_whose_mean_its_tower_pools() -> None:
    tower = efficientnet.EfficientNetLite2()
    pixels = np.random.default_rng(2).integers(0, 255, (1, 224, 224, 3)).astype(np.uint8)
    cells = tower.cell_features(pixels)
    model = efficientnet._model(None, tuned=True)
    with torch.inference_mode():
        batch = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 127.5 - 1
        batch = torch.nn.functional.interpolate(batch, size=(448, 448), mode="bicubic")
        pooled = model.forward_head(model.forward_features(batch), pre_logits=True).numpy()
    np.testing.assert_allclose(cells[..., : efficientnet.POOLED].mean(axis=(1, 2)), pooled, atol=1e-3)
    np.testing.assert_allclose((cells[..., efficientnet.POOLED :] ** 2).sum(axis=-1), 1, atol=1e-4)


def test_encoders_without_a_grid_are_covered_part_by_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CATALENS_CACHE", str(tmp_path / "cache"))
    exported = load_encoder(str(tiny_folder(tmp_path / "model")), runtime="openvino")
    photo = thing("red", (0.1, 0.1, 0.4, 0.4))
    for encoder in (exported, colour_model(), ColourEncoder()):
        made = heat_map(encoder, photo, encoder.encode_texts(["red"])[0], tested=False)
        assert made.method == "occlusion"
