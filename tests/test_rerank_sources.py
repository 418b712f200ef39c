"""The recipe of the reranker that is built in, and the benchmark of reranking, on a small folder of data."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.rerank import held_out_set, indexing
from retrieval.evaluation.reranking import evaluate_with_reranking
from retrieval.rerankers import load_reranker
from retrieval.training.recipes import starter_reranker as recipe
from retrieval.training.sources import read_sources
from tests.fakes import PlaceEncoder
from tests.halves import HalvesEncoder, HalvesReranker
from tests.test_train_reranker import QUICK, places

VAL = 6


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos of two colours with captions in three languages; six are held out, two of them with the same words."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "flickr8k").mkdir()
    lines = []
    for number, one in enumerate(places().pictures):
        (folder / "flickr8k" / f"{one.name}.png").write_bytes(one.read())
        english = list(places().pictures[0].texts["caption"] if number < 2 else one.texts["caption"])
        row = {"image": f"{one.name}.png", "split": "val" if number < VAL else "train", "en": english}
        lines.append(json.dumps({**row, "zh": ["红"], "ar": ["أحمر"]}) + "\n")
    (folder / "flickr8k" / "captions.jsonl").write_text("".join(lines), encoding="utf-8")
    return folder


def test_the_recipe_takes_english_captions_of_what_is_not_held_out(data: Path) -> None:
    given = recipe.pictures(data)
    assert len(given.pictures) == len(places().pictures) - VAL
    assert {language for one in given.pictures for language in one.texts} == {"en"}
    assert not {one.name for one in given.pictures} & {f"{one.name}.png" for one in places().pictures[:VAL]}


def test_the_recipe_writes_what_a_search_takes(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recipe, "load_encoder", lambda _: PlaceEncoder())
    monkeypatch.setattr(recipe, "RECIPE", replace(QUICK, contrast_epochs=1, passes=2, views=1, bfloat16=True))
    recipe.main(["--data", str(data), "--out", str(tmp_path / "out"), "--cache", str(tmp_path / "cache")])
    spec = load_reranker(str(tmp_path / "out"), runtime="torch").spec
    assert spec.tokens == PlaceEncoder().token_spec
    assert spec.facts["pictures"]["train"] > 50
    assert spec.facts["settings"]["views"] == 1


def test_a_text_of_two_photos_has_both_as_answers(data: Path) -> None:
    examples = [one for one in read_sources(data, ["flickr8k"]) if one.part == "held_out"]
    made = held_out_set("flickr8k", examples)
    assert (len(made.images), len(made.texts)) == (VAL, VAL - 1)
    by_text, by_photo = made.tasks
    assert [len(photos) for photos in by_text.qrels.values()] == [2, 1, 1, 1, 1]
    assert all(len(texts) == 1 for texts in by_photo.qrels.values())
    encoder = HalvesEncoder()
    found = evaluate_with_reranking(made, encoder, HalvesReranker(encoder.token_spec))
    assert found.reranking and set(found.reranking.directions) == {"text_to_image", "image_to_text"}


def test_what_tokens_cost(data: Path) -> None:
    examples = [one for one in read_sources(data, ["flickr8k"]) if one.part == "held_out"]
    found = indexing(PlaceEncoder(), examples)
    assert found["bytes_per_photo"] == 8 + 2 * (2 + 4)  # a header, and 2 places with a scale and 4 numbers each
    assert found["ms_per_photo"]["with"] > found["ms_per_photo"]["packing"] > 0
    assert np.isfinite(found["ms_added_per_photo"])
