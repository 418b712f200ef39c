"""What every `TokenEncoder` of this package must do, run for each of them."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from retrieval.encoders import load_encoder
from retrieval.encoders.base import DualEncoder, FloatArray, TokenEncoder
from retrieval.encoders.heads import Heads
from retrieval.encoders.projected import ProjectedEncoder
from retrieval.encoders.towers import efficientnet
from retrieval.tokens import projection
from retrieval.tokens.codec import pack
from retrieval.tokens.value import TokenSpec
from tests.explained import thing
from tests.test_heads import a_head
from tests.test_openclip import tiny_folder
from tests.test_spatial_contract import with_heads

MODEL = pytest.mark.model
TEXTS = ["red shoes", "", "two dogs run over the grass while a child looks on", "word " * 100]
FOREIGN = "红色的鞋子和蓝色的帽子"


@pytest.fixture(
    scope="module",
    params=[
        "open_clip-tiny",
        "heads-on-open_clip",
        pytest.param("starter", marks=MODEL),
        pytest.param("heads-on-starter", marks=MODEL),
        pytest.param("starter-on-openvino", marks=MODEL),
    ],
)
def encoder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DualEncoder]:
    folder = tmp_path_factory.mktemp("model")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("CATALENS_CACHE", str(folder / "cache"))
        yield load(request.param, folder / "model")


def load(kind: str, folder: Path) -> DualEncoder:
    if "open_clip" in kind:
        tiny = load_encoder(str(tiny_folder(folder)), runtime="torch")
        return with_heads(tiny) if kind.startswith("heads") else tiny
    starter = load_encoder("starter", runtime="openvino" if kind.endswith("openvino") else "torch")
    if not kind.startswith("heads"):
        return starter
    assert isinstance(starter, ProjectedEncoder)
    towers = starter.towers
    image, text = a_head(towers.image_features_dimension), a_head(towers.text_features_dimension)
    return ProjectedEncoder(towers, Heads(image, text, towers.towers_hash, "0" * 64), "headed")


@pytest.fixture(scope="module")
def pixels(encoder: DualEncoder) -> np.ndarray:
    """Three pictures, the last of which is noise."""
    dice = np.random.default_rng(0)
    first, second = thing("red", (0.1, 0.1, 0.4, 0.4)), thing("green", (0.2, 0.2, 0.9, 0.6))
    noise = dice.integers(0, 255, encoder.preprocess(first).shape).astype(np.uint8)
    return np.stack([encoder.preprocess(first), encoder.preprocess(second), noise])


def token_encoder(encoder: DualEncoder) -> tuple[TokenEncoder, TokenSpec]:
    assert isinstance(encoder, TokenEncoder)
    assert encoder.token_spec is not None
    return encoder, encoder.token_spec


def test_vectors_are_those_of_plain_encoding(encoder: DualEncoder, pixels: np.ndarray) -> None:
    giving, _ = token_encoder(encoder)
    found = giving.encode_images_with_tokens(pixels)
    np.testing.assert_allclose(found.vectors, encoder.encode_images(pixels), atol=1e-5)
    texts = [*TEXTS, FOREIGN]
    np.testing.assert_allclose(giving.encode_texts_with_tokens(texts).vectors, encoder.encode_texts(texts), atol=1e-5)


def test_shapes_are_as_the_spec_says(encoder: DualEncoder, pixels: np.ndarray) -> None:
    giving, spec = token_encoder(encoder)
    assert spec.encoder == encoder.spec.fingerprint
    photos, texts = giving.encode_images_with_tokens(pixels), giving.encode_texts_with_tokens(TEXTS)
    assert photos.tokens.shape == (3, spec.places, spec.image_width)
    assert photos.lengths.tolist() == [spec.places] * 3
    assert texts.tokens.shape == (len(TEXTS), max(texts.lengths), spec.text_width)
    for side in (photos, texts):
        assert side.tokens.dtype == np.float32 and side.vectors.dtype == np.float32
        assert side.lengths.dtype == np.int64
        assert np.isfinite(side.tokens).all()
        assert side.vectors.shape == (len(side), encoder.spec.dimension)


def test_nothing_in_nothing_out(encoder: DualEncoder, pixels: np.ndarray) -> None:
    giving, spec = token_encoder(encoder)
    photos, texts = giving.encode_images_with_tokens(pixels[:0]), giving.encode_texts_with_tokens([])
    assert photos.tokens.shape == (0, spec.places, spec.image_width)
    assert len(texts) == 0 and texts.tokens.shape[2] == spec.text_width
    assert photos.vectors.shape == texts.vectors.shape == (0, encoder.spec.dimension)


def test_a_batch_equals_one_at_a_time(encoder: DualEncoder, pixels: np.ndarray) -> None:
    giving, _ = token_encoder(encoder)
    photos, texts = giving.encode_images_with_tokens(pixels), giving.encode_texts_with_tokens(TEXTS)
    for place in range(3):
        alone = giving.encode_images_with_tokens(pixels[place : place + 1])
        np.testing.assert_allclose(alone.tokens[0], photos.tokens[place], atol=1e-3)
    for place, text in enumerate(TEXTS):
        one = giving.encode_texts_with_tokens([text])
        length = texts.lengths[place]
        assert one.lengths[0] == length
        np.testing.assert_allclose(one.tokens[0, :length], texts.tokens[place, :length], atol=1e-3)


def test_texts_have_as_many_tokens_as_pieces(encoder: DualEncoder) -> None:
    giving, spec = token_encoder(encoder)
    texts = giving.encode_texts_with_tokens(TEXTS)
    assert texts.lengths.tolist() == [4, 2, 13, spec.text_length]  # with the marks of both ends
    for row, length in zip(texts.tokens, texts.lengths, strict=True):
        assert row[:length].any(axis=1).all()
        assert not row[length:].any()


def test_tokens_are_small_when_packed(encoder: DualEncoder, pixels: np.ndarray) -> None:
    giving, _ = token_encoder(encoder)
    for photo in giving.encode_images_with_tokens(pixels).tokens:
        assert len(pack(photo)) <= 16 * 1024
    texts = giving.encode_texts_with_tokens(TEXTS)
    for row, length in zip(texts.tokens, texts.lengths, strict=True):
        assert len(pack(row[:length])) <= 16 * 1024


@pytest.mark.parametrize(("down", "right"), [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_tokens_change_where_the_picture_does(encoder: DualEncoder, pixels: np.ndarray, down: int, right: int) -> None:
    """Places run row by row from the top left: what changes in a corner shows most in the tokens there."""
    giving, spec = token_encoder(encoder)
    changed = pixels[:1].copy()
    height, width = changed.shape[1] // 4, changed.shape[2] // 4
    rows, columns = (
        slice(3 * height * down, 3 * height * down + height),
        slice(3 * width * right, 3 * width * right + width),
    )
    changed[0, rows, columns] = 255 - changed[0, rows, columns]
    moved = giving.encode_images_with_tokens(changed).tokens - giving.encode_images_with_tokens(pixels[:1]).tokens
    side = round(spec.places**0.5)
    by_place: FloatArray = np.linalg.norm(moved[0], axis=1).reshape(side, side)
    row, column = np.unravel_index(by_place.argmax(), by_place.shape)
    assert (row >= side / 2, column >= side / 2) == (bool(down), bool(right))


@MODEL
def test_the_starter_gives_no_tokens_for_what_its_english_tower_cannot_read() -> None:
    giving, _ = token_encoder(load_encoder("starter", runtime="torch"))
    found = giving.encode_texts_with_tokens([FOREIGN, "red shoes"])
    assert found.lengths.tolist() == [0, 4]
    assert found.vectors[0].any()  # the multilingual tower reads it


@MODEL
def test_the_starters_photo_tokens_are_its_projected_last_map() -> None:
    """By hand: timm's last map, place by place."""
    pixels = np.random.default_rng(0).integers(0, 255, (2, 224, 224, 3)).astype(np.uint8)
    model = efficientnet._model(None, tuned=True)
    image, _ = projection.of_starter()
    with torch.inference_mode():
        last = model.forward_features(torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 127.5 - 1).numpy()
    found = load_encoder("starter", runtime="torch").encode_images_with_tokens(pixels)  # type: ignore[attr-defined]
    for row in range(7):
        for column in range(7):
            expected = (last[:, :, row, column] - image.mean) @ image.matrix
            np.testing.assert_allclose(found.tokens[:, 7 * row + column], expected, atol=1e-3)


@pytest.mark.parametrize("encoder", [pytest.param("starter-on-openvino", marks=MODEL)], indirect=True)
def test_an_export_gives_torchs_tokens(encoder: DualEncoder, pixels: np.ndarray) -> None:
    giving, spec = token_encoder(encoder)
    reference, its_spec = token_encoder(load_encoder("starter", runtime="torch"))
    assert spec.fingerprint == its_spec.fingerprint
    found, expected = (each.encode_images_with_tokens(pixels) for each in (giving, reference))
    np.testing.assert_allclose(found.tokens, expected.tokens, atol=0.01)
    assert "image.tokens" in encoder.towers._graphs  # type: ignore[attr-defined]  # not torch's own
