"""A query's whole way through a real collection, with colours for an answer key."""

import io
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from PIL import Image

from indexer.sources.base import SourceItem
from retrieval.catalogue.queries import Modality, OwnerRow
from retrieval.collection import Collection
from retrieval.errors import CollectionNotFound, FingerprintMismatch, ImageError, QueryError
from retrieval.query import MAX_K, MAX_WORDS, Part, Query
from retrieval.query.text_form import parse
from retrieval.search import Answer, Searcher
from tests.fakes import COLOURS, ColourEncoder
from tests.listed import NoiseEncoder, fill, paint, worded


def ids(answer: Answer) -> list[str]:
    return [hit.item_id for hit in answer.hits]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One photo of each colour. The title says the colour, except that of the black item, which says "yellow"."""
    folder = tmp_path_factory.mktemp("shop")
    items = []
    for name, colour in COLOURS.items():
        photo = paint(folder / f"{name}.png", colour)
        title = "yellow" if name == "black" else name
        items.append(SourceItem(f"sku-{name}", title, (photo,), attributes={"price": len(name), "tags": ["a"]}))
    fill(folder / "collection", items, ColourEncoder())
    return folder


@pytest.fixture
def searcher(shop: Path) -> Iterator[Searcher]:
    with Searcher.open(shop / "collection", ColourEncoder()) as opened:
        yield opened


class TestDirections:
    @pytest.mark.parametrize("name", COLOURS)
    def test_text_to_image(self, searcher: Searcher, name: str) -> None:
        answer = searcher.search(name)
        assert answer.hits[0].item_id == f"sku-{name}"
        assert answer.hits[0].score == pytest.approx(1, abs=1e-3)

    def test_the_whole_ranking_is_the_encoders(self, searcher: Searcher) -> None:
        encoder = ColourEncoder()
        titles = list(COLOURS)
        cosines = encoder.encode_texts(titles) @ encoder.encode_texts(["dark orange"])[0]
        hits = searcher.search("dark orange", k=len(titles)).hits
        assert [hit.item_id for hit in hits] == [f"sku-{titles[i]}" for i in np.argsort(-cosines)]
        assert [hit.rank for hit in hits] == list(range(1, len(titles) + 1))
        assert [hit.score for hit in hits] == pytest.approx(sorted(cosines.tolist(), reverse=True), abs=1e-3)

    def test_image_to_image_from_a_file_bytes_or_a_picture(self, searcher: Searcher, shop: Path) -> None:
        photo = shop / "blue.png"
        for image in (photo, photo.read_bytes(), Image.open(photo)):
            hit = searcher.search(image=image).hits[0]
            assert hit.item_id == "sku-blue"
            assert hit.score == pytest.approx(1, abs=1e-3)
            assert hit.photo == str(photo)
            assert hit.matched_text is None

    def test_image_to_text_finds_what_is_said_not_what_is_shown(self, searcher: Searcher, shop: Path) -> None:
        answer = searcher.search(image=shop / "yellow.png", by="text", k=2)
        assert sorted(ids(answer)) == ["sku-black", "sku-yellow"]
        assert [hit.matched_text for hit in answer.hits] == ["yellow", "yellow"]
        assert {hit.photo for hit in answer.hits} == {str(shop / "black.png"), str(shop / "yellow.png")}

    def test_text_to_text(self, searcher: Searcher) -> None:
        assert sorted(ids(searcher.search("yellow", by="text", k=2))) == ["sku-black", "sku-yellow"]

    def test_words_and_a_picture_meet_in_the_middle(self, searcher: Searcher, shop: Path) -> None:
        assert ids(searcher.search("red", image=shop / "yellow.png", k=1)) == ["sku-orange"]

    def test_a_hit_carries_its_row(self, searcher: Searcher) -> None:
        hit = searcher.search("red").hits[0]
        assert (hit.title, hit.attributes) == ("red", {"price": 3, "tags": ["a"]})

    def test_the_answer_states_the_query(self, searcher: Searcher, shop: Path) -> None:
        answer = searcher.search("red", image=shop / "red.png", k=3)
        assert answer.query == {
            "parts": [{"words": "red"}, {"image": str(shop / "red.png")}],
            "by": "image",
            "k": 3,
        }
        by_bytes = searcher.search(image=(shop / "red.png").read_bytes())
        assert by_bytes.query["parts"] == [{"image": "(picture)"}]
        assert answer.took_ms > 0


class TestItemsWithSeveralPhotos:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        """One item with 30 reddish photos and a blue one, three items with one photo, one with none."""
        reds = tuple(paint(tmp_path / f"red {n}.png", (220 - n, 20, 20)) for n in range(30))
        blue = paint(tmp_path / "blue.png", COLOURS["blue"])
        items = [
            SourceItem("many", "green white", (*reds[:15], blue, *reds[15:]), texts={"note": "cyan", "old": "cyan"})
        ]
        items += [
            SourceItem(name, name, (paint(tmp_path / f"{name}.png", COLOURS[name]),)) for name in ("red", "orange")
        ]
        items += [SourceItem("purple", "purple", (paint(tmp_path / "purple.png", COLOURS["purple"]),))]
        items += worded("white")
        fill(tmp_path / "collection", items, ColourEncoder())
        return tmp_path

    def test_count_once_and_show_the_photo_that_won(self, folder: Path) -> None:
        with Searcher.open(folder / "collection", ColourEncoder()) as searcher:
            answer = searcher.search("red", k=3)
            assert sorted(ids(answer))[0] == "many"
            assert len(set(ids(answer))) == 3, "30 red photos of one item leave room for others"
            blue = searcher.search("blue", k=1).hits[0]
            assert (blue.item_id, blue.photo) == ("many", str(folder / "blue.png"))

    @pytest.mark.parametrize("k", [4, 5, 100, MAX_K])
    def test_k_beyond_the_collection_gives_all_that_have_a_photo(self, folder: Path, k: int) -> None:
        with Searcher.open(folder / "collection", ColourEncoder()) as searcher:
            hits = searcher.search("red", k=k).hits
            assert sorted(hit.item_id for hit in hits) == ["many", "orange", "purple", "red"]
            assert [hit.rank for hit in hits] == [1, 2, 3, 4]
            assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)

    def test_by_text_the_best_text_wins_and_an_item_needs_no_photo(self, folder: Path) -> None:
        with Searcher.open(folder / "collection", ColourEncoder()) as searcher:
            cyan = searcher.search("cyan", by="text").hits
            assert (cyan[0].item_id, cyan[0].matched_text) == ("many", "cyan")
            assert cyan[0].photo == str(folder / "red 0.png"), "the item's first photo"
            assert len(cyan) == 5
            white = searcher.search("white", by="text").hits[0]
            assert (white.item_id, white.photo) == ("white", None)


class TestBadQueries:
    @pytest.mark.parametrize("words", [None, "", " ", "\t\n  ", "\u3000"])
    def test_nothing_asked(self, searcher: Searcher, words: str | None) -> None:
        with pytest.raises(QueryError, match="nothing to search for") as caught:
            searcher.search(words)
        assert "words" in caught.value.hint

    def test_blank_words_beside_a_picture_are_no_words(self, searcher: Searcher, shop: Path) -> None:
        answer = searcher.search("  ", image=shop / "green.png")
        assert answer.hits[0].item_id == "sku-green"
        assert answer.query["parts"] == [{"image": str(shop / "green.png")}]

    def test_too_many_characters(self, searcher: Searcher) -> None:
        with pytest.raises(QueryError, match="10,000 characters; at most 2,000") as caught:
            searcher.search("x" * 10_000)
        assert caught.value.hint
        assert searcher.search(("red " * 600)[:MAX_WORDS]).hits[0].item_id == "sku-red"

    @pytest.mark.parametrize("k", [0, -1, MAX_K + 1, 1_000_000])
    def test_k_out_of_range(self, searcher: Searcher, k: int) -> None:
        with pytest.raises(QueryError, match=f"k is {k:,}; it must be between 1 and 10,000"):
            searcher.search("red", k=k)

    def test_pictures_that_cannot_be_read(self, searcher: Searcher, tmp_path: Path) -> None:
        (tmp_path / "notes.png").write_text("not a picture at all")
        for image in (tmp_path / "notes.png", tmp_path / "missing.png", tmp_path, b"", b"\x89PNG\r\n\x1a\nrubbish"):
            with pytest.raises(ImageError):
                searcher.search("red", image=image)

    def test_a_picture_of_another_mode(self, searcher: Searcher) -> None:
        grey = Image.new("L", (5, 7), 250)
        assert searcher.search(image=grey).hits[0].item_id == "sku-white"
        buffer = io.BytesIO()
        grey.save(buffer, "PNG")
        assert searcher.search(image=buffer.getvalue()).hits[0].item_id == "sku-white"

    def test_an_opened_picture_counts_as_its_bytes_do(self, searcher: Searcher) -> None:
        see_through = Image.new("RGBA", (5, 7), (5, 5, 5, 0))
        assert searcher.search(image=see_through).hits[0].item_id == "sku-white"

    def test_another_encoder_names_both_sides(self, shop: Path) -> None:
        other = ColourEncoder(name="other", version="2")
        with pytest.raises(FingerprintMismatch) as caught:
            Searcher.open(shop / "collection", other)
        for part in ("colour", "other", ColourEncoder().spec.fingerprint, other.spec.fingerprint):
            assert part in str(caught.value)
        assert caught.value.hint

    def test_another_release_of_the_same_model_is_called_that(self, shop: Path) -> None:
        with pytest.raises(FingerprintMismatch, match="another model in this release") as caught:
            Searcher.open(shop / "collection", ColourEncoder(version="2"))
        assert caught.value.hint == "index again into another --collection"

    def test_by_something_unknown(self, searcher: Searcher) -> None:
        with pytest.raises(QueryError, match="by is 'sound'") as caught:
            searcher.search("red", by=cast("Modality", "sound"))
        assert caught.value.hint

    def test_a_query_made_before_is_answered_as_search_does(self, searcher: Searcher) -> None:
        query = Query.of("red", k=3, by="text")
        assert searcher.answer(query).hits == searcher.search("red", k=3, by="text").hits

    def test_the_same_weights_under_another_name_are_welcome(self, shop: Path) -> None:
        with Searcher.open(shop / "collection", ColourEncoder(name="alias")) as searcher:
            assert searcher.search("red").hits

    def test_no_collection(self, tmp_path: Path) -> None:
        with pytest.raises(CollectionNotFound):
            Searcher.open(tmp_path / "none", ColourEncoder())


class TestWhileTheCollectionChanges:
    def test_items_deleted_between_the_search_and_its_rows_make_room_for_others(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        encoder = NoiseEncoder()
        fill(tmp_path, worded("one", "two", "three", "four", "five"))
        with Searcher.open(tmp_path, encoder) as searcher:
            old = searcher.collection.view()
            fill(tmp_path, worded("three", "four", "five"))
            monkeypatch.setattr(Collection, "view", lambda _: old)
            hits = searcher.search("two", by="text", k=3).hits
            assert sorted(hit.item_id for hit in hits) == ["five", "four", "three"]
            assert [hit.rank for hit in hits] == [1, 2, 3]

    def test_an_add_and_a_delete_are_visible_to_the_next_search(self, tmp_path: Path) -> None:
        fill(tmp_path, worded("one", "two"))
        with Searcher.open(tmp_path, NoiseEncoder()) as searcher:
            assert ids(searcher.search("two", by="text"))[0] == "two"
            fill(tmp_path, worded("one", "three"))
            assert ids(searcher.search("three", by="text"))[0] == "three"
            assert "two" not in ids(searcher.search("two", by="text"))

    def test_one_deleted_and_made_again_is_followed(self, tmp_path: Path) -> None:
        fill(tmp_path / "c", worded("one", "two", "three"))
        with Searcher.open(tmp_path / "c", NoiseEncoder()) as searcher:
            assert ids(searcher.search("two", by="text"))[0] == "two"
            shutil.rmtree(tmp_path / "c")
            with pytest.raises(CollectionNotFound):
                searcher.search("two", by="text")
            fill(tmp_path / "c", worded("three", "two", "four"))
            for title in ("four", "two"):
                hit = searcher.search(title, by="text").hits[0]
                assert (hit.item_id, hit.matched_text) == (title, title)
                assert hit.score == pytest.approx(1, abs=1e-3)

    def test_one_made_again_with_another_model_is_refused(self, tmp_path: Path) -> None:
        fill(tmp_path / "c", worded("one"), ColourEncoder())
        with Searcher.open(tmp_path / "c", ColourEncoder()) as searcher:
            shutil.rmtree(tmp_path / "c")
            fill(tmp_path / "c", worded("one"), ColourEncoder(version="2"))
            for _ in range(2):
                with pytest.raises(FingerprintMismatch, match="made again") as caught:
                    searcher.search("one", by="text")
                assert "anew" in caught.value.hint

    def test_one_made_again_between_the_search_and_its_rows_is_searched_again(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        fill(tmp_path / "c", worded("one", "two"))
        rows = Collection.rows
        made_again: list[bool] = []

        def late(collection: Collection, by: Modality, owners: list[int]) -> dict[int, OwnerRow]:
            if not made_again:
                made_again.append(True)
                shutil.rmtree(tmp_path / "c")
                fill(tmp_path / "c", worded("two", "one"))
            with collection._engine.connect():  # another thread has the only one: rows meets the new file
                return rows(collection, by, owners)

        monkeypatch.setattr(Collection, "rows", late)
        with Searcher.open(tmp_path / "c", NoiseEncoder()) as searcher:
            hit = searcher.search("two", by="text").hits[0]
        assert (hit.item_id, hit.matched_text) == ("two", "two")

    def test_an_empty_collection_has_no_hits(self, tmp_path: Path) -> None:
        fill(tmp_path, [])
        with Searcher.open(tmp_path, NoiseEncoder()) as searcher:
            assert searcher.search("red").hits == ()
            assert searcher.search("red", by="text", k=MAX_K).hits == ()


class TestPartsOfAQuery:
    def test_what_is_taken_away_goes_down(self, searcher: Searcher) -> None:
        assert ids(searcher.search("orange", k=2)) == ["sku-orange", "sku-yellow"]
        assert ids(searcher.answer(parse("orange - 0.5:red -k 2"))) == ["sku-yellow", "sku-orange"]

    def test_a_weight_pulls(self, searcher: Searcher) -> None:
        assert ids(searcher.answer(parse("5:red + yellow -k 1"))) == ["sku-red"]
        assert ids(searcher.answer(parse("red + 5:yellow -k 1"))) == ["sku-yellow"]
        assert ids(searcher.answer(parse("red + yellow -k 1"))) == ["sku-orange"]

    def test_scores_of_composed_queries_are_cosines(self, searcher: Searcher) -> None:
        hit = searcher.answer(parse("3:orange + 2:orange + orange")).hits[0]
        assert hit.score == hit.cosine == pytest.approx(searcher.search("orange").hits[0].score, abs=1e-5)

    def test_a_raw_embedding(self, searcher: Searcher) -> None:
        vector = tuple((1e30 * ColourEncoder().encode_texts(["blue"])[0].astype(float)).tolist())
        by_vector, by_words = searcher.answer(Query((Part(vector=vector),))).hits, searcher.search("blue").hits
        assert [(hit.item_id, hit.score) for hit in by_vector] == [(hit.item_id, hit.score) for hit in by_words]
        assert {hit.confidence for hit in by_vector} == {None}, "nothing is known of what such a query means"

    def test_an_embedding_of_another_dimension(self, searcher: Searcher) -> None:
        with pytest.raises(QueryError, match="has 3 numbers; those of this collection have 4"):
            searcher.answer(Query((Part(vector=(1, 2, 3)),)))

    def test_like_an_item_finds_others(self, searcher: Searcher) -> None:
        answer = searcher.answer(parse("--like sku-red -k 9"))
        assert ids(answer)[0] == "sku-orange"
        assert "sku-red" not in ids(answer)
        assert len(answer.hits) == len(COLOURS) - 1

    def test_unlike_an_item(self, searcher: Searcher) -> None:
        assert ids(searcher.answer(parse("orange --unlike sku-red -k 9"))).count("sku-red") == 0

    def test_an_unknown_item_names_one_like_it(self, searcher: Searcher) -> None:
        with pytest.raises(QueryError, match="there is no item 'sku-rad'") as caught:
            searcher.answer(parse("--like sku-rad"))
        assert "sku-red" in caught.value.hint

    def test_parts_that_cancel(self, searcher: Searcher) -> None:
        with pytest.raises(QueryError, match="cancel to nothing"):
            searcher.answer(parse("red - red"))

    def test_a_picture_that_cannot_be_read_is_named(self, searcher: Searcher) -> None:
        with pytest.raises(ImageError, match=r"nowhere\.jpg: no such file"):
            searcher.answer(parse("red + ./nowhere.jpg"))

    def test_a_picture_is_encoded_once_for_all_legs(self, shop: Path) -> None:
        encoder = ColourEncoder()
        with Searcher.open(shop / "collection", encoder) as searcher:
            picture = Image.open(shop / "red.png")
            answer = searcher.answer(Query((Part(image=picture), Part(image=picture, weight=0.5)), by="hybrid"))
        assert ids(answer)[0] == "sku-red"
        assert encoder.images_encoded == 2


class TestPages:
    @pytest.mark.parametrize("k", [1, 2, 4, 9, 20])
    def test_pages_are_the_whole_ranking_in_pieces(self, searcher: Searcher, k: int) -> None:
        whole = searcher.search("dark orange", k=len(COLOURS)).hits
        query = Query.of("dark orange", k=k)
        paged = [hit for number in range(1, 11) for hit in searcher.answer(query.page(number)).hits]
        assert paged == list(whole)

    def test_past_the_end_is_an_empty_page(self, searcher: Searcher) -> None:
        assert searcher.search("red", offset=9).hits == ()
        assert searcher.search("red", offset=10**9).hits == ()


def test_near_duplicates_are_shown_once(tmp_path: Path) -> None:
    shades = {"a": (220, 20, 20), "b": (221, 20, 20), "c": (20, 20, 220)}
    items = [SourceItem(name, name, (paint(tmp_path / f"{name}.png", rgb),)) for name, rgb in shades.items()]
    fill(tmp_path / "c", items, ColourEncoder())
    with Searcher.open(tmp_path / "c", ColourEncoder()) as searcher:
        assert len(searcher.search("red").hits) == 3
        assert len(searcher.search("red", duplicates=0.99).hits) == 2
        assert ids(searcher.search("red", diversity=0.9))[1] == "c"
