"""The list of models: its facts agree with open_clip, and listing it costs neither torch nor the network."""

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest

from retrieval.encoders import load_encoder
from retrieval.encoders.registry import ModelInfo, model, models
from retrieval.errors import UnknownModel

OPEN_CLIP = [info for info in models() if info.name != "starter"]


def test_starter_comes_first_and_is_always_there() -> None:
    first = models()[0]
    assert (first.name, first.available, first.download_mb) == ("starter", True, 0)


def test_names_are_unique_and_every_fact_has_its_type() -> None:
    listed = models()
    assert len({info.name for info in listed}) == len(listed) >= 25
    types = {field.name: field.type for field in dataclasses.fields(ModelInfo)}
    for info in listed:
        for name, kind in types.items():
            assert isinstance(getattr(info, name), kind), f"{info.name}: {name}"
        assert info.good_for
        assert info.licence in {"MIT", "Apache-2.0", "apple-amlr"}
        assert (info.licence == "apple-amlr") == (info.name.startswith("MobileCLIP") or info.name.endswith("dfn2b"))
        assert "research use only" in info.good_for or info.licence != "apple-amlr"


def test_published_figures_are_percentages_with_their_source() -> None:
    published = [info.published for info in models() if info.published]
    assert len(published) >= 15
    for one in published:
        assert one.source
        figures = dataclasses.astuple(one)[:-1]
        assert any(figures)
        assert all(20 < figure < 100 for figure in figures if figure is not None)
        if (
            one.flickr30k_text_to_image
        ):  # one photo of 1,000 with five captions is easier to find than one caption of 5,000
            assert one.flickr30k_text_to_image < one.flickr30k_image_to_text
        assert one.coco_text_to_image < one.coco_image_to_text


def test_speed_is_relative_to_vit_b_32_and_unknown_where_nobody_measured_it() -> None:
    measured = [info for info in models() if info.core_ms]
    assert len({info.name.split("/")[0] for info in measured}) >= 15
    for info in models():
        assert (info.relative_speed is None) == (info.core_ms is None)
        if info.name.startswith("ViT-B-32/"):
            assert info.relative_speed == 1
    by_name = {info.name: info for info in measured}
    large, base = by_name["ViT-L-14/laion2b_s32b_b82k"], by_name["ViT-B-16/laion2b_s34b_b88k"]
    assert large.relative_speed < base.relative_speed < 1


def test_what_needs_transformers_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    import open_clip

    monkeypatch.setattr("retrieval.encoders.registry.find_spec", lambda _name: None)
    for info in models()[1:]:
        text = open_clip.get_model_config(info.name.split("/")[0])["text_cfg"]
        needs = "hf_tokenizer_name" in text or "hf_model_name" in text
        assert info.requires == ("transformers" if needs else None), info.name


def test_one_model_by_name() -> None:
    assert model("ViT-B-32/openai").name == "ViT-B-32/openai"
    with pytest.raises(UnknownModel, match="'ViT-B-32/opnai' is not in the list") as caught:
        model("ViT-B-32/opnai")
    assert "ViT-B-32/openai" in caught.value.hint


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


@pytest.mark.parametrize("architecture", ["MobileCLIP-S2", "EVA02-B-16", "ViT-B-16-SigLIP2"])
def test_the_parameter_counts_of_other_families(architecture: str) -> None:
    import open_clip

    built = open_clip.create_model(architecture, device="meta", pretrained=None)
    counted = round(sum(p.numel() for p in built.parameters()) / 1e6, 1)
    assert {info.parameters_millions for info in OPEN_CLIP if info.name.startswith(f"{architecture}/")} == {counted}


@pytest.mark.model
def test_the_facts_about_starter() -> None:
    pytest.importorskip("retrieval.encoders.starter")
    info, encoder = models()[0], load_encoder("starter")
    assert info.image_size == encoder.image_size
    assert info.dimension == encoder.spec.dimension
