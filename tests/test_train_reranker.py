"""Training a reranker on photos that only their places tell apart."""

import io
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from retrieval.encoders.seen import digest
from retrieval.errors import TrainingError
from retrieval.evaluation.trained_on import pictures_trained_on
from retrieval.rerankers import load_reranker
from retrieval.rerankers.folder import weights_of
from retrieval.rerankers.registry import KINDS
from retrieval.rerankers.torch_reranker import TorchReranker
from retrieval.tokens.value import Tokens
from retrieval.training.combine import Candidates, choose_margin, choose_weight, success
from retrieval.training.data import Described, TrainingData
from retrieval.training.fit_reranker import FittedReranker, RerankerSettings, fit_reranker
from retrieval.training.gather import gather
from retrieval.training.hard_negatives import draw, mine
from retrieval.training.reranker_data import TokenTowers
from retrieval.training.reranker_pairs import TrainingPairs
from retrieval.training.train_reranker import TrainedReranker, train_reranker
from tests.fakes import COLOURS, ColourEncoder, PlaceEncoder

QUICK = RerankerSettings(
    contrast_epochs=5, contrast_rate=3e-3, passes=20, average=0.9, dropout=0, epochs=0, batch=8, learning_rate=1e-3
)


def halves(left: str, right: str, seed: int) -> Callable[[], bytes]:
    pixels = np.zeros((32, 32, 3))
    pixels[:, :16], pixels[:, 16:] = COLOURS[left], COLOURS[right]
    noise = np.random.default_rng(seed).integers(-8, 9, pixels.shape)
    out = io.BytesIO()
    Image.fromarray(np.clip(pixels + noise, 0, 255).astype(np.uint8)).save(out, "PNG")
    return out.getvalue


def places(copies: int = 3) -> TrainingData:
    """Every ordered pair of colours, several times; both orders have one mean colour."""
    described = []
    for copy in range(copies):
        for at, (left, right) in enumerate(permutations(COLOURS, 2)):
            name = f"{copy}-{left}-{right}"
            texts = {"caption": (f"{left} left {right} right",)}
            described.append(Described("halves", name, name, halves(left, right, copy * 100 + at), texts))
    return TrainingData(tuple(described))


def trained(encoder: ColourEncoder | None = None, settings: RerankerSettings = QUICK) -> TrainedReranker:
    return train_reranker(places(), encoder or PlaceEncoder(), settings, validation=0.3)


def test_it_learns_what_the_cosine_cannot_tell(tmp_path: Path) -> None:
    found = trained()
    assert found.improved
    assert np.mean(found.after) > np.mean(found.before) + 0.15
    assert min(found.spec.weights.values()) > 0
    written = found.write(tmp_path / "mine")
    assert (tmp_path / "mine" / "curve.png").exists()
    loaded = load_reranker(str(tmp_path / "mine"), runtime="torch")
    assert loaded.spec.weights == written.weights == found.spec.weights
    again = found.judged.success(found.judged.matches(loaded), dict(loaded.spec.weights))
    assert np.mean(again) > np.mean(found.before) + 0.15  # as float16


def test_the_folder_lists_the_pictures_that_trained(tmp_path: Path) -> None:
    found = trained(settings=replace(QUICK, contrast_epochs=1, passes=2))
    found.write(tmp_path / "mine")
    spec = load_reranker(str(tmp_path / "mine"), runtime="torch").spec
    gathered = found.gathered
    parts = {digest(one.read()): part for one, part in zip(gathered.pictures, gathered.parts, strict=True)}
    listed = pictures_trained_on(PlaceEncoder(), spec)
    assert listed == {one for one, part in parts.items() if part == "train"}
    assert 0 < len(listed) < len(parts)
    found.write(tmp_path / "mine")  # over itself: the list is no stranger's file


def test_the_same_seed_gives_the_same_weights() -> None:
    short = replace(QUICK, contrast_epochs=1, passes=2, epochs=1)
    one, same, other = (trained(settings=replace(short, seed=seed)).fitted for seed in (1, 1, 2))
    assert one.history == same.history
    assert weights_of(one.module) == weights_of(same.module)
    assert one.history != other.history


def fitted(figures: list[float]) -> FittedReranker:
    """Trained on a few photos, with these figures on validation after its epochs; the first stage has 0.5."""
    towers = TokenTowers(PlaceEncoder())
    found = gather(places(1).pictures, towers, validation=0.0, cache=None)
    photos, texts = towers.photos(found.images), towers.texts(found.text_features)
    own = tuple(np.array([at]) for at in range(len(photos)))
    told = iter(figures)
    settings = replace(QUICK, contrast_epochs=0, epochs=len(figures), patience=2)
    module = KINDS["gating"](towers.spec, towers.dimension, 0)
    return fit_reranker(module, TrainingPairs(photos, texts, own, own), lambda _: next(told), settings, before=0.5)


def test_it_stops_early_and_keeps_the_best_epoch() -> None:
    found = fitted([0.6, 0.7, 0.65, 0.7, 0.9])
    assert (found.epoch, found.figure, len(found.history)) == (2, 0.7, 4)


def test_epochs_that_do_not_beat_the_first_stage_leave_the_weights_as_they_began() -> None:
    found = fitted([0.5, 0.4, 0.9])
    assert (found.epoch, len(found.history)) == (0, 2)
    untrained = KINDS["gating"](found.module.tokens, found.module.dimension, 0)
    assert weights_of(found.module) == weights_of(untrained)


def test_where_it_does_not_help_the_weight_is_0() -> None:
    found = trained(
        PlaceEncoder(blind=True), replace(QUICK, kind="gating", contrast_epochs=0, learning_rate=1e-8, epochs=1)
    )
    assert not found.improved
    assert set(found.spec.weights.values()) == set(found.spec.margins.values()) == {0.0}
    assert found.after == found.before
    assert not found.spec.facts["improved"]


def test_an_encoder_without_tokens_is_refused() -> None:
    with pytest.raises(TrainingError, match="gives no tokens") as raised:
        trained(ColourEncoder())
    assert "--base" in raised.value.hint


def test_too_little_data_is_refused() -> None:
    data = TrainingData(places().pictures[:6])
    with pytest.raises(TrainingError, match="at least 8 are needed"):
        train_reranker(data, PlaceEncoder(), QUICK, validation=0.3)


class OnlyEnglish(PlaceEncoder):
    """No tokens for texts that begin with "zh"."""

    def encode_texts_with_tokens(self, texts: Sequence[str]) -> Tokens:
        made = super().encode_texts_with_tokens(texts)
        known = np.array([not text.startswith("zh") for text in texts])
        return Tokens(made.tokens * known[:, None, None], made.lengths * known, made.vectors)


def bilingual(*languages: str) -> TrainingData:
    made = []
    for one in places().pictures:
        texts = {"en": one.texts["caption"], "zh": tuple(f"zh {text}" for text in one.texts["caption"])}
        made.append(replace(one, texts={language: texts[language] for language in languages}))
    return TrainingData(tuple(made))


def test_texts_without_tokens_neither_train_nor_are_reordered() -> None:
    short = replace(QUICK, contrast_epochs=2, passes=5, epochs=1)
    both = train_reranker(bilingual("en", "zh"), OnlyEnglish(), short, validation=0.3)
    english = train_reranker(bilingual("en"), OnlyEnglish(), short, validation=0.3)
    assert [one.loss for one in both.fitted.history] == [one.loss for one in english.fitted.history]
    assert both.spec.facts["texts_without_tokens"] == 72
    assert english.spec.facts["texts_without_tokens"] == 0
    by_group = {one.group: pair for one, *pair in zip(both.judged.asked, both.before, both.after, strict=True)}
    assert by_group["zh"][0] == by_group["zh"][1]
    reranker = TorchReranker(both.fitted.module, both.spec, 4)
    for one, matches in zip(both.judged.asked, both.judged.matches(reranker), strict=True):
        assert np.isnan(matches).all() == (one.group == "zh")


def test_only_texts_without_tokens_are_refused() -> None:
    with pytest.raises(TrainingError, match="none of the texts has tokens") as raised:
        train_reranker(bilingual("zh"), OnlyEnglish(), QUICK, validation=0.3)
    assert "--language" in raised.value.hint


def test_no_epoch_is_refused() -> None:
    with pytest.raises(TrainingError, match="no epoch to train") as raised:
        trained(settings=replace(QUICK, contrast_epochs=0, epochs=0))
    assert "--epochs" in raised.value.hint


def test_negatives_are_near_and_never_the_own_ones() -> None:
    vectors = np.array([[1, 0], [0.9, 0.1], [0, 1], [-1, 0]], dtype=np.float32)
    own = [np.array([at]) for at in range(4)]
    mined = mine(vectors, vectors, own, 5)
    assert mined[0].tolist() == [1, 2, 3, -1, -1]
    drawn = draw(mined, own, 4, 50, np.random.default_rng(0))
    assert not (drawn == np.arange(4)[:, None]).any()
    assert set(drawn[0].tolist()) == {1, 2, 3, -1}


def test_weight_and_margin_are_what_helps() -> None:
    few = Candidates(
        np.array([[0.9, 0.2], [0.5, 0.49], [0.4, 0.39]], dtype=np.float32),
        np.array([[True, False], [False, True], [False, True]]),
    )
    found = Candidates(np.tile(few.cosines, (4, 1)), np.tile(few.right, (4, 1)))
    helps = np.tile(np.array([[0, 0], [0, 1], [0, 1]], dtype=np.float32), (4, 1))
    weight = choose_weight([found], [helps])
    assert success(found, helps, weight) == 1
    assert choose_weight([found], [-helps]) == 0
    assert choose_weight([few], [helps[:3]]) == 0  # two won of three may be chance
    assert choose_weight([few], [helps[:3]], beyond=0.0) > 0
    margin = choose_margin([found], [helps], weight)
    assert 0.01 < margin < 0.7
    assert success(found, helps, weight, margin=margin) == 1
    assert choose_margin([found], [helps], 0) == 0
