"""Documents that somebody else found, judged for words: the same order as a search's, whatever kinds are among them."""

import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from indexer.pipeline import index_sources
from indexer.sources.base import SourceItem
from retrieval.arrays import FloatArray
from retrieval.errors import ImageError, QueryError
from retrieval.judging import Document, StoredItem, encoded_pictures, judged
from retrieval.query import Query
from retrieval.search import Searcher
from tests.fakes import COLOURS
from tests.halves import PAIRS, HalvesEncoder, HalvesReranker, halves
from tests.listed import ListSource

RIGHT, WRONG = halves("green", "red"), halves("red", "green")
QUERY = "green red"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All pairs of colours as photos, an item with two photos, one with texts alone, and one with nothing."""
    folder = tmp_path_factory.mktemp("shop")
    items = []
    for left, right in PAIRS:
        (folder / f"{left}-{right}.png").write_bytes(halves(left, right))
        items.append(SourceItem(f"{left}-{right}", f"{left} {right}", (folder / f"{left}-{right}.png",)))
    both = (folder / "blue-cyan.png", folder / "green-red.png")
    items += [SourceItem("two", "two photos", both), SourceItem("words", "green red", ()), SourceItem("none", "", ())]
    index_sources(folder / "c", [ListSource(items)], HalvesEncoder(), rerank_tokens=True)
    return folder / "c"


@pytest.fixture(scope="module")
def searcher(shop: Path) -> Iterator[Searcher]:
    with Searcher.open(shop, HalvesEncoder()) as plain:
        yield Searcher(plain.collection, HalvesEncoder(), HalvesReranker(HalvesEncoder().token_spec))


@pytest.fixture(scope="module")
def plain(shop: Path) -> Iterator[Searcher]:
    with Searcher.open(shop, HalvesEncoder()) as opened:
        yield opened


def scores(searcher: Searcher, documents: Sequence[Document], words: str = QUERY) -> list[float]:
    return judged(searcher, words, documents).scores.tolist()


class TestCosines:
    def test_texts_have_their_cosine_with_the_words(self, searcher: Searcher) -> None:
        texts = ["red", "dark green", "nothing"]
        encoder = HalvesEncoder()
        expected = encoder.encode_texts(texts) @ encoder.encode_texts([QUERY])[0]
        assert scores(searcher, texts) == pytest.approx(expected.tolist(), abs=1e-6)
        assert not judged(searcher, QUERY, texts).matched.any()

    def test_without_a_reranker_pictures_have_theirs(self, plain: Searcher) -> None:
        found = judged(plain, "red", [halves("blue", "cyan"), halves("red", "red"), halves("white", "red")])
        assert not found.matched.any()
        assert np.argsort(-found.scores).tolist() == [1, 2, 0]
        assert found.scores[1] == pytest.approx(1, abs=1e-3)

    def test_an_item_has_that_of_its_best_photo_and_of_its_texts_if_it_has_none(self, plain: Searcher) -> None:
        both, best, words = scores(plain, [StoredItem("two"), StoredItem("green-red"), StoredItem("words")])
        assert both == pytest.approx(best)
        assert words == pytest.approx(1, abs=1e-3)

    def test_it_is_what_a_search_says(self, plain: Searcher) -> None:
        hits = plain.answer(Query.of("dark orange", k=20)).hits
        assert scores(plain, [StoredItem(hit.item_id) for hit in hits], "dark orange") == pytest.approx(
            [hit.score for hit in hits], abs=1e-3
        )

    def test_nothing_is_judged_to_nothing(self, searcher: Searcher) -> None:
        assert scores(searcher, []) == []


class TestReranked:
    def test_pictures_are_told_apart_that_the_cosine_mixes_up(self, searcher: Searcher, plain: Searcher) -> None:
        wrong, right = scores(plain, [WRONG, RIGHT])
        assert wrong == pytest.approx(right)
        found = judged(searcher, QUERY, [WRONG, RIGHT])
        assert found.matched.all()
        assert found.scores[1] > found.scores[0] + 0.1

    def test_stored_photos_are_in_the_order_of_a_reranked_search(self, searcher: Searcher) -> None:
        hits = searcher.answer(Query.of(QUERY, k=40, rerank=40)).hits
        found = judged(searcher, QUERY, [StoredItem(hit.item_id) for hit in hits])
        assert found.matched.all()
        assert (np.diff(found.scores) <= 1e-3).all()  # stored vectors are float16

    def test_an_item_and_its_picture_have_one_score(self, searcher: Searcher) -> None:
        item, picture, other = scores(searcher, [StoredItem("green-red"), RIGHT, halves("blue", "cyan")])
        assert item == pytest.approx(picture, abs=1e-3)
        assert other < item

    def test_texts_beside_pictures_keep_their_cosine(self, searcher: Searcher) -> None:
        alone = scores(searcher, ["green red thing"])
        assert scores(searcher, [WRONG, "green red thing", RIGHT])[1] == pytest.approx(alone[0])

    def test_of_one_picture_the_cosine_is_left(self, searcher: Searcher, plain: Searcher) -> None:
        assert scores(searcher, [WRONG]) == pytest.approx(scores(plain, [WRONG]))

    def test_words_without_tokens_are_judged_by_the_cosine(self, searcher: Searcher) -> None:
        found = judged(searcher, "nothing known", [WRONG, RIGHT])
        assert not found.matched.any()

    def test_a_reranker_that_fails_leaves_the_cosines(self, plain: Searcher) -> None:
        class Failing(HalvesReranker):
            def match(self, *_: Any) -> FloatArray:
                raise RuntimeError("broken")

        class Nothing(HalvesReranker):
            def match(self, texts: Any, photos: Any) -> FloatArray:
                return np.full(len(photos), np.nan, np.float32)

        for kind in (Failing, Nothing):
            broken = Searcher(plain.collection, HalvesEncoder(), kind(HalvesEncoder().token_spec))
            found = judged(broken, QUERY, [WRONG, RIGHT])
            assert not found.matched.any()
            assert found.scores[0] == pytest.approx(found.scores[1])


class TestBadInput:
    def test_unknown_items_and_items_with_nothing(self, searcher: Searcher) -> None:
        with pytest.raises(QueryError, match="no item 'sku'"):
            judged(searcher, QUERY, [StoredItem("sku")])
        with pytest.raises(QueryError, match="neither a photo nor a text") as caught:
            judged(searcher, QUERY, [StoredItem("none")])
        assert caught.value.hint

    def test_no_words(self, searcher: Searcher) -> None:
        with pytest.raises(QueryError):
            judged(searcher, " ", ["red"])

    def test_a_picture_that_is_none_is_named(self, searcher: Searcher) -> None:
        with pytest.raises(ImageError, match="picture 2: not a picture"):
            judged(searcher, QUERY, ["red", RIGHT, b"no picture"])

    def test_pictures_have_a_cap_together(self, searcher: Searcher, monkeypatch: pytest.MonkeyPatch) -> None:
        flat = io.BytesIO()
        Image.new("RGB", (100, 100)).save(flat, "PNG")
        monkeypatch.setattr("retrieval.judging.PIXELS", 25_000)
        monkeypatch.setattr("retrieval.judging.MAX_PIXELS", 20_000)
        assert len(encoded_pictures(searcher, [flat.getvalue()] * 2)) == 2
        with pytest.raises(ImageError, match="picture 3: all pictures together") as caught:
            encoded_pictures(searcher, [flat.getvalue()] * 3)
        assert caught.value.hint

    def test_many_pictures_keep_their_order(self, searcher: Searcher) -> None:
        names = list(COLOURS) * 10
        found = encoded_pictures(searcher, [halves(name, name) for name in names], with_tokens=True)
        assert len(found) == len(names)
        assert (found.lengths == 2).all()
        expected = HalvesEncoder().encode_texts(names)
        assert np.abs(found.vectors - expected).max() < 1e-3
        assert encoded_pictures(searcher, []).vectors.shape == (0, 4)
