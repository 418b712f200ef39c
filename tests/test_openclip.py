"""open_clip models: names, local folders, the hub's failures, and equality with open_clip's own answers."""

import dataclasses
import json
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import safetensors.torch
import torch
from huggingface_hub import constants
from PIL import Image

from retrieval.encoders import load_encoder, openclip
from retrieval.errors import EncoderError, UnknownModel, WeightsUnavailable

TINY = {
    "embed_dim": 32,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 64, "head_width": 32, "patch_size": 8},
    "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2},
}
NAMES_WITH_TAG = [
    "ViT-B-32/laion2b_s34b_b79k",
    "ViT-B-32,laion2b_s34b_b79k",
    "ViT-B-32::laion2b_s34b_b79k",
    "ViT-B-32:laion2b_s34b_b79k",
    "ViT-B/32,laion2b_s34b_b79k",
    "ViT-B/32/laion2b_s34b_b79k",
    "ViT-B-32/LAION2B-s34B-b79K",
]


def tiny_folder(folder: Path, *, seed: int = 0, quick_gelu: bool = False, **preprocess: Any) -> Path:
    """A complete local model with random weights: two layers for each tower, 32 dimensions."""
    torch.manual_seed(seed)
    folder.mkdir(parents=True, exist_ok=True)
    config = TINY | ({"quick_gelu": True} if quick_gelu else {})
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": config, "preprocess_cfg": preprocess}))
    safetensors.torch.save_file(open_clip.CLIP(**config).state_dict(), folder / "open_clip_model.safetensors")
    return folder


def pictures() -> list[Image.Image]:
    """Smooth gradients and noise in landscape, portrait, square and smaller than the model's side."""
    dice = np.random.default_rng(3)
    sizes = [(90, 60), (60, 90), (64, 64), (20, 11), (32, 32), (200, 33)]
    return [
        Image.fromarray((np.linspace(0, 155, w)[None, :, None] + dice.integers(0, 100, (h, w, 3))).astype(np.uint8))
        for w, h in sizes
    ]


PREPROCESSING = {
    "shortest": {},
    "longest": {"resize_mode": "longest", "fill_color": 127},
    "squash": {"resize_mode": "squash", "interpolation": "bilinear", "mean": [0.5] * 3, "std": [0.5] * 3},
}


@pytest.mark.parametrize("preprocess", PREPROCESSING.values(), ids=PREPROCESSING)
def test_vectors_equal_open_clips_own(tmp_path: Path, preprocess: dict[str, Any]) -> None:
    folder = tiny_folder(tmp_path, **preprocess)
    encoder = load_encoder(str(folder))
    model, _, preprocess_val = open_clip.create_model_and_transforms(f"local-dir:{folder}")
    tokenizer = open_clip.get_tokenizer(f"local-dir:{folder}")
    texts = ["a red mug", "Ein roter Becher", "紅色的馬克杯", "", "word " * 100]

    with torch.inference_mode():
        images = model.eval().encode_image(torch.stack([preprocess_val(image) for image in pictures()]), normalize=True)
        words = model.encode_text(tokenizer(texts), normalize=True)

    pixels = np.stack([encoder.preprocess(image) for image in pictures()])
    assert pixels.dtype == np.uint8
    np.testing.assert_allclose(encoder.encode_images(pixels), images.numpy(), atol=1e-5)
    np.testing.assert_allclose(encoder.encode_texts(texts), words.numpy(), atol=1e-5)


@pytest.mark.parametrize("preprocess", PREPROCESSING.values(), ids=PREPROCESSING)
@pytest.mark.parametrize("size", [(1, 30_000), (30_000, 1)])
def test_a_strip_gives_its_middle_and_little_work(
    tmp_path: Path, preprocess: dict[str, Any], size: tuple[int, int]
) -> None:
    encoder = load_encoder(str(tiny_folder(tmp_path, **preprocess)))
    strip = Image.new("RGB", size, "black")
    middle = Image.new("RGB", (min(size[0], 200), min(size[1], 200)), "red")
    strip.paste(middle, ((size[0] - middle.width) // 2, (size[1] - middle.height) // 2))
    started = time.monotonic()
    pixels = encoder.preprocess(strip)
    assert time.monotonic() - started < 1
    assert pixels.shape == (32, 32, 3)
    assert (pixels == (255, 0, 0)).all(axis=-1).any()  # one column wide when padded


def test_the_name_in_the_spec_loads_it_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny_folder(tmp_path / "model")
    monkeypatch.chdir(tmp_path)
    for name in ("model", "./model", f"local-dir:{tmp_path / 'model'}"):
        spec = load_encoder(name).spec
        assert spec.name == str((tmp_path / "model").resolve())
        assert spec.dimension == 32
        assert load_encoder(spec.name).spec == spec


def test_the_fingerprint_follows_what_makes_a_vector(tmp_path: Path) -> None:
    first = load_encoder(str(tiny_folder(tmp_path / "first"))).spec
    shutil.copytree(tmp_path / "first", tmp_path / "copy")
    assert load_encoder(str(tmp_path / "copy")).spec.fingerprint == first.fingerprint
    others = [
        tiny_folder(tmp_path / "weights", seed=1),
        tiny_folder(tmp_path / "activation", quick_gelu=True),
        tiny_folder(tmp_path / "pixels", resize_mode="squash"),
    ]
    prints = {load_encoder(str(folder)).spec.fingerprint for folder in others}
    assert len(prints | {first.fingerprint}) == 4


def test_one_changed_weight_changes_the_fingerprint(tmp_path: Path) -> None:
    folder = tiny_folder(tmp_path)
    before = load_encoder(str(folder)).spec.fingerprint
    weights = safetensors.torch.load_file(folder / "open_clip_model.safetensors")
    weights["ln_final.bias"][0] += 1e-6
    safetensors.torch.save_file(weights, folder / "open_clip_model.safetensors")
    assert load_encoder(str(folder)).spec.fingerprint != before


# --- folders that are not a model ---


def test_a_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(UnknownModel, match="there is no folder"):
        load_encoder(str(tmp_path / "nowhere"))


def test_a_file_instead_of_a_folder(tmp_path: Path) -> None:
    folder = tiny_folder(tmp_path)
    with pytest.raises(EncoderError, match="is a file; a model is a folder"):
        load_encoder(str(folder / "open_clip_model.safetensors"))


def test_missing_weights(tmp_path: Path) -> None:
    (tiny_folder(tmp_path) / "open_clip_model.safetensors").unlink()
    with pytest.raises(WeightsUnavailable, match=r"has no open_clip_model\.safetensors"):
        load_encoder(str(tmp_path))


@pytest.mark.parametrize("pickle", ["open_clip_pytorch_model.bin", "epoch_32.pt", "model.pth"])
def test_a_pickle_is_refused_with_the_way_to_convert_it(
    tmp_path: Path, pickle: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tiny_folder(tmp_path)
    weights = safetensors.torch.load_file(folder / "open_clip_model.safetensors")
    (folder / "open_clip_model.safetensors").unlink()
    torch.save(weights, folder / pickle)
    with pytest.raises(EncoderError, match=f"as a pickle .{pickle}") as caught:
        load_encoder(str(folder))
    code = caught.value.hint.split('python -c "')[1].removesuffix('"')
    monkeypatch.chdir(folder)
    exec(code)  # the very command that the hint gives
    assert load_encoder(str(folder)).spec.dimension == 32


def test_missing_configuration(tmp_path: Path) -> None:
    (tiny_folder(tmp_path) / "open_clip_config.json").unlink()
    with pytest.raises(EncoderError, match=r"has no open_clip_config\.json"):
        load_encoder(str(tmp_path))


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ("{not json", "is not an open_clip configuration"),
        ("[]", "is not an open_clip configuration"),
        ('{"model_cfg": {"embed_dim": 32}}', "vision_cfg, text_cfg missing"),
        ('{"model_cfg": 5}', "is not an open_clip configuration"),
        (json.dumps({"model_cfg": TINY | {"embed_dim": 64}}), "cannot be built"),
        (json.dumps({"model_cfg": TINY | {"vision_cfg": {"sides": 7}}}), "cannot be built"),
        (
            json.dumps({"model_cfg": TINY | {"text_cfg": {"tokenizer_kwargs": {"trust_remote_code": True}}}}),
            "asks to run code",
        ),
        (
            json.dumps({"model_cfg": TINY | {"text_cfg": {"hf_tokenizer_name": "a/b"}}}),
            "needs the package transformers",
        ),
    ],
    ids=["syntax", "list", "incomplete", "number", "other-size", "unknown-key", "remote-code", "transformers"],
)
def test_a_broken_configuration(tmp_path: Path, config: str, reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openclip.importlib.util, "find_spec", lambda _: None)
    (tiny_folder(tmp_path) / "open_clip_config.json").write_text(config)
    with pytest.raises(EncoderError, match=reason) as caught:
        load_encoder(str(tmp_path))
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("damage", ["truncated", "garbage", "empty"])
def test_damaged_weights(tmp_path: Path, damage: str) -> None:
    weights = tiny_folder(tmp_path) / "open_clip_model.safetensors"
    data = weights.read_bytes()
    weights.write_bytes({"truncated": data[: len(data) // 2], "garbage": b"rubbish" * 50, "empty": b""}[damage])
    with pytest.raises(EncoderError, match="cannot be built"):
        load_encoder(str(tmp_path))


# --- names ---


@pytest.mark.parametrize("name", ["ViT-B-32", "ViT-B/32", "ViT-B-32/", "ViT-B-32,"])
def test_an_architecture_alone_lists_its_tags(name: str) -> None:
    with pytest.raises(UnknownModel, match="ViT-B-32 is an architecture") as caught:
        load_encoder(name)
    assert "ViT-B-32/openai" in caught.value.hint
    assert "ViT-B-32/laion2b_s34b_b79k" in caught.value.hint


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("startr", "starter"),
        ("ViT-B-32/laion2b_s34b_b79", "ViT-B-32/laion2b_s34b_b79k"),
        ("ViT-B-32,openia", "ViT-B-32/openai"),
        ("ViT-B-23/openai", "ViT-B-32/openai"),
    ],
)
def test_an_unknown_name_gives_the_nearest(name: str, near: str) -> None:
    with pytest.raises(UnknownModel, match="no model goes by the name") as caught:
        load_encoder(name)
    assert f"did you mean {near}?" in caught.value.hint
    assert "catalens models" in caught.value.hint


@pytest.mark.parametrize("name", ["", "qqqqqqqqqqqq", "a/b/c", "::", "hf-hub:", "hf-hub:a b/c d"])
def test_a_name_like_nothing(name: str) -> None:
    with pytest.raises(UnknownModel) as caught:
        load_encoder(name)
    assert "catalens models" in caught.value.hint


# --- the hub: unreachable, silent, forbidden, cached, without safetensors ---


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


def use_hub(monkeypatch: pytest.MonkeyPatch, endpoint: str) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", endpoint)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", endpoint + "/{repo_id}/resolve/{revision}/{filename}")


@pytest.fixture
def closed_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


@pytest.fixture
def silent_server() -> Iterator[str]:
    """Takes the connection and never says a word."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(16)
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def empty_hub() -> Iterator[str]:
    """Knows the repository, but not the file asked for."""

    class Answer(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_response(404)
            self.send_header("X-Error-Code", "RepoNotFound" if "nobody" in self.path else "EntryNotFound")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("hub", ["closed_port", "silent_server"])
@pytest.mark.parametrize("name", ["ViT-B-32/laion2b_s34b_b79k", "hf-hub:laion/CLIP-ViT-B-32-laion2B-s34B-b79K"])
def test_an_unreachable_hub_fails_within_seconds(
    name: str, hub: str, cache: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    endpoint = request.getfixturevalue(hub)
    use_hub(monkeypatch, endpoint)
    monkeypatch.setattr(openclip.hub, "ANSWER_SECONDS", 1.0)
    started = time.monotonic()
    with pytest.raises(WeightsUnavailable, match=r"laion/CLIP-ViT-B-32-laion2B-s34B-b79K") as caught:
        load_encoder(name)
    assert time.monotonic() - started < 15
    assert endpoint in str(caught.value)
    assert "`starter` needs no download" in caught.value.hint
    assert "open_clip_model.safetensors" in caught.value.hint


def test_offline_mode_is_respected(cache: Path, monkeypatch: pytest.MonkeyPatch, silent_server: str) -> None:
    use_hub(monkeypatch, silent_server)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    started = time.monotonic()
    with pytest.raises(WeightsUnavailable, match="HF_HUB_OFFLINE forbids"):
        load_encoder("ViT-B-32/laion2b_s34b_b79k")
    assert time.monotonic() - started < 1


def test_a_repository_without_safetensors(cache: Path, monkeypatch: pytest.MonkeyPatch, empty_hub: str) -> None:
    use_hub(monkeypatch, empty_hub)
    with pytest.raises(WeightsUnavailable, match=r"has no open_clip_model\.safetensors; pickled weights"):
        load_encoder("ViT-B-32/laion2b_s34b_b79k")


def test_a_repository_that_does_not_exist(cache: Path, monkeypatch: pytest.MonkeyPatch, empty_hub: str) -> None:
    use_hub(monkeypatch, empty_hub)
    with pytest.raises(UnknownModel, match="the hub has no public model 'nobody/nothing'"):
        load_encoder("hf-hub:nobody/nothing")


def into_cache(cache: Path, repo: str, files: Path) -> None:
    folder = cache / f"models--{repo.replace('/', '--')}"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text("c0ffee")
    shutil.copytree(files, folder / "snapshots" / "c0ffee")


def test_a_cached_hub_model_needs_no_hub(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, closed_port: str
) -> None:
    use_hub(monkeypatch, closed_port)
    folder = tiny_folder(tmp_path / "model")
    into_cache(cache, "shop/tiny", folder)
    encoder = load_encoder("hf-hub:shop/tiny")
    assert encoder.spec.name == "hf-hub:shop/tiny"
    assert encoder.spec.fingerprint == load_encoder(str(folder)).spec.fingerprint


@pytest.mark.parametrize("name", NAMES_WITH_TAG)
def test_every_way_to_write_a_name_finds_the_same_weights(
    name: str, cache: Path, monkeypatch: pytest.MonkeyPatch, closed_port: str
) -> None:
    use_hub(monkeypatch, closed_port)
    with pytest.raises(
        WeightsUnavailable, match=r"open_clip_model\.safetensors of laion/CLIP-ViT-B-32-laion2B-s34B-b79K"
    ):
        load_encoder(name)


def test_a_pretrained_tag_brings_its_preprocessing_and_activation(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tag of our own in open_clip's tables: the tiny architecture, trained with QuickGELU and a squash resize."""
    (tmp_path / "Tiny.json").write_text(json.dumps(TINY))
    monkeypatch.setattr(open_clip.factory, "_MODEL_CONFIGS", dict(open_clip.factory._MODEL_CONFIGS))
    monkeypatch.setattr(open_clip.factory, "_MODEL_CONFIG_PATHS", list(open_clip.factory._MODEL_CONFIG_PATHS))
    open_clip.add_model_config(tmp_path / "Tiny.json")
    tag = {
        "hf_hub": "shop/tiny-quick/",
        "quick_gelu": True,
        "resize_mode": "squash",
        "interpolation": "bilinear",
        "mean": (0.5, 0.5, 0.5),
        "std": (0.25, 0.25, 0.25),
    }
    monkeypatch.setitem(open_clip.pretrained._PRETRAINED, "Tiny", {"shop": tag})
    local = tiny_folder(
        tmp_path / "local",
        quick_gelu=True,
        **{key: tag[key] for key in ("resize_mode", "interpolation", "mean", "std")},
    )
    into_cache(cache, "shop/tiny-quick", local)

    by_tag, by_folder = load_encoder("Tiny/shop"), load_encoder(str(local))
    assert by_tag.spec.name == "Tiny/shop"
    assert dataclasses.replace(by_tag.spec, name=by_folder.spec.name) == by_folder.spec
    pixels = np.stack([by_tag.preprocess(image) for image in pictures()])
    np.testing.assert_allclose(by_tag.encode_images(pixels), by_folder.encode_images(pixels), atol=1e-6)
    np.testing.assert_allclose(by_tag.encode_texts(["mug"]), by_folder.encode_texts(["mug"]), atol=1e-6)


def test_importing_the_package_imports_no_tower() -> None:
    script = "import sys, retrieval.encoders; assert not {'torch', 'open_clip', 'huggingface_hub'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", script], check=True, cwd=Path(__file__).parents[1], timeout=60)
