"""What every `TokenEncoder` of this package must do, run for each of them."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import safetensors.torch
import torch

from indexer.tokens import required_spec, spec_of
from retrieval.arrays import FloatArray
from retrieval.encoders import load_encoder
from retrieval.encoders.base import DualEncoder, TokenEncoder
from retrieval.encoders.heads import Heads
from retrieval.encoders.projected import ProjectedEncoder
from retrieval.encoders.towers import efficientnet
from retrieval.errors import EncoderError
from retrieval.rerankers.base import RerankerSpec
from retrieval.rerankers.registry import KINDS
from retrieval.rerankers.torch_reranker import TorchReranker
from retrieval.tokens import projection
from retrieval.tokens.codec import pack
from retrieval.tokens.value import TokenSpec
from tests.explained import thing
from tests.test_heads import a_head
from tests.test_openclip import TINY, tiny_folder
from tests.test_spatial_contract import with_heads

MODEL = pytest.mark.model
TEXTS = ["red shoes", "", "two dogs run over the grass while a child looks on", "word " * 100]
WIDE = {
    "embed_dim": 32,
    "vision_cfg": {"image_size": 64, "layers": 2, "width": 256, "head_width": 64, "patch_size": 4},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 224, "heads": 2, "layers": 2},
}
"""Of 16 patches a side, and wider than tokens are on both sides."""
FOREIGN = "红色的鞋子和蓝色的帽子"


@pytest.fixture(
    scope="module",
    params=[
        "open_clip-tiny",
        "open_clip-wide",
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
        tiny = tiny_folder(folder) if kind != "open_clip-wide" else random_folder(folder, WIDE)
        base = load_encoder(str(tiny), runtime="torch")
        return with_heads(base) if kind.startswith("heads") else base
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


def random_folder(folder: Path, config: dict[str, Any]) -> Path:
    """A complete local open_clip model with random weights."""
    torch.manual_seed(0)
    folder.mkdir(parents=True, exist_ok=True)
    told = {"model_cfg": config, "preprocess_cfg": {}}
    (folder / "open_clip_config.json").write_text(json.dumps(told), encoding="utf-8")
    model = open_clip.CustomTextCLIP if config.get("custom_text") else open_clip.CLIP
    parts = {name: part for name, part in config.items() if name != "custom_text"}
    safetensors.torch.save_file(model(**parts).state_dict(), folder / "open_clip_model.safetensors")
    return folder


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
    pixels = np.random.default_rng(2).integers(0, 255, (2, 224, 224, 3)).astype(np.uint8)
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


def test_patches_and_states_are_open_clips_own(tmp_path: Path) -> None:
    """By hand: what open_clip's own towers give for each patch and each id, averaged, projected."""
    folder = random_folder(tmp_path, WIDE)
    giving, spec = token_encoder(load_encoder(str(folder), runtime="torch"))
    assert (spec.places, spec.image_width, spec.text_width, spec.text_length) == (49, 192, 192, 40)
    image, text = projection.seeded(256), projection.seeded(224)
    assert image is not None and text is not None
    model, _, prepare = open_clip.create_model_and_transforms(f"local-dir:{folder}")
    picture = thing("red", (0.1, 0.1, 0.4, 0.4))
    model.eval().visual.output_tokens = True
    with torch.inference_mode():
        _, patches = model.visual(prepare(picture)[None])
        rows = torch.nn.functional.adaptive_avg_pool2d(patches[0].T.reshape(256, 16, 16), 7).reshape(256, 49).T
        ids = open_clip.get_tokenizer(f"local-dir:{folder}")(["red shoes"])
        hidden = model.token_embedding(ids) + model.positional_embedding
        states = model.ln_final(model.transformer(hidden, attn_mask=model.attn_mask))[0, :4]
    found = giving.encode_images_with_tokens(load_encoder(str(folder)).preprocess(picture)[None])
    np.testing.assert_allclose(found.tokens[0], rows.numpy() @ image.matrix, atol=1e-4)
    words = giving.encode_texts_with_tokens(["red shoes"])
    np.testing.assert_allclose(words.tokens[0], states.numpy() @ text.matrix, atol=1e-4)


@pytest.mark.parametrize(
    "changed",
    [
        {"vision_cfg": {"image_size": 32, "layers": [1, 1, 1, 1], "width": 32, "head_width": 32, "patch_size": None}},
        {"vision_cfg": TINY["vision_cfg"] | {"attentional_pool": True}},
        {"text_cfg": TINY["text_cfg"] | {"no_causal_mask": True, "pool_type": "last"}, "custom_text": True},
    ],
    ids=["resnet", "attention-pool", "both-ways"],
)
def test_towers_of_other_kinds_give_no_tokens(tmp_path: Path, changed: dict[str, Any]) -> None:
    encoder = load_encoder(str(random_folder(tmp_path, TINY | changed)), runtime="torch")
    assert isinstance(encoder, TokenEncoder)
    assert encoder.token_spec is None
    assert with_heads(encoder).token_spec is None
    with pytest.raises(EncoderError, match="gives no tokens"):
        encoder.encode_texts_with_tokens(["red"])


def test_an_exported_clip_names_the_runtime_that_gives_tokens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CATALENS_CACHE", str(tmp_path / "cache"))
    encoder = load_encoder(str(tiny_folder(tmp_path / "model")), runtime="openvino")
    assert spec_of(encoder) is None
    with pytest.raises(EncoderError) as caught:
        required_spec(encoder)
    assert "--runtime torch" in caught.value.hint


def test_a_reranker_learns_from_them(tmp_path: Path) -> None:
    """End to end: tokens of pictures and texts, one step of training, a match for each pair."""
    encoder = load_encoder(str(tiny_folder(tmp_path)), runtime="torch")
    giving, spec = token_encoder(encoder)
    colours = ("red", "green", "white", "black")
    pictures = [thing(colour, (0.1, 0.1, 0.7, 0.7)) for colour in colours]
    photos = giving.encode_images_with_tokens(np.stack([encoder.preprocess(picture) for picture in pictures]))
    texts = giving.encode_texts_with_tokens([f"a {colour} thing" for colour in colours])
    asked, shown = np.divmod(np.arange(16), 4)  # every text with every photo
    pairs = [side.take(rows) for side, rows in ((texts, asked), (photos, shown))]
    given = [torch.from_numpy(each) for side in pairs for each in (side.tokens, side.lengths, side.vectors)]
    fits = torch.from_numpy((asked == shown).astype(np.float32))
    module = KINDS["cross_attention"](spec, encoder.spec.dimension, 0)

    def loss() -> torch.Tensor:
        return torch.nn.functional.binary_cross_entropy_with_logits(module(*given), fits)

    before = loss()
    before.backward()  # type: ignore[no-untyped-call]
    torch.optim.SGD(module.parameters(), lr=1e-3).step()
    assert loss().item() < before.item()
    told = RerankerSpec("tiny", "cross_attention", "0" * 64, spec, {}, {})
    matched = TorchReranker(module, told, encoder.spec.dimension).match(*pairs)
    np.testing.assert_allclose(matched, module(*given).detach().numpy(), atol=1e-4)
    assert matched.std() > 0
