"""What every kind of reranker promises, on every runtime."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from retrieval.errors import FingerprintMismatch
from retrieval.rerankers import load_reranker
from retrieval.rerankers.base import Reranker
from retrieval.rerankers.folder import write
from retrieval.rerankers.pairs import BATCH, require_tokens
from retrieval.rerankers.registry import KINDS
from retrieval.rerankers.torch_reranker import TorchReranker
from retrieval.tokens.value import Tokens
from tests.reranked import DIMENSION, SMALL, photos_of, spec_of, texts_of

RUNTIMES = ("torch", "openvino")


@pytest.fixture(scope="module", params=KINDS)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    kind: str = request.param
    out = tmp_path_factory.mktemp("rerankers") / kind
    write(out, KINDS[kind](SMALL, DIMENSION, 7), spec_of(kind))
    return out


@pytest.fixture(scope="module", params=RUNTIMES)
def reranker(request: pytest.FixtureRequest, folder: Path) -> Reranker:
    found = load_reranker(str(folder), runtime=request.param)
    assert found.runtime.startswith(request.param)
    return found


def near(found: np.ndarray, expected: np.ndarray) -> None:
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_every_pair_gets_a_logit_and_pairs_differ(reranker: Reranker) -> None:
    logits = reranker.match(texts_of(20), photos_of(20))
    assert logits.shape == (20,)
    assert logits.dtype == np.float32
    assert np.isfinite(logits).all()
    assert logits.std() > 1e-4


@pytest.mark.parametrize(("texts", "photos"), [(0, 0), (0, 1), (1, 0)])
def test_no_pairs_get_no_logits(reranker: Reranker, texts: int, photos: int) -> None:
    assert reranker.match(texts_of(texts), photos_of(photos)).shape == (0,)


def test_rows_that_do_not_go_together_are_refused(reranker: Reranker) -> None:
    with pytest.raises(ValueError, match="2 texts and 3 photos"):
        reranker.match(texts_of(2), photos_of(3))


def test_one_text_goes_with_many_photos(reranker: Reranker) -> None:
    text, photos = texts_of(1), photos_of(12)
    near(reranker.match(text, photos), reranker.match(text.take([0] * 12), photos))


def test_one_photo_goes_with_many_texts(reranker: Reranker) -> None:
    texts, photo = texts_of(12), photos_of(1)
    near(reranker.match(texts, photo), reranker.match(texts, photo.take([0] * 12)))


def test_a_pair_does_not_hang_on_those_beside_it(reranker: Reranker) -> None:
    n = BATCH + 3  # so that there are two batches
    texts, photos = texts_of(n), photos_of(n)
    together = reranker.match(texts, photos)
    for row in (0, 1, BATCH - 1, BATCH, n - 1):
        near(reranker.match(texts.take([row]), photos.take([row])), together[[row]])


def test_what_lies_behind_the_end_of_a_row_does_not_count(reranker: Reranker) -> None:
    texts, photos = texts_of(4, lengths=[1, 3, 9, 2]), photos_of(4, lengths=[6, 2, 0, 6])
    expected = reranker.match(texts, photos)
    near(reranker.match(_rubbish(texts), _rubbish(photos)), expected)
    cut = Tokens(photos.tokens[[1, 2], :2], photos.lengths[[1, 2]], photos.vectors[[1, 2]])
    near(reranker.match(texts.take([1, 2]), cut), expected[[1, 2]])


def _rubbish(tokens: Tokens) -> Tokens:
    behind = np.arange(tokens.tokens.shape[1]) >= tokens.lengths[:, None]
    return replace(tokens, tokens=np.where(behind[..., None], np.float32(50), tokens.tokens))


@pytest.mark.parametrize("columns", [0, 6])
def test_a_pair_without_tokens_of_one_side_gets_nothing(reranker: Reranker, columns: int) -> None:
    texts, photos = texts_of(5, lengths=[0, 0, 3, 4, 5]), photos_of(5, lengths=[0, 6, 0, 6, 6])
    if columns == 0:
        texts, photos = (
            replace(each.take([0, 1]), tokens=each.tokens[:2, :0], lengths=each.lengths[:2] * 0)
            for each in (texts, photos)
        )
    logits = reranker.match(texts, photos)
    assert not logits[:3].any()
    assert columns == 0 or (np.isfinite(logits).all() and logits[3:].all())


def test_what_is_read_back_gives_the_same_logits(reranker: Reranker) -> None:
    kind = reranker.spec.kind
    before = TorchReranker(KINDS[kind](SMALL, DIMENSION, 7).eval(), spec_of(kind), DIMENSION)
    texts, photos = texts_of(30), photos_of(30)
    expected = before.match(texts, photos)
    apart = np.abs(reranker.match(texts, photos) - expected).max()
    assert apart <= 1e-2 * expected.std(), apart  # float16 has 11 bits, and a logit is a sum of many


@pytest.mark.parametrize("side", ["texts", "photos"])
def test_tokens_of_another_width_are_refused(reranker: Reranker, side: str) -> None:
    texts, photos = texts_of(2), photos_of(2)
    if side == "texts":
        texts = replace(texts, tokens=texts.tokens[..., :-1])
    else:
        photos = replace(photos, vectors=photos.vectors[:, :-1])
    with pytest.raises(FingerprintMismatch, match=f"reads {side[:-1]} tokens") as caught:
        reranker.match(texts, photos)
    assert caught.value.hint


def test_more_tokens_than_there_are_places_are_refused(reranker: Reranker) -> None:
    photos = photos_of(2)
    more = Tokens(np.concatenate([photos.tokens] * 2, axis=1), photos.lengths * 2, photos.vectors)
    with pytest.raises(FingerprintMismatch, match="at most 6 tokens of a photo"):
        reranker.match(texts_of(2), more)


def test_tokens_of_another_spec_are_refused(reranker: Reranker) -> None:
    require_tokens(reranker.spec, SMALL)
    with pytest.raises(FingerprintMismatch, match="projection_hash differ"):
        require_tokens(reranker.spec, replace(SMALL, projection_hash="1" * 64))
    with pytest.raises(FingerprintMismatch, match="has no tokens"):
        require_tokens(reranker.spec, None)
