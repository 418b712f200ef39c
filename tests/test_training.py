"""Training: the split, the pairs, the loss, and that the whole of it learns and repeats."""

import csv
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from retrieval.encoders.base import unit_rows
from retrieval.encoders.heads import Head
from retrieval.errors import SourceError
from retrieval.training.features import cached_features
from retrieval.training.fit import Fitted, Settings, fit
from retrieval.training.losses import info_nce
from retrieval.training.pairs import pair
from retrieval.training.probes import Probe, mean_success_at_1, probes_of
from retrieval.training.sources import read_sources
from retrieval.training.splits import part_of
from retrieval.training.success import success_at

# --- split -------------------------------------------------------------------------------------------------


def test_split_is_stable_for_ever():
    parts = [part_of("fashion", i, held_out=0.1, validation=0.1) for i in ("1163", "1164", "15970", "11")]
    assert parts == ["held_out", "train", "train", "validation"]


def test_split_shares_and_nesting():
    ids = [str(i) for i in range(10_000)]
    tenth = {i for i in ids if part_of("x", i, held_out=0.1, validation=0.1) == "held_out"}
    fifth = {i for i in ids if part_of("x", i, held_out=0.2, validation=0.1) == "held_out"}
    validation = {i for i in ids if part_of("x", i, held_out=0.1, validation=0.1) == "validation"}
    assert tenth < fifth
    assert not tenth & validation
    assert abs(len(tenth) - 1000) < 100
    assert abs(len(validation) - 1000) < 100


def test_split_depends_on_the_source():
    ids = [str(i) for i in range(200)]
    one, two = ([part_of(s, i, held_out=0.5, validation=0) for i in ids] for s in ("a", "b"))
    assert one != two


# --- loss --------------------------------------------------------------------------------------------------


def test_loss_by_hand():
    # Rows: softmax of (ln 3, 0) is (3/4, 1/4), of (0, 0) is (1/2, 1/2). Columns: (3/4, 1/4) and (1/2, 1/2).
    similarities = torch.tensor([[math.log(3), 0.0], [0.0, 0.0]])
    by_row = -(math.log(3 / 4) + math.log(1 / 2)) / 2
    by_column = -(math.log(3 / 4) + math.log(1 / 2)) / 2
    got = info_nce(similarities, torch.eye(2, dtype=torch.bool))
    assert got.item() == pytest.approx((by_row + by_column) / 2)


def naive_info_nce(s: np.ndarray, positives: np.ndarray) -> float:
    def one_side(s: np.ndarray, positives: np.ndarray) -> float:
        losses = []
        for i in range(len(s)):
            total = sum(math.exp(x) for x in s[i])
            logs = [math.log(math.exp(s[i, j]) / total) for j in range(s.shape[1]) if positives[i, j]]
            losses.append(-sum(logs) / len(logs))
        return sum(losses) / len(losses)

    return (one_side(s, positives) + one_side(s.T, positives.T)) / 2


def test_loss_agrees_with_its_naive_twin():
    rng = np.random.default_rng(0)
    s = rng.normal(size=(9, 9)).astype(np.float32) * 3
    positives = (rng.random((9, 9)) < 0.2) | np.eye(9, dtype=bool)
    got = info_nce(torch.from_numpy(s), torch.from_numpy(positives)).item()
    assert got == pytest.approx(naive_info_nce(s, positives), rel=1e-5)


def test_a_second_positive_is_not_pushed_away():
    similarities = torch.tensor([[2.0, 2.0, -2.0], [2.0, 2.0, -2.0], [-2.0, -2.0, 2.0]], requires_grad=True)
    positives = torch.tensor([[1, 1, 0], [1, 1, 0], [0, 0, 1]], dtype=torch.bool)
    info_nce(similarities, positives).backward()
    assert similarities.grad is not None
    assert similarities.grad[0, 1] < 0  # descent raises it …
    assert similarities.grad[0, 2] > 0  # … and lowers the true negative
    alone = similarities.detach().clone().requires_grad_()
    info_nce(alone, torch.eye(3, dtype=torch.bool)).backward()
    assert alone.grad is not None
    assert alone.grad[0, 1] > 0  # as a negative it would have been


# --- pairs -------------------------------------------------------------------------------------------------

GROUPS = [{"en": ["a dog", "a pet"], "zh": ["狗"]}, {"en": ["a pet"]}, {"en": ["a cup"], "ar": []}]


def test_positives_find_shared_texts():
    pairs = pair(GROUPS)
    dog, pet, zh, cup = (pairs.texts.index(t) for t in ("a dog", "a pet", "狗", "a cup"))
    got = pairs.positives(np.array([0, 1, 2]), np.array([dog, pet, cup, pet, zh]))
    assert got.astype(int).tolist() == [[1, 1, 0, 1, 1], [0, 1, 0, 1, 0], [0, 0, 1, 0, 0]]


def test_draw_takes_groups_evenly_and_own_texts_only():
    pairs = pair(GROUPS)
    drawn = pairs.draw(np.zeros(4000, dtype=np.int64), np.random.default_rng(0))
    share = {pairs.texts[t]: (drawn == t).mean() for t in np.unique(drawn)}
    assert share == pytest.approx({"a dog": 0.25, "a pet": 0.25, "狗": 0.5}, abs=0.03)
    others = pairs.draw(np.repeat([1, 2], 500), np.random.default_rng(1))
    assert [pairs.texts[t] for t in others] == ["a pet"] * 500 + ["a cup"] * 500


def test_success_counts_the_wanted_and_not_ties():
    gallery = np.eye(3, dtype=np.float32)
    queries = unit_rows(np.array([[3, 2, 1], [1, 2, 3], [1, 1, 1]]))
    assert success_at(queries, gallery, np.array([0, 1, 2]), [1, 2, 3]) == pytest.approx([1 / 3, 2 / 3, 1])


# --- features ----------------------------------------------------------------------------------------------


def test_features_are_computed_once(tmp_path: Path):
    calls: list[int] = []

    def compute(batch):
        calls.append(len(batch))
        return np.array([[len(text), 1 / 3] for text in batch], dtype=np.float32)

    texts = ["a", "bb", "ccc"]
    first = cached_features(texts, texts, compute, tower="t", cache=tmp_path, batch=2)
    again = cached_features(texts, texts, compute, tower="t", cache=tmp_path, batch=2)
    assert calls == [2, 1]
    np.testing.assert_array_equal(first, again)
    assert first[:, 0].tolist() == [1, 2, 3]
    cached_features(texts, texts, compute, tower="other", cache=tmp_path, batch=2)
    assert calls == [2, 1, 2, 1]


# --- sources -----------------------------------------------------------------------------------------------


def write_table(path: Path, rows: list[dict[str, str]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def test_sources_read_text_and_parts(tmp_path: Path):
    captions = {"en": ["a dog"], "zh": ["狗"], "ar": ["كلب"]}
    (tmp_path / "flickr8k").mkdir()
    lines = [{"image": "images/1.jpg", "split": "val", **captions}]
    (tmp_path / "flickr8k" / "captions.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    write_table(tmp_path / "objects" / "labels.csv", [{"image": "images/c.jpg", "label": "cup", "source": "imagenet"}])
    flickr, cup = read_sources(tmp_path, ["flickr8k", "objects"])
    assert flickr.part == "held_out"
    assert flickr.queries["zh"] == ("狗",)
    assert flickr.image == tmp_path / "flickr8k" / "images" / "1.jpg"
    assert (cup.part, cup.texts["label"][:2]) == ("train", ("cup", "a photo of a cup"))


def test_product_descriptions_may_span_lines(tmp_path: Path):
    row = {"id": "7", "title": "MLA Easel", "type": "Easel", "color": "white", "size": "", "image": "7.jpg"}
    write_table(tmp_path / "ikea" / "products.csv", [{**row, "description": "Two\nlines, one field."}])
    (easel,) = read_sources(tmp_path, ["ikea"])
    assert easel.queries["description"] == ("Easel, white, Two\nlines, one field.",)


def test_missing_source(tmp_path: Path):
    with pytest.raises(SourceError, match=r"products\.csv") as caught:
        read_sources(tmp_path, ["fashion"])
    assert "--data" in caught.value.hint


# --- fitting -----------------------------------------------------------------------------------------------

SMALL = Settings(dimension=16, width_image=16, width_text=16, dropout=0.0, batch=64, epochs=30, weight_decay=0.0)


def fit_synthetic(seed: int) -> tuple[Fitted, float, float]:
    """Two views of one hidden vector each, mixed differently; success@1 of 100 unseen pairs, and by chance."""
    rng = np.random.default_rng(7)
    hidden = rng.normal(size=(500, 8))
    images = (hidden @ rng.normal(size=(8, 30))).astype(np.float32)
    texts = (hidden @ rng.normal(size=(8, 20))).astype(np.float32)
    pairs = pair([{"en": [str(i)]} for i in range(400)])

    def judge(image: Head, text: Head) -> float:
        return success_at(text.apply(texts[400:]), image.apply(images[400:]), np.arange(100), [1])[0]

    fitted = fit(images[:400], texts[:400], pairs, judge, Settings(**{**vars(SMALL), "seed": seed}))
    return fitted, judge(fitted.image, fitted.text), 1 / 100


def test_training_learns_and_keeps_the_best_epoch():
    fitted, success, chance = fit_synthetic(seed=0)
    assert success > 50 * chance
    assert success == fitted.figure


def test_training_repeats_with_a_seed():
    one, again, other = (fit_synthetic(seed)[0] for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.image.linear, again.image.linear)
    np.testing.assert_array_equal(one.text.output, again.text.output)
    assert not np.array_equal(one.image.linear, other.image.linear)


def test_training_stops_when_validation_does():
    figures = iter([0.1, 0.5, 0.4, 0.4, 0.4, 0.9])
    features = np.random.default_rng(0).normal(size=(8, 4)).astype(np.float32)
    pairs = pair([{"en": [str(i)]} for i in range(8)])
    settings = Settings(dimension=4, width_image=4, width_text=4, batch=8, epochs=6, patience=3)

    def judge(image: Head, text: Head) -> float:
        return next(figures)

    fitted = fit(features, features, pairs, judge, settings)
    assert (fitted.epoch, fitted.figure) == (2, 0.5)
    assert next(figures) == 0.9


def test_probes_keep_sources_and_parts_apart(tmp_path: Path):
    rows = [
        {"id": str(i), "title": f"Chair {i}", "type": "Chair", "color": "red", "description": "d", "image": "x"}
        for i in range(60)
    ]
    write_table(tmp_path / "ikea" / "products.csv", rows)
    examples = read_sources(tmp_path, ["ikea"])
    numbers = {query: n for n, query in enumerate(sorted({q for e in examples for q in e.queries["description"]}))}
    features = np.random.default_rng(0).normal(size=(60, 12)).astype(np.float32)
    (probe,) = probes_of(examples, "held_out", features, features[: len(numbers)], numbers)
    assert probe.name == "ikea description"
    assert len(probe.pictures) == sum(example.part == "held_out" for example in examples)
    assert probe.wanted.tolist() == list(range(len(probe.pictures)))


def test_the_choosing_figure_weighs_sources_evenly():
    head = Head(*(np.eye(n, m, dtype=np.float32) if m else np.zeros(n, dtype=np.float32) for n, m in HEAD_SHAPES))
    head = replace(head, scale=np.ones(2, dtype=np.float32))
    right, wrong = np.eye(2, dtype=np.float32), np.eye(2, dtype=np.float32)[::-1]
    probes = [
        Probe(name=name, pictures=np.eye(2, dtype=np.float32), queries=queries, wanted=np.arange(2))
        for name, queries in [("a en", right), ("a zh", wrong), ("a ar", wrong), ("b title", right)]
    ]
    assert mean_success_at_1(probes, head, head) == pytest.approx((1 / 3 + 1) / 2)


HEAD_SHAPES = [(2, 0), (2, 0), (2, 2), (2, 0), (2, 1), (1, 0), (1, 2)]


def test_the_adversarial_term_trains_in_bfloat16():
    rng = np.random.default_rng(0)
    images, texts = (rng.normal(size=(32, 6)).astype(np.float32) for _ in range(2))
    pairs = pair([{"title": (f"thing {at}",)} for at in range(32)])
    settings = Settings(dimension=4, width_image=4, width_text=4, batch=16, epochs=1, bfloat16=True, adversarial=0.1)
    fitted = fit(images, texts, pairs, lambda *_: 0.5, settings)
    assert math.isfinite(fitted.history[0].loss)
