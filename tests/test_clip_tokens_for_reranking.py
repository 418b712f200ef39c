"""Tokens of open_clip models: which have them, and that they are what the model computes on its way."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import safetensors.torch
import torch

from indexer.tokens import required_spec
from retrieval.encoders import load_encoder
from retrieval.encoders.base import DualEncoder, TokenEncoder
from retrieval.encoders.towers.embedding import EmbeddingTowers
from retrieval.errors import EncoderError
from retrieval.tokens.projection import seeded
from tests.fakes import ColourEncoder
from tests.test_openclip import TINY, tiny_folder

WIDE = {
    "embed_dim": 32,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 256, "head_width": 64, "patch_size": 2},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 256, "heads": 2, "layers": 2},
}
"""256 places, and 256 numbers in a token: both are more than is kept."""

RESNET = TINY | {"vision_cfg": {"image_size": 32, "layers": [1, 1, 1, 1], "width": 32, "patch_size": None}}
BACKWARDS = TINY | {"text_cfg": {**TINY["text_cfg"], "no_causal_mask": True}}  # type: ignore[dict-item]
COCA = TINY | {"custom_text": True, "text_cfg": {**TINY["text_cfg"], "embed_cls": True}}  # type: ignore[dict-item]


def folder_of(config: dict[str, Any], folder: Path) -> Path:
    """A local model of that configuration with random weights."""
    torch.manual_seed(0)
    folder.mkdir(parents=True, exist_ok=True)
    model = {"model_cfg": config, "preprocess_cfg": {}}
    (folder / "open_clip_config.json").write_text(json.dumps(model))
    parts = {name: value for name, value in config.items() if name != "custom_text"}
    made = open_clip.CustomTextCLIP(**parts) if "custom_text" in config else open_clip.CLIP(**parts)
    safetensors.torch.save_file(made.state_dict(), folder / "open_clip_model.safetensors")
    return folder


def load(folder: Path, runtime: str = "torch") -> DualEncoder:
    return load_encoder(str(folder), runtime=runtime)


def some_pixels(n: int) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 255, (n, 32, 32, 3)).astype(np.uint8)


def test_by_hand(tmp_path: Path) -> None:
    """open_clip gives patches and pieces itself when it is told to; what is left is to average and to project them."""
    folder = folder_of(WIDE, tmp_path)
    encoder = load(folder)
    assert isinstance(encoder, TokenEncoder) and encoder.token_spec is not None
    spec = encoder.token_spec
    assert (spec.places, spec.image_width, spec.text_width, spec.text_length) == (49, 192, 192, 40)
    projection = seeded(256)
    assert projection is not None
    model = open_clip.create_model(f"local-dir:{folder}", output_dict=True).eval()
    model.visual.output_tokens = True
    pixels, texts = some_pixels(2), ["red shoes", "word " * 100]
    mean, std = (torch.tensor(encoder.spec.preprocessing[name]).view(1, 3, 1, 1) for name in ("mean", "std"))
    with torch.inference_mode():
        _, patches = model.visual((torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255 - mean) / std)
        whole = patches.transpose(1, 2).reshape(2, 256, 16, 16)
        places = torch.nn.functional.adaptive_avg_pool2d(whole, 7).permute(0, 2, 3, 1).reshape(2, 49, 256)
        held: list[torch.Tensor] = []
        model.ln_final.register_forward_hook(lambda _, __, output: held.append(output))
        model.encode_text(open_clip.get_tokenizer(f"local-dir:{folder}")(texts))
    photos, words = encoder.encode_images_with_tokens(pixels), encoder.encode_texts_with_tokens(texts)
    np.testing.assert_allclose(photos.tokens, places.numpy() @ projection.matrix, atol=1e-4)
    assert words.lengths.tolist() == [4, 40]
    states = held[0].numpy() @ projection.matrix
    np.testing.assert_allclose(words.tokens[0, :4], states[0, :4], atol=1e-4)
    np.testing.assert_allclose(words.tokens[1], states[1, :40], atol=1e-4)


def test_a_text_tower_that_looks_both_ways(tmp_path: Path) -> None:
    encoder = load(folder_of(BACKWARDS, tmp_path))
    assert isinstance(encoder, TokenEncoder) and encoder.token_spec is not None
    found = encoder.encode_texts_with_tokens(["red shoes", ""])
    assert found.lengths.tolist() == [4, 2]
    np.testing.assert_allclose(found.vectors, encoder.encode_texts(["red shoes", ""]), atol=1e-5)


@pytest.mark.parametrize("config", [RESNET, COCA], ids=["no transformer", "class token behind the text"])
def test_models_without_places_or_pieces_have_no_tokens(tmp_path: Path, config: dict[str, Any]) -> None:
    encoder = load(folder_of(config, tmp_path))
    assert isinstance(encoder, TokenEncoder) and encoder.token_spec is None
    with pytest.raises(EncoderError, match="gives no places of a picture") as caught:
        required_spec(encoder)
    assert "vision transformer" in caught.value.hint
    with pytest.raises(EncoderError, match="gives no tokens"):
        encoder.encode_images_with_tokens(some_pixels(1))


def test_an_export_has_none_and_says_what_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CATALENS_CACHE", str(tmp_path / "cache"))
    encoder = load(tiny_folder(tmp_path / "model"), "openvino")
    assert isinstance(encoder, TokenEncoder) and encoder.token_spec is None
    with pytest.raises(EncoderError) as caught:
        required_spec(encoder)
    assert "--runtime torch" in caught.value.hint


def test_heads_have_the_tokens_of_what_they_stand_on(tmp_path: Path) -> None:
    assert EmbeddingTowers(ColourEncoder()).token_spec_for("f" * 16) is None
    with pytest.raises(EncoderError, match="gives no tokens"):
        EmbeddingTowers(ColourEncoder()).image_features_with_tokens(some_pixels(1))
    towers = EmbeddingTowers(load(tiny_folder(tmp_path)))
    spec = towers.token_spec_for("f" * 16)
    assert spec is not None and (spec.encoder, spec.places, spec.image_width) == ("f" * 16, 16, 64)
