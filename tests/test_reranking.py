"""The best hits in a reranker's order: on real collections of two-coloured photos, which the first stage mixes up."""

import io
import json
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from api.cli.answers import outcome
from api.cli.hits import hits_table
from indexer.pipeline import index_sources
from indexer.rules import apply_rules
from indexer.sources.base import SourceItem
from retrieval.arrays import FloatArray
from retrieval.encoders import load_encoder
from retrieval.encoders.base import TokenEncoder
from retrieval.errors import EncoderError, FingerprintMismatch, WeightsUnavailable
from retrieval.explain.why import explain
from retrieval.query import Part, Query
from retrieval.query.text_form import parse
from retrieval.rerankers.base import Reranker, RerankerSpec
from retrieval.rerankers.folder import write
from retrieval.rerankers.registry import KINDS
from retrieval.search import Answer, Searcher
from retrieval.stages.candidates import Candidates, listed
from retrieval.stages.pages import page
from retrieval.stages.reordering import is_certain, reordered, scale
from retrieval.stages.reranking import Reranking
from retrieval.stages.scope import Fields
from retrieval.tokens.codec import pack, rounded
from retrieval.tokens.value import Tokens, TokenSpec
from tests.command_line import Run, runner
from tests.fakes import COLOURS, ColourEncoder
from tests.halves import PAIRS, WEIGHTS, HalvesEncoder, HalvesReranker, halves
from tests.listed import ListSource, paint, worded

# Both photos have all but the same mean colour: to the first stage the one with fewer dark pixels is the better.
RIGHT, WRONG = "green-red", "red-green"
QUERY = "green red"


def made(folder: Path, *, tokens: bool = True) -> Path:
    """A collection of all pairs of colours, each item with a photo and its colours as title, and one without photo."""
    items = []
    for number, (left, right) in enumerate(PAIRS):
        photo = folder / f"{left}-{right}.png"
        pixels = np.array(Image.open(io.BytesIO(halves(left, right))))
        pixels.reshape(-1, 3)[: 2 * number] = 0  # so that no two are equal
        Image.fromarray(pixels).save(photo)
        facts = {"left": left, "both": "-".join(sorted((left, right)))}
        items.append(SourceItem(f"{left}-{right}", f"{left} {right}", (photo,), attributes=facts))
    items.append(SourceItem("words", "green red words only", ()))
    index_sources(folder / "c", [ListSource(items)], HalvesEncoder(), rerank_tokens=tokens)
    return folder / "c"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(tmp_path_factory.mktemp("shop"))


@pytest.fixture(scope="module")
def searcher(shop: Path) -> Iterator[Searcher]:
    with Searcher.open(shop, HalvesEncoder()) as plain:
        yield Searcher(plain.collection, HalvesEncoder(), HalvesReranker(HalvesEncoder().token_spec))


def ids(answer: Answer) -> list[str]:
    return [hit.item_id for hit in answer.hits]


def kept(searcher: Searcher, query: Query) -> Answer:
    """The answer, which must have the order of the first stage, and say why."""
    answer, plain = searcher.answer(query), searcher.answer(replace(query, rerank=0))
    assert ids(answer) == ids(plain)
    assert answer.reranked is not None
    assert answer.reranked["scored"] == 0
    assert answer.reranked["skipped"]
    return answer


class TestOrder:
    def test_words_find_the_photo_with_each_colour_on_its_side(self, searcher: Searcher) -> None:
        assert ids(searcher.search(QUERY, k=2)) == [WRONG, RIGHT]
        answer = searcher.search(QUERY, k=2, rerank=20)
        assert answer.hits[0].item_id == RIGHT
        assert answer.hits[0].first_rank == 2
        assert answer.hits[0].rerank_score == pytest.approx(1, abs=0.05)
        assert answer.hits[0].score == pytest.approx(answer.hits[0].cosine + 0.5 * answer.hits[0].rerank_score)  # type: ignore[operator]
        assert answer.reranked is not None
        assert (answer.reranked["depth"], answer.reranked["scored"], answer.reranked["skipped"]) == (20, 20, None)
        assert answer.notes == ()

    def test_a_picture_finds_the_text_with_its_colours_in_order(self, searcher: Searcher) -> None:
        picture = halves("green", "red")
        assert searcher.search(image=picture, by="text").hits[0].item_id == WRONG
        answer = searcher.search(image=picture, by="text", rerank=20)
        assert answer.hits[0].item_id == RIGHT
        assert answer.hits[0].matched_text == "green red"

    def test_hits_say_nothing_of_it_where_it_was_not_asked_for(self, searcher: Searcher) -> None:
        answer = searcher.search(QUERY)
        assert answer.reranked is None
        assert {(hit.first_rank, hit.rerank_score) for hit in answer.hits} == {(None, None)}

    def test_behind_the_depth_nothing_changes(self, searcher: Searcher) -> None:
        answer = searcher.search(QUERY, k=100, rerank=5)
        assert ids(answer)[5:] == ids(searcher.search(QUERY, k=100))[5:]
        assert [hit.first_rank is None for hit in answer.hits] == [n >= 5 for n in range(72)]

    def test_a_depth_beyond_all_there_are(self, searcher: Searcher) -> None:
        answer = searcher.search(QUERY, k=100, rerank=1000)
        assert sorted(ids(answer)) == sorted("-".join(pair) for pair in PAIRS)
        assert answer.reranked is not None
        assert answer.reranked["scored"] == 72

    @given(
        words=st.sampled_from(PAIRS).map(" ".join),
        depth=st.integers(1, 80),
        k=st.integers(1, 30),
        number=st.integers(1, 4),
        by=st.sampled_from(["image", "hybrid"]),
        wanted=st.sampled_from([None, 'left = "red" or left = "blue"', 'left != "green"']),
    )
    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    def test_an_oracle_that_looks_at_the_photos(
        self, searcher: Searcher, words: str, depth: int, k: int, number: int, by: Any, wanted: str | None
    ) -> None:
        query = Query.of(words, k=100, by=by, filter=wanted)
        ranked = list(searcher.answer(query).hits)
        head = [hit for hit in ranked[:depth] if hit.photo]
        factor = 0.5 * (spread(head) if by == "hybrid" else 1.0)
        encoder, reranker = HalvesEncoder(), HalvesReranker(HalvesEncoder().token_spec)
        asked = encoder.encode_texts_with_tokens([words])
        scores = {}
        for hit in head:
            found = encoder.encode_images_with_tokens(encoder.preprocess(Image.open(hit.photo or ""))[None])
            scores[hit.item_id] = (hit.score or 0) + factor * float(reranker.match(asked, found)[0])
        # Tokens are kept in 8 bits, so scores are those of the oracle within a little, and what is near may change.
        answer = searcher.answer(replace(query, rerank=depth, k=k).page(number))
        everything = searcher.answer(replace(query, rerank=depth)).hits
        assert ids(answer) == [hit.item_id for hit in everything][(number - 1) * k : number * k]
        assert [hit.item_id for hit in everything[depth:]] == [hit.item_id for hit in ranked[depth:]]
        places = [n for n, hit in enumerate(ranked[:depth]) if hit.photo]
        mine = [everything[n] for n in places]
        assert {hit.item_id for hit in mine} == set(scores)
        assert all(
            everything[n].item_id == ranked[n].item_id for n in range(min(depth, len(ranked))) if n not in places
        )
        for hit in mine:
            assert hit.score == pytest.approx(scores[hit.item_id], abs=0.01 + 0.01 * factor)
            assert ranked[(hit.first_rank or 0) - 1].item_id == hit.item_id
        assert [hit.score for hit in mine] == sorted((hit.score for hit in mine), reverse=True)  # type: ignore[type-var]

    def test_pages_are_parts_of_one_order(self, searcher: Searcher) -> None:
        query = Query.of(QUERY, k=7, rerank=30)
        pages = [ids(searcher.answer(query.page(number))) for number in range(1, 12)]
        assert list(chain(*pages)) == ids(searcher.answer(replace(query, k=100)))


def spread(hits: list[Any]) -> float:
    listed = [hit for hit in hits if "image" in hit.legs]
    cosines = np.std([hit.legs["image"]["score"] for hit in listed])
    fused = np.std([sum(leg["added"] for leg in hit.legs.values()) for hit in listed])
    return float(fused / cosines) if cosines > 0 else 1.0


@given(
    st.lists(st.tuples(st.floats(-1, 1, width=32), st.one_of(st.none(), st.floats(-5, 5, width=32))), max_size=12),
    st.floats(0, 2, width=32),
)
def test_the_scored_share_their_places_and_the_others_stay(rows: list[Any], weight: float) -> None:
    candidates = replace(listed(range(len(rows))), scores=np.array([score for score, _ in rows], np.float32))
    matches = np.array([np.nan if match is None else match for _, match in rows], np.float32)
    given_scores = [float(np.float32(s) + np.float32(weight) * np.float32(m)) if m is not None else s for s, m in rows]
    scored = [n for n, (_, match) in enumerate(rows) if match is not None]
    best_first = iter(sorted(scored, key=lambda n: -given_scores[n]))
    expected = [n if rows[n][1] is None else next(best_first) for n in range(len(rows))]
    made, moved = reordered(candidates, matches, weight)
    assert made.keys.tolist() == expected
    np.testing.assert_array_equal(made.scores, np.array([given_scores[n] for n in expected], np.float32))
    np.testing.assert_array_equal(moved, matches[expected])


class TestScale:
    def test_cosines_are_taken_as_they_are(self) -> None:
        assert scale(listed(range(3))) == 1

    def test_fused_scores_have_the_spread_of_cosines(self) -> None:
        photos = np.array([[1, 0.3, 0.3], [2, 0.2, 0.1], [0, np.nan, 0]], np.float32)
        texts = np.array([[0, np.nan, 0], [1, 0.9, 0.6], [2, 0.8, 0.5]], np.float32)
        fused = replace(listed(range(3)), legs={"image": photos, "text": texts})
        assert scale(fused) == pytest.approx(np.std([0.3, 0.7]) / np.std([0.3, 0.2]))

    def test_equal_cosines_say_nothing(self) -> None:
        same = np.array([[1, 0.3, 0.3], [2, 0.3, 0.3]], np.float32)
        assert scale(replace(listed(range(2)), legs={"image": same, "lexical": same})) == 1


class TestTogether:
    def test_a_group_shows_what_the_reranker_puts_first(self, searcher: Searcher) -> None:
        assert ids(searcher.search(QUERY, k=40, group="both"))[0] == WRONG
        answer = searcher.search(QUERY, k=40, group="both", rerank=20)
        assert ids(answer)[0] == RIGHT
        assert WRONG not in ids(answer)
        assert len(answer.hits) == 36

    def test_of_two_duplicates_the_better_is_shown(self, searcher: Searcher) -> None:
        found = ids(searcher.search(QUERY, k=40, duplicates=0.99, rerank=20))
        assert found[0] == RIGHT
        assert WRONG not in found

    def test_hardly_any_diversity_keeps_the_new_order_even_of_worse_scores(self, shop: Path) -> None:
        with Searcher.open(shop, HalvesEncoder()) as plain:
            against = HalvesReranker(HalvesEncoder().token_spec, sense=-1)  # now all 20 score below the others
            searcher = Searcher(plain.collection, HalvesEncoder(), against)
            query = Query.of(QUERY, k=19, rerank=20)  # the last of the 20 is worth as much as the first behind them
            new, diverse = searcher.answer(query), searcher.answer(replace(query, diversity=1e-6))
            assert [hit.score for hit in diverse.hits] == pytest.approx([hit.score for hit in new.hits])
            assert new.hits[-1].score < searcher.search(QUERY, k=30).hits[-1].score  # type: ignore[operator]

    def test_a_filter_comes_first(self, searcher: Searcher) -> None:
        answer = searcher.search(QUERY, k=3, filter='left = "red"', rerank=20)
        assert {item_id.split("-")[0] for item_id in ids(answer)} == {"red"}
        assert answer.reranked is not None
        assert answer.reranked["scored"] == 8

    def test_pins_stand_on_their_places(self, tmp_path: Path) -> None:
        folder = made(tmp_path)
        rules = f"version: 1\npins: [{{query: {QUERY}, items: black-white}}]\n"
        rules += "boosts: [{when: 'left = \"blue\"', add: 0.01}]\n"
        apply_rules(folder, rules.encode(), name="rules.yaml")
        with Searcher.open(folder, HalvesEncoder()) as plain:
            searcher = Searcher(plain.collection, HalvesEncoder(), HalvesReranker(HalvesEncoder().token_spec))
            answer = searcher.search(QUERY, k=3, rerank=20)
        assert ids(answer)[:2] == ["black-white", RIGHT]
        assert (answer.hits[1].first_rank, answer.hits[0].rerank_score) == (2, None)

    def test_a_least_confidence_still_holds(self, searcher: Searcher) -> None:
        query = Query.of(QUERY, k=50, min_confidence=0.5)
        answer, plain = searcher.answer(replace(query, rerank=72)), searcher.answer(query)
        assert plain.hits
        assert sorted(ids(answer)) == sorted(ids(plain))
        assert ids(answer)[0] == RIGHT

    def test_hybrid_finds_it_too_and_an_item_without_a_photo_keeps_its_place(self, searcher: Searcher) -> None:
        answer = searcher.search("green red words", k=20, by="hybrid", rerank=20)
        plain = searcher.search("green red words", k=20, by="hybrid")
        assert ids(answer).index("words") == ids(plain).index("words")
        assert ids(answer).index(RIGHT) < ids(answer).index(WRONG)
        bare = answer.hits[ids(answer).index("words")]
        assert (bare.first_rank, bare.rerank_score) == (bare.rank, None)

    def test_an_explanation_of_a_hit(self, searcher: Searcher) -> None:
        assert explain(searcher, Query.of(QUERY, k=1, rerank=20), RIGHT).outcome.step == "hit"
        assert explain(searcher, Query.of(QUERY, k=1, rerank=20), WRONG).outcome.step == "below_cut"

    def test_an_explanation_of_what_lies_behind_hits_that_were_moved_down(self, shop: Path) -> None:
        with Searcher.open(shop, HalvesEncoder()) as plain:
            against = HalvesReranker(HalvesEncoder().token_spec, sense=-1)
            searcher = Searcher(plain.collection, HalvesEncoder(), against)
            query = Query.of(QUERY, k=20, rerank=20)
            behind = searcher.answer(replace(query, k=21)).hits[-1]
            outcome = explain(searcher, query, behind.item_id).outcome
        assert (outcome.step, outcome.facts["rank"]) == ("below_cut", 21)
        assert outcome.said == "it is number 21; hit 20 scores less, but a reranker or a rule put it there"

    def test_many_threads_get_one_answer(self, searcher: Searcher) -> None:
        asked = [Query.of(" ".join(pair), rerank=30) for pair in PAIRS]
        with ThreadPoolExecutor(8) as pool:
            together = [ids(answer) for answer in pool.map(searcher.answer, asked)]
        assert together == [ids(searcher.answer(query)) for query in asked]


class TestNotMadeFor:
    @pytest.mark.parametrize(
        ("query", "said"),
        [
            (Query((Part(words="red"), Part(words="blue", weight=-1)), rerank=9), "only words alone"),
            (Query((Part(words="red", weight=-1),), rerank=9), "only words alone"),
            (Query((Part(item=WRONG),), rerank=9), "judged with a photo only"),
            (Query((Part(image=halves("red", "blue")),), rerank=9), "judged with a photo only"),
            (Query.of(QUERY, by="text", rerank=9), "judged with a photo only"),
            (Query.of(QUERY, by="lexical", rerank=9), "judged with a photo only"),
            (Query.of(QUERY, sort=("left",), rerank=9), "sorted by a field"),
            (Query(filter='left = "red"', rerank=9), "nothing is searched for"),
        ],
    )
    def test_other_queries_keep_their_order_and_say_why(self, searcher: Searcher, query: Query, said: str) -> None:
        assert any(said in note for note in kept(searcher, query).notes)


class Clock:
    """A clock that stands still unless it is told."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


class Slow(HalvesReranker):
    """Takes `seconds` for each call, on that clock."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        super().__init__(HalvesEncoder().token_spec)
        self.clock, self.seconds, self.calls = clock, seconds, 0

    def match(self, texts: Tokens, photos: Tokens) -> FloatArray:
        self.clock.now += self.seconds
        self.calls += 1
        return super().match(texts, photos)


class TestDeadline:
    def timed(self, shop: Path, seconds: float, **fields: Any) -> tuple[list[int], Reranking, Slow]:
        """The ranking's item keys, how it was reranked, and the reranker, on a clock of the reranker's own."""
        clock = Clock()
        reranker = Slow(clock, seconds)
        with Searcher.open(shop, HalvesEncoder()) as plain:
            searcher = Searcher(plain.collection, HalvesEncoder(), reranker)
            query = Query.of(QUERY, k=72, **fields)
            asked = searcher.ask(query, Fields.of(query))
            if query.rerank:
                asked.reranking = Reranking(
                    searcher.collection, searcher.vectors(query), searcher.reranker, query, clock
                )
            chosen, _ = page(asked)
            assert asked.reranking is not None or not query.rerank
            return chosen.keys.tolist(), asked.reranking, reranker  # type: ignore[return-value]

    def test_no_batch_begins_that_would_end_too_late(self, shop: Path) -> None:
        plain, _, _ = self.timed(shop, 0)
        keys, reranking, reranker = self.timed(shop, 0.01, rerank=40, rerank_deadline=35)
        assert reranker.calls == 3
        assert reranking.report() == {"depth": 40, "scored": 24, "ms": 30, "skipped": None}
        assert reranking.notes == ("reranked the best 24 of 40: 35 ms are too few for all",)
        assert sorted(keys[:24]) == sorted(plain[:24])
        assert keys[24:] == plain[24:]
        assert keys[0] == plain[1]

    def test_without_one_all_are_scored_at_once(self, shop: Path) -> None:
        _, reranking, reranker = self.timed(shop, 10, rerank=40)
        assert (reranker.calls, reranking.report()["scored"], reranking.notes) == (1, 40, ())

    def test_enough_time_is_as_none(self, shop: Path) -> None:
        assert self.timed(shop, 0.01, rerank=40, rerank_deadline=1e6)[0] == self.timed(shop, 0.01, rerank=40)[0]

    def test_none_at_all_scores_nothing(self, searcher: Searcher) -> None:
        answer = kept(searcher, Query.of(QUERY, rerank=20, rerank_deadline=0))
        assert answer.notes == ("not reranked: a deadline of 0 ms leaves no time for it",)


class Raising(HalvesReranker):
    """Breaks whenever it is used."""

    def match(self, texts: Tokens, photos: Tokens) -> FloatArray:
        raise RuntimeError("out\nof memory")


class NotANumber(HalvesReranker):
    """Says nothing that could be ordered by."""

    def match(self, texts: Tokens, photos: Tokens) -> FloatArray:
        return np.full(max(len(texts), len(photos)), np.nan, np.float32)


class Shifted(HalvesReranker):
    """As sure of the order, but of another height: what learns by softmax has no zero. A text without tokens gets 0."""

    def match(self, texts: Tokens, photos: Tokens) -> FloatArray:
        shifted: FloatArray = np.where(texts.lengths > 0, super().match(texts, photos) - 9, 0).astype(np.float32)
        return shifted


def fill(folder: Path, items: list[SourceItem]) -> None:
    index_sources(folder, [ListSource(items)], HalvesEncoder(), rerank_tokens=True)


def spec_of_halves() -> TokenSpec:
    spec = HalvesEncoder().token_spec
    assert spec is not None
    return spec


def with_spec(reranker: HalvesReranker, **fields: Any) -> HalvesReranker:
    reranker.spec = replace(reranker.spec, **fields)
    return reranker


class Torn(HalvesEncoder):
    """Cannot give the tokens of a query."""

    def encode_texts_with_tokens(self, texts: Any) -> Tokens:
        raise RuntimeError("torn")


class TestNeverFails:
    def search(self, folder: Path, reranker: Reranker | None, encoder: ColourEncoder | None = None) -> Answer:
        encoder = encoder or HalvesEncoder()
        with Searcher.open(folder, encoder) as plain:
            return kept(Searcher(plain.collection, encoder, reranker), Query.of(QUERY, k=5, rerank=20))

    def test_a_reranker_that_raises(self, shop: Path) -> None:
        notes = self.search(shop, Raising(spec_of_halves())).notes
        assert notes == ("not reranked: the reranker failed: RuntimeError: out of memory",)

    def test_a_reranker_that_gives_no_numbers(self, shop: Path) -> None:
        assert "gave no numbers" in self.search(shop, NotANumber(spec_of_halves())).notes[0]

    def test_none_for_the_encoder(self, shop: Path) -> None:
        (note,) = self.search(shop, None).notes
        assert "catalens train reranker" in note

    def test_one_built_in_that_cannot_be_loaded(self, shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("retrieval.query.reranker.default_reranker", lambda _: str(shop / "gone"))
        (note,) = self.search(shop, None).notes
        assert "it cannot be loaded: there is no reranker" in note

    def test_one_built_in_for_other_tokens(self, shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        other = HalvesReranker(replace(spec_of_halves(), projection_hash="q" * 64))
        monkeypatch.setattr("retrieval.query.reranker.default_reranker", lambda _: "starter")
        monkeypatch.setattr("retrieval.query.reranker.load_reranker", lambda *_, **__: other)
        (note,) = self.search(shop, None).notes
        assert "the reranker halves reads tokens" in note

    def test_a_collection_without_tokens(self, tmp_path: Path) -> None:
        (note,) = self.search(made(tmp_path, tokens=False), HalvesReranker(spec_of_halves())).notes
        assert "catalens index --add-tokens" in note

    def test_a_collection_with_other_tokens(self, shop: Path) -> None:
        encoder = HalvesEncoder()
        encoder.token_spec = other = replace(spec_of_halves(), projection_hash="q" * 64)
        (note,) = self.search(shop, HalvesReranker(other), encoder).notes
        assert f"its encoder now gives {other.fingerprint}" in note

    def test_an_encoder_without_tokens(self, shop: Path) -> None:
        (note,) = self.search(shop, None, ColourEncoder("halves")).notes
        assert "gives no tokens" in note

    def test_an_encoder_that_cannot_give_them(self, shop: Path) -> None:
        (note,) = self.search(shop, HalvesReranker(spec_of_halves()), Torn()).notes
        assert "RuntimeError: torn" in note

    def test_a_reranker_that_helped_no_such_query(self, shop: Path) -> None:
        weights = {**WEIGHTS, "text_to_image": 0.0}
        (note,) = self.search(shop, HalvesReranker(spec_of_halves(), weights)).notes  # type: ignore[arg-type]
        assert "did not help" in note

    def test_damaged_tokens_leave_the_item_where_it_is(self, tmp_path: Path) -> None:
        folder = made(tmp_path)
        with sqlite3.connect(folder / "catalog.db") as connection:
            connection.execute(
                "UPDATE photo_tokens SET data = x'00ff00ff' WHERE owner_id = "
                "(SELECT p.id FROM photos p WHERE p.path LIKE '%red-green.png')"
            )
        connection.close()
        with Searcher.open(folder, HalvesEncoder()) as plain:
            searcher = Searcher(plain.collection, HalvesEncoder(), HalvesReranker(spec_of_halves()))
            answer = searcher.search(QUERY, k=20, rerank=20)
        assert ids(answer)[:2] == [WRONG, RIGHT]
        assert (answer.hits[0].first_rank, answer.hits[0].rerank_score) == (1, None)
        assert answer.notes == (
            "1 of them kept their places: the photos have no tokens, or damaged ones; catalens index --add-tokens adds "
            "them",
        )
        assert answer.reranked is not None
        assert answer.reranked["scored"] == 19

    def test_tokens_of_more_places_than_there_are_spoil_none_of_the_others(self, tmp_path: Path) -> None:
        folder = made(tmp_path)
        with closing(sqlite3.connect(folder / "catalog.db")) as connection, connection:
            larger = pack(np.ones((3, 3), np.float32))  # whole, but no photo has three halves
            connection.execute(
                "UPDATE photo_tokens SET data = ? WHERE owner_id = "
                "(SELECT p.id FROM photos p WHERE p.path LIKE '%red-green.png')",
                (larger,),
            )
        with Searcher.open(folder, HalvesEncoder()) as plain:
            searcher = Searcher(plain.collection, HalvesEncoder(), HalvesReranker(spec_of_halves()))
            answer = searcher.search(QUERY, k=20, rerank=20)
        assert answer.reranked is not None and answer.reranked["scored"] == 19
        assert answer.notes[0].startswith("1 of them kept their places: the photos have no tokens, or damaged ones")

    @pytest.mark.parametrize("record", ["no json", "[]", "{}", '{"encoder": "x"}', "7", ""])
    def test_a_damaged_record_of_what_the_tokens_are(self, tmp_path: Path, record: str) -> None:
        folder = made(tmp_path)
        with closing(sqlite3.connect(folder / "catalog.db")) as connection, connection:
            connection.execute("UPDATE token_specs SET spec = ?", (record,))
        assert "keeps no tokens" in self.search(folder, HalvesReranker(spec_of_halves())).notes[0]

    def test_an_encoder_that_cannot_say_what_tokens_it_gives(self, shop: Path) -> None:
        class Damaged(HalvesEncoder):
            broken = False

            @property
            def token_spec(self) -> TokenSpec | None:
                if self.broken:
                    raise EncoderError("the file of projections is damaged", hint="install catalens anew")
                return self._spec

            @token_spec.setter
            def token_spec(self, spec: TokenSpec | None) -> None:
                self._spec = spec

        encoder = Damaged()
        with Searcher.open(shop, encoder) as plain:
            searcher = Searcher(plain.collection, encoder, HalvesReranker(spec_of_halves()))
            encoder.broken = True
            assert "the file of projections is damaged" in kept(searcher, Query.of(QUERY, rerank=20)).notes[0]

    def test_words_without_tokens(self, searcher: Searcher) -> None:
        answer = kept(searcher, Query.of("words of no colour", rerank=20))
        assert "gives these words no tokens" in answer.notes[0]

    def test_texts_without_tokens_keep_their_places_though_all_else_scores_below_zero(self, tmp_path: Path) -> None:
        fill(tmp_path / "c", worded("red green", "green red", "grey", "no colour"))
        picture = halves("green", "red")
        with Searcher.open(tmp_path / "c", HalvesEncoder()) as plain:
            searcher = Searcher(plain.collection, HalvesEncoder(), Shifted(spec_of_halves()))
            before = ids(searcher.search(image=picture, by="text"))
            answer = searcher.search(image=picture, by="text", rerank=20)
            only = searcher.search(image=picture, by="text", filter='item_id in ("grey", "no colour")', rerank=20)
        assert before[2:] == ids(answer)[2:] == ["grey", "no colour"]
        assert [hit.rerank_score is None for hit in answer.hits] == [False, False, True, True]
        assert (ids(answer)[0], answer.reranked["scored"], answer.notes) == ("green red", 2, ())  # type: ignore[index]
        assert "none of the texts has tokens" in only.notes[0]

    def test_all_tokens_damaged(self, tmp_path: Path) -> None:
        folder = made(tmp_path)
        with sqlite3.connect(folder / "catalog.db") as connection:
            connection.execute("UPDATE photo_tokens SET data = x'00'")
        connection.close()
        assert "--add-tokens" in self.search(folder, HalvesReranker(spec_of_halves())).notes[0]


class TestUncertain:
    TWO = 'title = "green red" or title = "white black"'

    @pytest.mark.parametrize(("wanted", "scored"), [(TWO, 0), (None, 20)])
    def test_only_where_the_first_is_not_far_before_the_second(
        self, searcher: Searcher, wanted: str | None, scored: int
    ) -> None:
        margins = dict.fromkeys(WEIGHTS, 0.05)
        reranker = with_spec(HalvesReranker(spec_of_halves()), margins=margins)
        picky = Searcher(searcher.collection, HalvesEncoder(), reranker)
        answer = picky.search(QUERY, filter=wanted, rerank=20, rerank_when="uncertain")
        assert answer.reranked is not None
        assert answer.reranked["scored"] == reranker.pairs == scored
        assert answer.notes == ()
        assert picky.search(QUERY, filter=wanted, rerank=20).reranked["scored"] > 0  # type: ignore[index]

    def test_a_hybrid_search_looks_at_photos(self) -> None:
        def with_cosines(*cosines: float) -> Candidates:
            legs = {"image": np.array([[1, cosine, 0] for cosine in cosines], np.float32)}
            return replace(listed(range(len(cosines))), cosines=np.array([9.0, 0.0], np.float32), legs=legs)

        assert is_certain(with_cosines(0.5, 0.3), 0.1)
        assert not is_certain(with_cosines(0.35, 0.3), 0.1)
        assert not is_certain(with_cosines(0.35, np.nan), 0.1)
        assert not is_certain(listed([1]), 0.1)


class Counting(HalvesEncoder):
    """Counts the passes of its towers."""

    passes = 0

    def encode_images(self, pixels: Any) -> FloatArray:
        self.passes += 1
        return super().encode_images(pixels)

    def encode_texts(self, texts: Any) -> FloatArray:
        self.passes += 1
        return super().encode_texts(texts)


@pytest.mark.parametrize("query", [Query.of(QUERY, rerank=5), None])
def test_a_querys_tokens_are_rounded_as_those_that_are_stored(shop: Path, query: Query | None) -> None:
    class Looking(HalvesReranker):
        given: tuple[Tokens, Tokens]

        def match(self, texts: Tokens, photos: Tokens) -> FloatArray:
            self.given = texts, photos
            return super().match(texts, photos)

    class Uneven(HalvesEncoder):
        def encode_texts_with_tokens(self, texts: Any) -> Tokens:
            made = super().encode_texts_with_tokens(texts)
            return replace(made, tokens=made.tokens * np.float32(0.777))

        def encode_images_with_tokens(self, pixels: Any) -> Tokens:
            made = super().encode_images_with_tokens(pixels)
            return replace(made, tokens=made.tokens * np.float32(0.777))

    reranker = Looking(spec_of_halves())
    query = query or Query((Part(image=halves("red", "green")),), by="text", rerank=5)
    with Searcher.open(shop, Uneven()) as plain:
        answer = Searcher(plain.collection, Uneven(), reranker).answer(query)
    assert answer.reranked is not None
    assert answer.reranked["scored"] == 5
    for side in reranker.given:
        np.testing.assert_array_equal(side.tokens, rounded(side).tokens)


def test_a_query_is_encoded_once_for_both(shop: Path) -> None:
    encoder = Counting()
    with Searcher.open(shop, encoder) as plain:
        searcher = Searcher(plain.collection, encoder, HalvesReranker(spec_of_halves()))
        searcher.search(QUERY, rerank=20)
        assert encoder.passes == 1
        searcher.search(QUERY, rerank=20)
        assert encoder.passes == 1
        searcher.search(image=halves("red", "blue"), by="text", rerank=20)
        assert encoder.passes == 2


class Hashing(HalvesEncoder):
    """Counts how often it is asked what tokens it gives: another encoder may hash its projections to say so."""

    asked = 0

    @property
    def token_spec(self) -> TokenSpec | None:
        self.asked += 1
        return self._spec

    @token_spec.setter
    def token_spec(self, spec: TokenSpec | None) -> None:
        self._spec = spec


def test_what_tokens_an_encoder_gives_is_asked_once(shop: Path) -> None:
    encoder = Hashing()
    with Searcher.open(shop, encoder) as plain:
        searcher = Searcher(plain.collection, encoder, HalvesReranker(spec_of_halves()))
        assert searcher.search(QUERY, rerank=20).notes == ()
        before = encoder.asked
        assert searcher.search("blue red", rerank=20).notes == ()
        assert encoder.asked == before


def test_the_starter_with_a_network_on_its_tokens_in_any_language(tmp_path: Path) -> None:
    encoder = load_encoder("starter", runtime="torch")
    items = []
    for name in ("red", "blue", "green"):
        photo = paint(tmp_path / f"{name}.png", COLOURS[name])
        items.append(SourceItem(name, f"{name} wall", (photo,)))
    index_sources(tmp_path / "c", [ListSource(items)], encoder, rerank_tokens=True)
    assert isinstance(encoder, TokenEncoder)
    spec = encoder.token_spec
    assert spec is not None
    module = KINDS["cross_attention"](spec, encoder.spec.dimension, 0)
    write(tmp_path / "r", module, RerankerSpec("", "cross_attention", "", spec, WEIGHTS, WEIGHTS))
    with Searcher.open(tmp_path / "c", encoder, runtime="torch", reranker=str(tmp_path / "r")) as searcher:
        for query in (Query.of("a red wall"), Query.of(image=tmp_path / "red.png", by="text")):
            answer = searcher.answer(replace(query, rerank=20))
            assert (answer.reranked or {})["scored"] == 3
            assert answer.notes == ()
            assert all(hit.rerank_score is not None for hit in answer.hits)
        chinese = searcher.answer(Query.of("红色的墙", rerank=20))
        assert (chinese.reranked or {})["scored"] == 0
        assert len(chinese.notes) == 1
        assert [hit.rerank_score for hit in chinese.hits] == [None] * 3


class TestGiven:
    def test_one_that_reads_other_tokens_is_refused(self, searcher: Searcher) -> None:
        other = HalvesReranker(replace(spec_of_halves(), projection_hash="q" * 64))
        with pytest.raises(FingerprintMismatch, match="projection_hash differ"):
            Searcher(searcher.collection, HalvesEncoder(), other)

    def test_one_beside_an_encoder_without_tokens_is_refused(self, searcher: Searcher) -> None:
        with pytest.raises(EncoderError, match="gives no tokens"):
            Searcher(searcher.collection, ColourEncoder("halves"), HalvesReranker(spec_of_halves()))

    def test_one_that_is_not_there(self, shop: Path, tmp_path: Path) -> None:
        with pytest.raises(WeightsUnavailable, match="is no reranker") as caught:
            Searcher.open(shop, HalvesEncoder(), reranker=str(tmp_path))
        assert "train reranker" in caught.value.hint


class TestTyped:
    @pytest.mark.parametrize(
        ("typed", "words", "depth"),
        [
            ("--rerank red shoes", "red shoes", 20),
            ("red shoes --rerank", "red shoes", 20),
            ("red --rerank 5 shoes", "red shoes", 5),
            ("--rerank=7 red", "red", 7),
            ("--rerank --rerank-deadline 50 red", "red", 20),
            ("--rerank -- 5", "5", 20),
            ("red -- --rerank", "red --rerank", 0),
        ],
    )
    def test_the_number_may_be_left_out(self, typed: str, words: str, depth: int) -> None:
        query = parse(typed)
        assert (query.words, query.rerank) == (((words, 1.0),), depth)

    def test_an_item_of_that_name(self) -> None:
        assert parse("--like --rerank").parts == (Part(item="--rerank"),)

    def test_the_others(self) -> None:
        query = parse("red --rerank --rerank-deadline 50 --rerank-when uncertain")
        assert query == Query.of("red", rerank=20, rerank_deadline=50.0, rerank_when="uncertain")


class TestCommandLine:
    @pytest.fixture
    def run(self, shop: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
        monkeypatch.setattr("retrieval.search.load_encoder", lambda *_, **__: HalvesEncoder())
        monkeypatch.setenv("CATALENS_COLLECTION", str(shop))
        return runner(monkeypatch, capsys)

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        """An untrained reranker, on disk as a trained one is."""
        module = KINDS["cross_attention"](spec_of_halves(), 4, 0)
        write(tmp_path / "r", module, RerankerSpec("", "cross_attention", "", spec_of_halves(), WEIGHTS, WEIGHTS))  # type: ignore[arg-type]
        return tmp_path / "r"

    @pytest.mark.parametrize("arguments", [("--rerank", QUERY), (QUERY, "--rerank", "20"), (QUERY,)])
    def test_words_after_rerank_are_words(self, run: Run, folder: Path, arguments: tuple[str, ...]) -> None:
        code, out, err = run("search", *arguments, "--reranker", folder, "--runtime", "torch", "--json")
        assert (code, err) == (0, "")
        answer = json.loads(out)
        assert answer["query"]["parts"] == [{"words": QUERY}]
        assert (answer["reranked"]["depth"], answer["reranked"]["scored"]) == (20, 20)
        assert len({hit["first_rank"] for hit in answer["hits"]}) == 10
        assert all(isinstance(hit["rerank_score"], float) for hit in answer["hits"])

    def test_the_word_parts_is_no_option(self, run: Run, folder: Path) -> None:
        code, out, err = run("search", "parts", "--rerank", "red", "--reranker", folder, "--runtime", "torch", "--json")
        assert (code, err) == (0, "")
        asked = json.loads(out)["query"]
        assert (asked["parts"], asked["rerank"]) == ([{"words": "parts red"}], 20)

    def test_what_was_not_reranked_says_nothing_of_it(self, run: Run) -> None:
        answer = json.loads(run("search", QUERY, "--json")[1])
        assert "reranked" not in answer
        assert not {"first_rank", "rerank_score"} & set(answer["hits"][0])

    def test_the_table_says_where_a_hit_was(self, searcher: Searcher) -> None:
        answer = searcher.search(QUERY, k=2, rerank=20)
        table, plain = hits_table(answer.hits), hits_table(searcher.search(QUERY).hits)
        assert [str(column.header) for column in table.columns][:3] == ["#", "was", "score"]
        assert next(str(cell) for cell in table.columns[1].cells) == "2"
        assert "was" not in [column.header for column in plain.columns]
        assert ", the best 20 reranked in " in outcome(answer)

    def test_an_order_that_was_sure_enough_is_said_to_be_left(self, searcher: Searcher) -> None:
        answer = searcher.search(QUERY, rerank=20)
        sure = {"depth": 20, "scored": 0, "ms": 0.0, "skipped": "the first hit is far enough before the second"}
        assert outcome(replace(answer, reranked=sure)).endswith(
            ", not reranked: the first hit is far enough before the second"
        )
        told = replace(answer, reranked=sure, notes=("not reranked: for another reason",))
        assert "reranked" not in outcome(told)

    def test_none_built_in_is_a_note(self, run: Run) -> None:
        code, out, err = run("search", "--rerank", QUERY)
        assert code == 0
        assert out
        assert "catalens train reranker" in err

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (("--rerank", "2000"), "rerank is 2,000; it must be between 0 and 1,000"),
            (("--rerank", "-1"), "rerank is -1"),
            (("--rerank-deadline", "-1"), "rerank_deadline is -1"),
            (("--rerank-when", "maybe"), "rerank_when is 'maybe'"),
            (("--rerank-deadline", "30"), "--rerank-deadline: it says how to rerank; add --rerank"),
            (("--rerank-when", "uncertain"), "--rerank-when: it says how to rerank; add --rerank"),
            (("--rerank", "--rerank-deadline", "1e9"), "must be between 0 and 3,600,000 give"),
            (("--reranker", "/nowhere"), "there is no reranker '/nowhere'"),
        ],
    )
    def test_what_is_refused(self, run: Run, arguments: tuple[str, ...], said: str) -> None:
        code, _, err = run("search", QUERY, *arguments)
        assert code != 0
        assert said in " ".join(err.split())
