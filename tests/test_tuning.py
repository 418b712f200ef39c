"""Training of the starter: views, averages, blocks of a tower that are trained along, and the recipe as a whole."""

import json
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from retrieval.encoders.heads import Head, save_heads
from retrieval.encoders.towers.graphs import torch_graph
from retrieval.encoders.towers.tuned import add_tuned, load_tuned, save_tuned
from retrieval.errors import EncoderError
from retrieval.training.averaged import Averaged
from retrieval.training.fit import Settings, fit
from retrieval.training.inputs import TunedPictures, Views
from retrieval.training.pairs import pair
from retrieval.training.sources import read_sources
from retrieval.training.splits import part_of
from retrieval.training.views import view_of
from tests.test_training import write_table

# --- the recipe --------------------------------------------------------------------------------------------


def one_of_each_part(source: str, held_out: float, form: str = "{}") -> list[str]:
    """The first id of each part that the source has."""
    first: dict[str, str] = {}
    for name in map(form.format, range(200)):
        first.setdefault(part_of(source, name, held_out=held_out, validation=0.1), name)
    return list(first.values())


def test_the_list_of_seen_pictures_has_those_that_train(tmp_path: Path):
    from retrieval.encoders.seen import digest, read_seen
    from retrieval.encoders.starter import SEEN
    from retrieval.training.recipes.starter import seen_by

    rows = []
    for at in range(30):
        (tmp_path / "ikea").mkdir(exist_ok=True)
        (tmp_path / "ikea" / f"{at}.jpg").write_bytes(f"picture {at}".encode())
        rows.append(
            {"id": str(at), "title": "T", "type": "Mug", "color": "red", "description": "d", "image": f"{at}.jpg"}
        )
    write_table(tmp_path / "ikea" / "products.csv", rows)
    examples = read_sources(tmp_path, ["ikea"])
    path = tmp_path / "x.seen"
    path.write_bytes(seen_by(examples))
    training = {digest(example.image.read_bytes()) for example in examples if example.part == "train"}
    assert read_seen(path) == training
    assert 0 < len(training) < 30
    assert len(read_seen(SEEN)) > 10_000  # the one that is shipped


@pytest.mark.model
def test_the_recipe_makes_what_the_starter_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from retrieval.encoders import starter
    from retrieval.encoders.towers import efficientnet
    from retrieval.training.recipes import starter as recipe

    data = tmp_path / "data"
    product = {"title": "Red Shoe", "type": "Shoe", "color": "red", "description": "A shoe.", "gender": "Men"}
    product |= {"usage": "Casual", "subcategory": "Shoes", "category": "Shoes/Red"}
    for source, held_out in (("fashion", 0.1), ("ikea", 0.2), ("grocery", 0.0)):
        rows = [{"id": i, **product, "image": "1.jpg"} for i in one_of_each_part(source, held_out)]
        write_table(data / source / "products.csv", rows)
    write_table(data / "grocery" / "shelf_photos.csv", [{"image": "2.jpg", "product_id": rows[0]["id"]}])
    write_table(data / "objects" / "labels.csv", [{"image": "1.jpg", "label": "cup"}])
    captions = {"en": ["a red shoe"], "zh": ["红鞋"], "ar": ["حذاء"]}
    names = one_of_each_part("flickr8k", 0.0, "{}.jpg")
    lines = [{"image": name, "split": "train", **captions} for name in names]
    lines.append({"image": "1.jpg", "split": "val", **captions})
    (data / "flickr8k").mkdir()
    (data / "flickr8k" / "captions.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    for source in ("flickr8k", "fashion", "ikea", "grocery", "objects"):
        for name in {"1.jpg", "2.jpg", *names}:
            Image.new("RGB", (40, 30), "red").save(data / source / name)

    settings = Settings(dimension=8, width_image=4, width_text=4, batch=64, epochs=1)
    material = recipe.gather(data, tmp_path / "cache")
    tail, image, text = recipe.train(material, settings, settings)
    lines = recipe.report(material, tail, image, text)
    for name in ("flickr8k en", "flickr8k zh", "flickr8k ar", "fashion title", "ikea description"):
        assert any(line.startswith(f"held_out {name}: success@1") for line in lines)

    torch.manual_seed(0)
    with torch.no_grad():  # one epoch on a handful of red pictures betters nothing, so the blocks are as they were
        for weight in (tail.conv_head.weight, tail.blocks[0][1].conv_pw.weight):
            weight.add_(torch.randn_like(weight) * weight.std())
    tower = save_tuned(tmp_path / "tower.safetensors", tail.differences(), tower=efficientnet.SHA256)
    heads = tmp_path / "heads.safetensors"
    towers = starter.towers_hash(tower)
    digest = save_heads(heads, image=image, text=text, towers=towers, in_8_bits=True)
    monkeypatch.setattr(efficientnet, "TUNED", tmp_path / "tower.safetensors")
    monkeypatch.setattr(efficientnet, "TUNED_SHA256", tower)
    monkeypatch.setattr(starter.StarterTowers, "towers_hash", towers)
    encoder = starter.load_starter(heads, sha256=digest)
    assert encoder.encode_texts(["红鞋"]).shape == (1, 8)

    # What was trained is what runs: the whole tower with the tuned blocks gives what the training module gives.
    pixels = encoder.preprocess(Image.open(material.examples[0].image).convert("RGB"))[None]
    shipped, trained = encoder.towers.image_features(pixels), recipe.features_of(material.maps[0], np.array([0]), tail)
    assert cosine(shipped[0], trained[0]) > 0.9995
    untuned = torch_graph(efficientnet.source(tuned=False))(pixels)
    assert cosine(untuned[0], trained[0]) < 0.99
    assert len(list((tmp_path / "cache").glob("maps-*.npy"))) == recipe.VIEWS
    monkeypatch.setattr(recipe, "decode_file", None)  # a second time, nothing is decoded
    again = recipe.gather(data, tmp_path / "cache")
    np.testing.assert_array_equal(again.maps[3], material.maps[3])


def cosine(one: np.ndarray, other: np.ndarray) -> float:
    return float(one @ other / np.linalg.norm(one) / np.linalg.norm(other))


# --- views, averages, tuned blocks --------------------------------------------------------------------------


def test_views_are_the_picture_its_mirror_image_and_crops():
    picture = Image.fromarray(np.arange(40 * 30 * 3, dtype=np.uint32).astype(np.uint8).reshape(30, 40, 3))
    rng = random.Random(0)
    assert view_of(picture, 0, rng) == picture
    assert view_of(view_of(picture, 1, rng), 1, rng) == picture
    crops = [view_of(picture, 2, rng) for _ in range(50)]
    shares = [crop.width * crop.height / (40 * 30) for crop in crops]
    assert min(shares) > 0.4
    assert max(shares) <= 1
    assert len({crop.tobytes() for crop in crops}) > 40
    assert view_of(picture, 2, random.Random(7)) == view_of(picture, 2, random.Random(7))
    assert view_of(Image.new("RGB", (1, 1)), 3, rng).size == (1, 1)


def test_pictures_with_several_views_draw_each_of_them():
    first, second = np.zeros((6, 2), dtype=np.float32), np.ones((6, 2), dtype=np.float32)
    chosen = np.array([4, 1, 1, 0] * 25)
    drawn = Views(first, second).batch(chosen, np.random.default_rng(0)).numpy()
    assert 0.3 < drawn.mean() < 0.7
    only = np.arange(12, dtype=np.float32).reshape(6, 2)
    np.testing.assert_array_equal(Views(only).batch(chosen, np.random.default_rng(0)).numpy(), only[chosen])


def test_a_view_of_one_row_is_that_rows():
    views = [np.arange(6, dtype=np.float16)[:, None] + number / 8 for number in range(4)]
    rows = np.array([5, 3, 0])
    pictures = TunedPictures([view.astype(np.float16) for view in views], rows, torch.nn.Identity())
    drawn = pictures.batch(np.array([0, 1, 2, 1]), np.random.default_rng(1)).numpy()[:, 0]
    assert np.floor(drawn).tolist() == [5, 3, 0, 3]


def test_averaged_weights_follow_a_decay_and_are_put_back():
    module = torch.nn.Linear(1, 1, bias=False)
    module.weight.data.fill_(0.0)
    averaged = Averaged([module], decay=0.5)
    expected = 0.0
    for step in range(1, 15):
        module.weight.data.fill_(float(step))
        averaged.update()
        decay = min(0.5, step / (step + 9))
        expected = decay * expected + (1 - decay) * step
    with averaged.applied():
        assert module.weight.item() == pytest.approx(expected, rel=1e-5)
    assert module.weight.item() == 14


def test_no_decay_keeps_the_last_weights():
    module = torch.nn.Linear(1, 1, bias=False)
    averaged = Averaged([module], decay=0.0)
    module.weight.data.fill_(3.0)
    averaged.update()
    with averaged.applied():
        assert module.weight.item() == 3


def test_a_tower_is_trained_along_and_keeps_its_best_epoch():
    """Pictures whose features say nothing until the tower learns to tell them apart."""
    rng = np.random.default_rng(0)
    n = 64
    maps = rng.normal(size=(n, 8)).astype(np.float16)
    tower = torch.nn.Linear(8, 8)
    with torch.no_grad():
        tower.weight.zero_()
        tower.bias.fill_(1.0)
    before = tower.weight.clone()
    texts = maps.astype(np.float32)
    pairs = pair([{"t": [str(i)]} for i in range(n)])
    head = identity(8)
    figures = iter([0.1, 0.5, 0.2])
    kept = []

    def judge(image: Head, text: Head) -> float:
        kept.append(tower.weight.detach().clone())
        return next(figures)

    settings = Settings(batch=32, epochs=2, tower_learning_rate=1e-2, average=0.5)
    fitted = fit(TunedPictures([maps], np.arange(n), tower), texts, pairs, judge, settings, start=(head, head))
    assert fitted.epoch == 1
    assert not torch.equal(tower.weight, before)
    assert torch.equal(tower.weight, kept[1])
    assert not torch.equal(kept[1], kept[2])


def identity(size: int) -> Head:
    zeros, one = np.zeros(size, dtype=np.float32), np.ones(size, dtype=np.float32)
    flat = np.zeros((size, size), dtype=np.float32)
    return Head(zeros, one, np.eye(size, dtype=np.float32), zeros, flat, zeros, flat)


def test_tuned_blocks_survive_8_bits_and_refuse_other_towers(tmp_path: Path):
    rng = np.random.default_rng(0)
    differences = {
        "0.weight": rng.normal(scale=0.01, size=(6, 3, 1, 1)).astype(np.float32),
        "0.bias": rng.normal(scale=0.01, size=6).astype(np.float32),
    }
    path = tmp_path / "x.safetensors"
    sha256 = save_tuned(path, differences, tower="a" * 64)
    assert path.stat().st_size < 1000
    found = load_tuned(path, sha256=sha256, tower="a" * 64)
    largest = np.abs(differences["0.weight"]).max(axis=(1, 2, 3), keepdims=True)
    assert (np.abs(found["0.weight"] - differences["0.weight"]) <= largest / 254 * 1.001).all()
    module = torch.nn.Sequential(torch.nn.Conv2d(3, 6, 1))
    before = module[0].weight.detach().clone()
    add_tuned(module, found)
    np.testing.assert_allclose((module[0].weight - before).detach(), found["0.weight"], atol=1e-7)
    with pytest.raises(EncoderError, match="belongs to the weights aaaaaaaaaaaa…, not to bbbbbbbbbbbb…"):
        load_tuned(path, sha256=sha256, tower="b" * 64)
    with pytest.raises(EncoderError, match="is not the file expected"):
        load_tuned(path, sha256="0" * 64, tower="a" * 64)
    with pytest.raises(EncoderError, match=r"has no weight 0\."):
        add_tuned(torch.nn.Sequential(torch.nn.Conv2d(3, 5, 1)), found)
