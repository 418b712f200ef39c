"""The list of models: its facts agree with open_clip, and listing it costs neither torch nor the network."""

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest

from retrieval.encoders import load_encoder
from retrieval.encoders.registry import ModelInfo, models

OPEN_CLIP = [info for info in models() if info.name != "starter"]


def test_starter_comes_first_and_is_always_there() -> None:
    first = models()[0]
    assert (first.name, first.available, first.download_mb) == ("starter", True, 0)


def test_names_are_unique_and_every_fact_has_its_type() -> None:
    listed = models()
    assert len({info.name for info in listed}) == len(listed) >= 10
    types = {field.name: field.type for field in dataclasses.fields(ModelInfo)}
    for info in listed:
        for name, kind in types.items():
            assert isinstance(getattr(info, name), kind), f"{info.name}: {name}"
        assert info.good_for
        assert info.licence in {"MIT", "Apache-2.0"}


@pytest.mark.parametrize("info", OPEN_CLIP, ids=lambda info: info.name)
def test_facts_agree_with_open_clip(info: ModelInfo) -> None:
    import open_clip

    architecture, tag = info.name.split("/")
    config = open_clip.get_model_config(architecture)
    assert open_clip.get_pretrained_cfg(architecture, tag)
    assert info.dimension == config["embed_dim"]
    assert info.image_size == config["vision_cfg"]["image_size"]


def test_the_parameter_count_is_the_models() -> None:
    import open_clip

    info = next(info for info in OPEN_CLIP if info.name == "ViT-B-32/laion2b_s34b_b79k")
    model = open_clip.create_model("ViT-B-32", device="meta", pretrained_text=False)
    assert info.parameters_millions == round(sum(p.numel() for p in model.parameters()) / 1e6, 1)


def test_weights_in_the_hub_cache_make_a_model_available(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import open_clip
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    assert [info.name for info in models() if info.available] == ["starter"]
    for info in OPEN_CLIP:
        repo = open_clip.get_pretrained_cfg(*info.name.split("/"))["hf_hub"].rstrip("/")
        folder = tmp_path / f"models--{repo.replace('/', '--')}"
        (folder / "refs").mkdir(parents=True)
        (folder / "refs" / "main").write_text("c0ffee")
        (folder / "snapshots" / "c0ffee").mkdir(parents=True)
        (folder / "snapshots" / "c0ffee" / "open_clip_model.safetensors").touch()
    assert all(info.available for info in models())


def test_listing_imports_no_torch_and_opens_no_connection() -> None:
    script = (
        "import socket, sys\n"
        "def refuse(*a, **k): raise AssertionError('network')\n"
        "socket.socket.connect = socket.getaddrinfo = refuse\n"
        "from retrieval.encoders.registry import models\n"
        "models()\n"
        "assert not {'torch', 'open_clip', 'timm'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=Path(__file__).parents[1], timeout=60)


@pytest.mark.model
def test_the_facts_about_starter() -> None:
    pytest.importorskip("retrieval.encoders.starter")
    info, encoder = models()[0], load_encoder("starter")
    assert info.image_size == encoder.image_size
    assert info.dimension == encoder.spec.dimension
