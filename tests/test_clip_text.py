"""The end of a padded text is left out where nothing depends on it, and only there."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import safetensors.torch
import torch

from retrieval.encoders import load_encoder
from retrieval.encoders.clip_modules import can_be_trimmed
from tests.test_openclip import TINY

TEXTS = ["a red mug", "", "shoe", "紅色的馬克杯", "word " * 100, "a dog runs through deep snow", "café"]
TRIMMED: dict[str, dict[str, Any]] = {
    "argmax": {},
    "eos": {"pool_type": "eos", "eos_id": 49407},
    "custom-text": {},
    "no-projection": {"proj_type": "none", "width": 32},
    "biased-projection": {"proj_type": "linear", "proj_bias": True},
}
WHOLE: dict[str, dict[str, Any]] = {
    "both-ways": {"no_causal_mask": True},
    "last": {"pool_type": "last"},
    "first": {"pool_type": "first"},
    "class-token": {"embed_cls": True},
}


def a_model(folder: Path, text: dict[str, Any], *, custom: bool) -> Any:
    torch.manual_seed(1)
    config: dict[str, Any] = {**TINY, "text_cfg": {**TINY["text_cfg"], **text}}  # type: ignore[dict-item]
    built = (open_clip.CustomTextCLIP if custom else open_clip.CLIP)(**config)
    (folder / "open_clip_config.json").write_text(
        json.dumps({"model_cfg": config | ({"custom_text": True} if custom else {}), "preprocess_cfg": {}})
    )
    safetensors.torch.save_file(built.state_dict(), folder / "open_clip_model.safetensors")
    return built.eval()


@pytest.mark.parametrize("kind", [*TRIMMED, *WHOLE])
def test_vectors_are_those_of_the_whole_context(tmp_path: Path, kind: str) -> None:
    model = a_model(tmp_path, TRIMMED.get(kind, WHOLE.get(kind, {})), custom=kind == "custom-text" or kind in WHOLE)
    assert can_be_trimmed(model) is (kind in TRIMMED)
    encoder = load_encoder(str(tmp_path), runtime="torch")
    with torch.inference_mode():
        tokens = open_clip.SimpleTokenizer(context_length=16)(TEXTS)
        expected = torch.nn.functional.normalize(model.encode_text(tokens), dim=-1).numpy()
    np.testing.assert_allclose(encoder.encode_texts(TEXTS), expected, atol=2e-6)


def test_only_the_longest_text_of_a_batch_counts(tmp_path: Path) -> None:
    a_model(tmp_path, {}, custom=False)
    encoder: Any = load_encoder(str(tmp_path), runtime="torch")
    shapes, graph = [], encoder._graphs["text"]
    encoder._graphs = {"text": lambda ids: (shapes.append(ids.shape), graph(ids))[1]}
    encoder.encode_texts(["shoe"])
    encoder.encode_texts(["shoe", "red shoe", ""])
    encoder.encode_texts(["word " * 100])
    assert shapes == [(1, 3), (3, 4), (1, 16)]


def test_many_texts_are_batched_by_length_and_come_back_in_order(tmp_path: Path) -> None:
    a_model(tmp_path, {}, custom=False)
    encoder = load_encoder(str(tmp_path), runtime="torch")
    texts = [f"{'word ' * (number * 7 % 12)}{number}" for number in range(150)]
    together = encoder.encode_texts(texts)
    apart = np.concatenate([encoder.encode_texts([text]) for text in texts])
    np.testing.assert_allclose(together, apart, atol=2e-6)
