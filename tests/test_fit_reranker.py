"""The steps of training a reranker: batches, the contrastive loss, views, and how two phases follow each other."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from retrieval.errors import TrainingError
from retrieval.rerankers.modules.pair import PairModule
from retrieval.rerankers.registry import KINDS
from retrieval.training.contrast import contrast_loss, draw_batches, seen
from retrieval.training.fit_reranker import FittedReranker, RerankerSettings, fit_reranker
from retrieval.training.gather import gather
from retrieval.training.reranker_data import TokenTowers
from retrieval.training.reranker_gathered import views_of
from retrieval.training.reranker_pairs import TrainingPairs, tensors
from tests.fakes import PlaceEncoder
from tests.reranked import DIMENSION, SMALL, photos_of, texts_of
from tests.test_train_reranker import places

QUICK = RerankerSettings(kind="gating", contrast_epochs=1, passes=1, epochs=1, batch=4, average=0, dropout=0)


def one_each(n: int = 12) -> TrainingPairs:
    own = tuple(np.array([at]) for at in range(n))
    return TrainingPairs(photos_of(n), texts_of(n), own, own)


class TestBatches:
    def test_every_photo_comes_once_and_with_those_of_its_own_set(self) -> None:
        sources = np.array([0] * 70 + [1] * 30)
        batches = draw_batches(sources, 32, np.random.default_rng(0))
        assert sorted(np.concatenate(batches).tolist()) == list(range(100))
        assert all(len(set(sources[batch])) == 1 for batch in batches)
        assert sorted(len(batch) for batch in batches) == [23, 23, 24, 30]  # even ones, none a small rest

    def test_another_draw_is_another_order(self) -> None:
        rng = np.random.default_rng(0)
        first, second = (np.concatenate(draw_batches(np.zeros(50, int), 10, rng)).tolist() for _ in range(2))
        assert first != second

    def test_a_photo_alone_is_left_out(self) -> None:
        batches = draw_batches(np.array([0, 1, 1]), 8, np.random.default_rng(0))
        assert [sorted(batch.tolist()) for batch in batches] == [[1, 2]]


class TestContrastLoss:
    """Text 0 belongs to photos 0 and 1, which may both have drawn it."""

    photos_of = (np.array([0, 1]), np.array([2]), np.array([3]), np.array([4]))
    texts_of = (np.array([0]), np.array([0]), np.array([1]), np.array([2]), np.array([3]))

    @pytest.mark.parametrize("kind", ["cross_attention", "maxsim"])
    def test_it_is_that_of_a_loop_with_no_right_answer_counted_as_wrong(self, kind: str) -> None:
        pairs = TrainingPairs(photos_of(5), texts_of(4), self.photos_of, self.texts_of)
        module = KINDS[kind](SMALL, DIMENSION, 0).eval()
        photos = np.array([3, 1, 0, 2])
        said = [2, 0, 0, 1]
        found = contrast_loss(module, pairs, photos, np.random.default_rng(0)).item()
        with torch.no_grad():
            logits = module.all_pairs(tensors(pairs.texts.take(said)), tensors(pairs.photos.take(photos))).numpy()
        terms = []
        for at in range(4):
            wrong_photos = [p for p in range(4) if photos[p] not in self.photos_of[said[at]]]
            wrong_texts = [t for t in range(4) if photos[at] not in self.photos_of[said[t]]]
            terms.append(np.logaddexp.reduce(logits[at, [at, *wrong_photos]]) - logits[at, at])
            terms.append(np.logaddexp.reduce(logits[[at, *wrong_texts], at]) - logits[at, at])
        assert found == pytest.approx(float(np.mean(terms)), rel=1e-5)
        plain = torch.nn.functional.cross_entropy(torch.from_numpy(logits), torch.arange(4)).item()
        assert found < plain - 0.01  # the mask is worth something here


class TestViews:
    def test_each_photo_is_shown_in_one_of_them(self) -> None:
        views = tuple(np.full((50, SMALL.places, SMALL.image_width), number, np.float32) for number in (7, 8))
        pairs = replace(one_each(50), views=views)
        before = pairs.photos.tokens.copy()
        rows = np.arange(49, -1, -1)
        shown = seen(pairs, rows, np.random.default_rng(0))
        which = [set(row.ravel().tolist()) for row in shown.tokens]
        counts = [which.count({float(number)}) for number in (7, 8)]
        original = (shown.tokens == before[rows]).all(axis=(1, 2))
        assert sum(counts) + original.sum() == 50
        assert min(*counts, original.sum()) > 5
        np.testing.assert_array_equal(pairs.photos.tokens, before)
        np.testing.assert_array_equal(shown.vectors, pairs.photos.vectors[rows])

    def test_both_phases_look_at_them(self) -> None:
        """With other views the same draws give another loss."""

        def losses(view: float) -> list[float]:
            pairs = one_each()
            pairs = replace(pairs, views=(pairs.photos.tokens * view,))
            module = KINDS["gating"](SMALL, DIMENSION, 0)
            settings = replace(QUICK, contrast_rate=1e-9, learning_rate=1e-9)
            found = fit_reranker(module, pairs, lambda _: 0.0, settings, before=0.5)
            return [epoch.loss for epoch in found.history]

        same, others = losses(1), losses(-9)
        assert len(same) == len(others) == 2
        assert all(abs(one - other) > 1e-4 for one, other in zip(same, others, strict=True))

    def test_the_first_is_the_mirror_image_and_a_crop_is_always_the_same(self) -> None:
        encoder = PlaceEncoder()
        towers = TokenTowers(encoder)
        found = gather(places(1).pictures[:6], towers, validation=0.0, cache=None)
        rows = [4, 1, 0]
        mirrored, cropped = views_of(encoder, found, rows, 2, None, None)
        plain = towers.photos(found.images[rows]).tokens
        np.testing.assert_allclose(mirrored, plain[:, ::-1], atol=0.01)
        assert np.abs(cropped - plain).max() > 0.05
        np.testing.assert_array_equal(cropped, views_of(encoder, found, rows, 2, None, None)[1])


class TestPhases:
    def fit(self, figures: list[float], **changed: object) -> tuple[FittedReranker, list[torch.Tensor]]:
        """The result, and what was judged: a weight after each epoch. The second phase hardly moves a weight."""
        told, judged = iter(figures), list[torch.Tensor]()

        def judge(module: PairModule) -> float:
            judged.append(next(module.parameters()).detach().clone())
            return next(told)

        module = KINDS["gating"](SMALL, DIMENSION, 0)
        settings = replace(QUICK, learning_rate=1e-12, **changed)  # type: ignore[arg-type]
        return fit_reranker(module, one_each(), judge, settings, before=0.5), judged

    def test_the_second_goes_on_from_the_best_of_the_first(self) -> None:
        found, (first, second, third) = self.fit([0.7, 0.6, 0.8], contrast_epochs=2)
        assert (found.epoch, found.figure) == (3, 0.8)
        assert not torch.equal(first, second)
        torch.testing.assert_close(third, first)
        torch.testing.assert_close(next(found.module.parameters()).detach(), third)

    def test_or_from_the_last_where_none_beat_the_first_stage(self) -> None:
        found, (first, second) = self.fit([0.5, 0.6])
        assert found.epoch == 2
        torch.testing.assert_close(second, first)
        start = next(KINDS["gating"](SMALL, DIMENSION, 0).parameters())
        assert (first - start).abs().max() > 1e-4

    def test_what_the_second_makes_worse_is_not_kept(self) -> None:
        found, (first, _) = self.fit([0.7, 0.6])
        assert (found.epoch, len(found.history)) == (1, 2)
        torch.testing.assert_close(next(found.module.parameters()).detach(), first)

    def test_each_has_its_own_patience(self) -> None:
        found, judged = self.fit([0.7, 0.6, 0.6, 0.6], contrast_epochs=9, epochs=1, patience=2)
        assert [epoch.number for epoch in found.history] == [1, 2, 3, 4]  # two without a better one, then one more
        assert len(judged) == 4

    def test_a_phase_without_a_batch_is_passed_over(self) -> None:
        """Each photo of a data set of its own: nothing to tell apart."""
        pairs = replace(one_each(), sources=np.arange(12))
        module = KINDS["gating"](SMALL, DIMENSION, 0)
        found = fit_reranker(module, pairs, lambda _: 0.6, QUICK, before=0.5)
        assert [epoch.number for epoch in found.history] == [1]
        assert np.isfinite(found.history[0].loss)


def test_a_loss_that_is_no_number_is_an_error() -> None:
    settings = replace(QUICK, contrast_epochs=0, epochs=5, learning_rate=1e30)
    with pytest.raises(TrainingError, match="the loss of epoch 1 is nan") as raised:
        fit_reranker(KINDS["gating"](SMALL, DIMENSION, 0), one_each(), lambda _: 0.0, settings, before=0.5)
    assert "--learning-rate" in raised.value.hint


@pytest.mark.parametrize("phase", [{"epochs": 0, "contrast_epochs": 30}, {"contrast_epochs": 0, "epochs": 8}], ids=str)
def test_each_phase_alone_learns_what_it_is_shown(phase: dict[str, int]) -> None:
    """One piece and one place, equal in both sides of a pair: losses fall."""
    rng = np.random.default_rng(0)
    pairs = one_each(24)
    codes = rng.normal(size=(24, 10)).astype(np.float32)
    pairs.texts.tokens[:], pairs.photos.tokens[:] = codes[:, None], 0
    pairs.photos.tokens[..., :10] = codes[:, None]
    figures = iter(range(1, 100))
    settings = replace(QUICK, kind="cross_attention", learning_rate=2e-3, contrast_rate=1e-3, passes=4, **phase)
    found = fit_reranker(
        KINDS["cross_attention"](SMALL, DIMENSION, 0), pairs, lambda _: float(next(figures)), settings, before=0
    )
    assert found.history[-1].loss < 0.4 * found.history[0].loss
