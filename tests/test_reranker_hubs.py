"""Hubs set back in a match: the formula, on every runtime, through the disk, and how training chooses them."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from retrieval.arrays import FloatArray
from retrieval.encoders.base import unit_rows
from retrieval.errors import EncoderError
from retrieval.rerankers import load_reranker
from retrieval.rerankers.base import Direction, RerankerSpec
from retrieval.rerankers.folder import DESCRIPTION, WEIGHTS, write
from retrieval.rerankers.modules.pair import BANK, SHARPNESS, PairModule
from retrieval.rerankers.registry import KINDS
from retrieval.rerankers.torch_reranker import TorchReranker
from retrieval.training.reranked_validation import RerankedValidation
from retrieval.training.reranker_data import TokenTowers
from retrieval.training.reranker_pairs import TrainingPairs
from retrieval.training.train_reranker import TrainedReranker, train_reranker, without_hubs
from retrieval.training.validation import Check, Validation
from tests.fakes import PlaceEncoder
from tests.reranked import DIMENSION, SMALL, photos_of, spec_of, texts_of
from tests.test_train_reranker import QUICK, places

WEIGHTS_OF = (0.75, 0.5)


def with_banks(kind: str = "gating") -> PairModule:
    module = KINDS[kind](SMALL, DIMENSION, 0)
    module.text_bank.copy_(torch.from_numpy(texts_of(BANK, seed=8).vectors))
    module.photo_bank.copy_(torch.from_numpy(photos_of(BANK, seed=9).vectors))
    module.hub_weight.copy_(torch.tensor(WEIGHTS_OF))
    return module


def hubness(vector: FloatArray, bank: FloatArray) -> float:
    """log mean exp(sharpness * cosine), one number at a time."""
    return float(np.log(np.mean([np.exp(SHARPNESS * float(vector @ other)) for other in bank.astype(np.float64)])))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path / "mine", with_banks(), spec_of("gating"))
    return tmp_path / "mine"


@pytest.mark.parametrize("runtime", ["torch", "openvino"])
@pytest.mark.parametrize(("n_texts", "n_photos"), [(6, 6), (1, 6), (6, 1)])
def test_what_is_taken_off_a_match(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runtime: str, n_texts: int, n_photos: int
) -> None:
    monkeypatch.setenv("CATALENS_CACHE", str(tmp_path / "cache"))
    texts, photos = texts_of(n_texts), photos_of(n_photos)
    plain = KINDS["gating"](SMALL, DIMENSION, 0)
    without = TorchReranker(plain, spec_of("gating"), DIMENSION).match(texts, photos)
    of_texts = [hubness(one, photos_of(BANK, seed=9).vectors) for one in texts.vectors]
    of_photos = [hubness(one, texts_of(BANK, seed=8).vectors) for one in photos.vectors]
    expected = without - WEIGHTS_OF[0] * np.array(of_texts) - WEIGHTS_OF[1] * np.array(of_photos)
    assert np.std(expected - without) > 0.1
    found = load_reranker(str(folder), runtime=runtime)
    assert found.runtime.startswith(runtime)
    np.testing.assert_allclose(found.match(texts, photos), expected, atol=0.02)  # the banks lie in float16


def test_a_pair_without_tokens_still_gets_nothing(folder: Path) -> None:
    texts, photos = texts_of(3, lengths=[0, 4, 4]), photos_of(3, lengths=[6, 0, 6])
    found = load_reranker(str(folder), runtime="torch").match(texts, photos)
    assert found[:2].tolist() == [0, 0]
    assert found[2] != 0


def test_banks_come_back_from_the_folder(folder: Path) -> None:
    stored = load_file(folder / WEIGHTS)
    assert stored["hub_weight"].tolist() == list(WEIGHTS_OF)
    for name, side in (("text_bank", texts_of(BANK, seed=8)), ("photo_bank", photos_of(BANK, seed=9))):
        np.testing.assert_allclose(stored[name].float().numpy(), side.vectors, atol=1e-3)


@pytest.mark.parametrize(
    ("name", "shape"), [("text_bank", (BANK - 1, DIMENSION)), ("photo_bank", (BANK, DIMENSION + 1)), ("hub_weight", ())]
)
def test_a_bank_of_another_shape_is_refused(folder: Path, name: str, shape: tuple[int, ...]) -> None:
    tensors = load_file(folder / WEIGHTS)
    if shape:
        tensors[name] = torch.zeros(shape, dtype=torch.float16)
    else:
        del tensors[name]
    save_file(tensors, folder / WEIGHTS)
    told = json.loads((folder / DESCRIPTION).read_text())
    told["weights_sha256"] = hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()
    (folder / DESCRIPTION).write_text(json.dumps(told))
    with pytest.raises(EncoderError, match=f"do not fit the kind gating: .*{name}") as caught:
        load_reranker(str(folder), runtime="torch")
    assert caught.value.hint


@pytest.fixture(scope="module")
def trained() -> TrainedReranker:
    return train_reranker(places(), PlaceEncoder(), replace(QUICK, contrast_epochs=1, passes=2), validation=0.3)


class TestTraining:
    def test_the_banks_are_training_texts_and_photos_over_and_over(self, trained: TrainedReranker) -> None:
        """There are fewer than a bank has rows; each comes as often as any other, but for one."""
        found = trained.gathered
        rows = [row for row, part in enumerate(found.parts) if part == "train"]
        photos, module = found.images[rows, -4:], trained.fitted.module
        texts = {text for row in rows for own in found.groups[row].values() for text in own}
        for bank, vectors in (
            (module.photo_bank, photos),
            (module.text_bank, found.text_features[[found.texts[text] for text in texts]][:, -4:]),
        ):
            assert len(vectors) < BANK
            kinds, expected = np.unique(vectors, axis=0, return_counts=True)
            same, counts = np.unique(bank.numpy(), axis=0, return_counts=True)
            np.testing.assert_array_equal(same, kinds)
            times = BANK // len(vectors)
            assert (times * expected <= counts).all()
            assert (counts <= (times + 1) * expected).all()

    def test_what_was_judged_is_what_the_reranker_says(self, trained: TrainedReranker) -> None:
        """Hubness is taken off outside of the network when weights are tried: both ways give the same figures."""
        reranker = TorchReranker(trained.fitted.module, trained.spec, 4)
        matches = trained.judged.matches(reranker)
        assert trained.judged.success(matches, dict(trained.spec.weights)) == list(trained.after)

    def test_hubness_in_validation_is_what_a_match_lacks(self, trained: TrainedReranker) -> None:
        module, judged = trained.fitted.module, trained.judged
        before = module.hub_weight.clone()
        reranker = TorchReranker(module, trained.spec, 4)
        try:
            matches = []
            for weight in (0.0, 1.0):
                module.hub_weight.fill_(weight)
                matches.append(judged.matches(reranker))
        finally:
            module.hub_weight.copy_(before)
        for without, having, hubs in zip(*matches, judged.hubness(module), strict=True):
            np.testing.assert_allclose(without - having, hubs.sum(-1), atol=1e-4)
            assert hubs.std() > 0.01

    def test_where_some_photos_are_near_to_every_text_it_helps(self) -> None:
        """Untrained cross attention says the same of all, so that hubs are all there is to gain from."""
        towers = TokenTowers(PlaceEncoder())
        rng = np.random.default_rng(0)
        own = rng.normal(size=(300, 15))
        texts = np.column_stack([own, np.full(300, 3)])
        photos = np.column_stack(
            [own + rng.normal(size=own.shape), rng.uniform(0, 10, 300)]
        )  # the last number brings them near to all texts
        features = [
            np.concatenate([np.ones((300, size)), np.full((300, 1), 2), unit_rows(side)], axis=1, dtype=np.float32)
            for size, side in ((8, photos), (24, texts))
        ]
        here, there = np.arange(150), np.arange(150, 300)
        one_each = tuple(np.array([at]) for at in range(150))
        check = Check("set", "caption", there, there, one_each, one_each)
        judged = RerankedValidation(Validation(*features, (check,)), towers, 20)
        pairs = TrainingPairs(towers.photos(features[0]).take(here), towers.texts(features[1]).take(here), (), ())
        module = KINDS["cross_attention"](towers.spec, 16, 0)
        nothing: dict[Direction, float] = {"text_to_image": 0.0, "image_to_text": 0.0}
        plain = judged.matches(TorchReranker(module, RerankerSpec("", "", "", towers.spec, nothing, nothing), 16))
        before = judged.figure(plain)
        found = without_hubs(module, pairs, judged, plain, 0)
        assert module.hub_weight[1] > 0
        assert judged.figure(found) > before + 0.02
        assert judged.combined(found)[0]["text_to_image"] > 0
