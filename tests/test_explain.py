"""Why an item is where it is: exact ranks, and every way to fall out of an answer, on real collections."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from indexer.rules import apply_rules
from indexer.sources.base import SourceItem
from retrieval.encoders.base import unit_rows
from retrieval.errors import CollectionChanged, FilterError, QueryError
from retrieval.explain.clauses import places_of, value_at
from retrieval.explain.decision import decided
from retrieval.explain.inquiry import Inquiry
from retrieval.explain.outcome import Outcome
from retrieval.explain.ranks import BestRows, best_rows, place
from retrieval.explain.why import Explanation, explain
from retrieval.index.base import NO_ID
from retrieval.items import ItemTable
from retrieval.items.columns import BoolArray, ListColumn, NumberColumn, TextColumn
from retrieval.query import Part, Query
from retrieval.records import Hit
from retrieval.search import Searcher
from tests.fakes import COLOURS, ColourEncoder
from tests.listed import NoiseEncoder, fill, paint, slow_search, stored, worded


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A photo of each colour with price and brand, a second photo of blue, a second red, and an item without photos."""
    folder = tmp_path_factory.mktemp("shop")
    items = []
    for number, (name, colour) in enumerate(COLOURS.items()):
        photos = [paint(folder / f"{name}.png", colour)]
        if name == "blue":
            photos.insert(0, paint(folder / "blue-2.png", (20, 20, 60)))
        facts = {"price": 10 * number, "brand": "odd" if number % 2 else "even", "tags": ["a", name]}
        items.append(SourceItem(f"sku-{name}", f"{name} thing", tuple(photos), attributes=facts))
    nearly = paint(folder / "nearly-red.png", (221, 21, 21))
    items.append(SourceItem("sku-nearly-red", "scarlet", (nearly,), attributes={"price": 7, "brand": "even"}))
    items.append(SourceItem("sku-none", "red words only", (), attributes={"price": 1}))
    fill(folder / "collection", items, ColourEncoder())
    return folder


@pytest.fixture
def searcher(shop: Path) -> Iterator[Searcher]:
    with Searcher.open(shop / "collection", ColourEncoder()) as opened:
        yield opened


def why(searcher: Searcher, item_id: str, words: str | None = "red", **others: Any) -> Explanation:
    return explain(searcher, Query.of(words, **others), item_id)


class TestRanks:
    def test_every_item_has_the_place_that_the_whole_answer_gives_it(self, searcher: Searcher) -> None:
        for by in ("image", "text"):
            hits = searcher.search("dark orange", k=50, by=by).hits
            for hit in hits:
                (found,) = why(searcher, hit.item_id, "dark orange", by=by, k=50).places
                assert (found.leg, found.rank, found.of) == (by, hit.rank, len(hits))
                assert found.score == pytest.approx(hit.score, abs=1e-6)

    def test_the_best_photo_is_the_one_that_wins(self, searcher: Searcher, shop: Path) -> None:
        assert why(searcher, "sku-blue", "blue").photo == str(shop / "blue.png")
        assert why(searcher, "sku-blue", "dark blue").photo == str(shop / "blue-2.png")

    def test_the_best_text_is_shown_where_texts_are_compared(self, searcher: Searcher) -> None:
        found = why(searcher, "sku-none", by="text")
        assert found.matched_text == "red words only"
        assert found.photo is None

    @settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(words=st.text("abcdef ", min_size=1).filter(str.strip), seed=st.integers(0, 2**16))
    def test_the_exact_rank_is_that_of_a_naive_sort(self, noise: Searcher, words: str, seed: int) -> None:
        dice = np.random.default_rng(seed)
        view, table = noise.collection.view_with_items()
        vector = NoiseEncoder().encode_texts([words])[0]
        ids, vectors = stored(noise.collection.folder, "text")
        ranked = slow_search(ids, vectors, vector[None], len(ids)).ids[0]
        items = list(dict.fromkeys(table.items_of("text", ranked).tolist()))  # of each item the best row
        allowed = dice.random(len(table)) < 0.4
        rows = best_rows(noise.collection, view, table, "text", vector)
        for position in dice.choice(len(table), 5):
            found = place(rows, "text", int(position), allowed)
            assert found is not None
            passing = [each for each in items if allowed[each]]
            assert found.rank == items.index(position) + 1
            assert found.of == len(items) and found.matching == len(passing)
            assert found.matching_rank == (passing.index(position) + 1 if allowed[position] else None)

    @given(st.lists(st.sampled_from([-np.inf, -0.5, 0.0, 0.25, 0.5]), min_size=1, max_size=12))
    def test_equal_scores_stand_in_the_order_of_their_rows(self, scores: list[float]) -> None:
        owners = np.where(np.isinf(scores), NO_ID, np.arange(len(scores))[::-1])
        rows = BestRows(np.array(scores, np.float32), owners)
        everything: BoolArray = np.ones(len(scores), np.bool_)
        there = [i for i in range(len(scores)) if owners[i] != NO_ID]
        expected = sorted(there, key=lambda i: (-scores[i], owners[i]))
        found = {i: place(rows, "image", i, everything) for i in range(len(scores))}
        assert {i: one.rank for i, one in found.items() if one} == {i: n for n, i in enumerate(expected, 1)}
        assert {i for i, one in found.items() if one is None} == set(range(len(scores))) - set(there)

    def test_blocks_change_nothing(self, noise: Searcher, monkeypatch: pytest.MonkeyPatch) -> None:
        view, table = noise.collection.view_with_items()
        vector = NoiseEncoder().encode_texts(["x"])[0]
        whole = best_rows(noise.collection, view, table, "text", vector)
        blocks = noise.collection.vector_blocks
        monkeypatch.setattr(noise.collection, "vector_blocks", lambda *given: blocks(*given, 7))
        parts = best_rows(noise.collection, view, table, "text", vector)
        np.testing.assert_allclose(parts.scores, whole.scores, atol=1e-6)
        assert np.array_equal(parts.owners, whole.owners)


@pytest.fixture(scope="module")
def noise_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("noise") / "collection"
    items = [SourceItem(f"i{n}", f"title {n}", (), texts={"description": f"about {n}"}) for n in range(120)]
    fill(folder, items)
    return folder


@pytest.fixture
def noise(noise_folder: Path) -> Iterator[Searcher]:
    with Searcher.open(noise_folder, NoiseEncoder()) as opened:
        yield opened


class TestOutcomes:
    def test_a_hit(self, searcher: Searcher) -> None:
        found = why(searcher, "sku-red")
        assert found.is_hit and found.outcome == Outcome("hit", "it is hit 1", {"rank": 1})

    def test_below_the_cut_with_the_margin(self, searcher: Searcher) -> None:
        found = why(searcher, "sku-blue", k=3)
        hits = searcher.search("red", k=50).hits
        mine = next(hit for hit in hits if hit.item_id == "sku-blue")
        assert found.outcome.step == "below_cut" and not found.is_hit
        assert mine.score is not None and hits[2].score is not None
        assert found.outcome.facts["rank"] == mine.rank > 3
        assert found.outcome.facts["score"] == pytest.approx(mine.score, abs=1e-5)
        assert found.outcome.facts["last_rank"] == 3
        assert f"{hits[2].score - mine.score:.3f} too little" in found.outcome.said

    def test_on_an_earlier_page(self, searcher: Searcher) -> None:
        found = why(searcher, "sku-red", k=2, offset=2)
        assert found.outcome.step == "earlier_page"
        assert found.outcome.facts == {"rank": 1}

    def test_on_the_second_page(self, searcher: Searcher) -> None:
        third = searcher.search("red", k=3).hits[2]
        assert why(searcher, third.item_id, k=2, offset=2).outcome.facts == {"rank": 3}

    def test_nothing_to_compare(self, searcher: Searcher) -> None:
        found = why(searcher, "sku-none")
        assert found.outcome.step == "nothing_to_compare" and "no photo" in found.outcome.said
        assert found.places == ()
        assert why(searcher, "sku-none", by="text").is_hit

    def test_the_filter_names_each_clause_and_what_the_item_has(self, searcher: Searcher) -> None:
        asked = 'price < 50 and brand = "even" and tags = "a"'
        found = why(searcher, "sku-cyan", filter=asked)  # price 50, brand odd
        assert found.outcome.step == "filter"
        assert found.outcome.facts["failed"] == ["price < 50", 'brand = "even"']
        assert [(clause.passed, dict(clause.values)) for clause in found.clauses] == [
            (False, {"price": 50}),
            (False, {"brand": "odd"}),
            (True, {"tags": ["a", "cyan"]}),
        ]
        (leg,) = found.places
        assert leg.matching_rank is None and leg.rank > 1
        assert found.matching == leg.matching < found.items

    def test_a_filter_that_is_one_or(self, searcher: Searcher) -> None:
        found = why(searcher, "sku-cyan", filter='price > 60 or brand = "even"')
        (clause,) = found.clauses
        assert not clause.passed and dict(clause.values) == {"price": 50, "brand": "odd"}

    def test_a_value_that_is_missing(self, searcher: Searcher) -> None:
        found = why(searcher, "sku-none", by="text", filter='brand = "even"')
        assert found.outcome.step == "filter"
        assert dict(found.clauses[0].values) == {"brand": None}

    def test_a_filter_that_fits_no_field(self, searcher: Searcher) -> None:
        with pytest.raises(FilterError, match="colour"):
            why(searcher, "sku-red", filter='colour = "red"')

    def test_a_near_duplicate_of_a_better_hit(self, searcher: Searcher) -> None:
        found = why(searcher, "sku-nearly-red", duplicates=0.99)
        assert found.outcome.step == "duplicate"
        assert found.outcome.facts["behind"] == "sku-red" and found.outcome.facts["behind_rank"] == 1
        assert found.outcome.facts["cosine"] > 0.999
        assert why(searcher, "sku-nearly-red").is_hit

    def test_an_item_that_the_query_names(self, searcher: Searcher) -> None:
        found = explain(searcher, Query((Part(item="sku-red"),)), "sku-red")
        assert found.outcome.step == "asked_by"

    def test_diversity(self, searcher: Searcher) -> None:
        plain = why(searcher, "sku-nearly-red", k=2)
        found = why(searcher, "sku-nearly-red", k=2, diversity=0.9)
        assert plain.is_hit and found.outcome.step == "diversity"

    def test_another_of_its_group_is_shown(self, searcher: Searcher) -> None:
        found = why(searcher, "sku-nearly-red", group="brand")  # red is even too, and better
        assert found.outcome.step == "group"
        assert found.outcome.facts == {"behind": "sku-red", "behind_rank": 1, "group": "even"}
        assert why(searcher, "sku-red", group="brand").is_hit

    def test_too_little_confidence(self, searcher: Searcher) -> None:
        hits = {hit.item_id: hit.confidence for hit in searcher.search("red", k=50).hits}
        least = hits["sku-cyan"]
        assert least is not None and least < 0.9
        found = why(searcher, "sku-cyan", k=50, min_confidence=0.9)
        assert found.outcome.step == "min_confidence"
        assert found.outcome.facts["confidence"] == pytest.approx(least, abs=1e-5)
        for item_id, confidence in hits.items():  # of hits and of others the one that search states
            assert why(searcher, item_id, k=1).confidence == pytest.approx(confidence, abs=1e-5)

    def test_a_hybrid_search_has_three_legs(self, searcher: Searcher) -> None:
        hits = searcher.search("red thing", by="hybrid", k=50).hits
        for hit in hits:
            found = why(searcher, hit.item_id, "red thing", by="hybrid", k=2)
            assert {place.leg: place.rank for place in found.places} == {
                leg: int(values["rank"]) for leg, values in hit.legs.items()
            }
            assert found.is_hit == (hit.rank <= 2)
            if not found.is_hit:
                assert found.outcome.step == "below_cut" and found.outcome.facts["rank"] == hit.rank
                assert found.outcome.facts["score"] == pytest.approx(hit.score, abs=1e-5)
            assert found.confidence == pytest.approx(hit.confidence, abs=1e-5)

    def test_by_words_alone(self, searcher: Searcher) -> None:
        found = why(searcher, "sku-none", "red", by="lexical")
        assert found.is_hit and [place.leg for place in found.places] == ["lexical"]
        other = why(searcher, "sku-blue", "red", by="lexical")
        assert other.outcome.step == "no_words_match" and other.places == ()
        filtered = why(searcher, "sku-red", "red", by="lexical", filter="price > 0")
        assert filtered.outcome.step == "filter" and filtered.places[0].matching_rank is None

    def test_a_sorted_answer(self, searcher: Searcher) -> None:
        found = why(searcher, "sku-black", k=2, sort=("price",))
        assert found.outcome.step == "below_cut"
        assert found.outcome.facts["rank"] == 10  # dearest of ten

    def test_a_list_that_asks_for_nothing(self, searcher: Searcher) -> None:
        listed = Query(filter="price < 60", k=3)
        assert explain(searcher, listed, "sku-red").is_hit
        assert explain(searcher, listed, "sku-black").outcome.step == "filter"
        behind = explain(searcher, listed, "sku-none")
        assert behind.outcome.step == "below_cut" and behind.places == () and behind.confidence is None
        assert behind.outcome.said == "it is number 8; the last hit asked for is number 3"

    def test_an_index_miss(self, tmp_path: Path) -> None:
        """The only approximate index here misses some of what it should find, and search does not say which."""
        titles = [f"t{n}" for n in range(3_000)]
        fill(tmp_path / "c", worded(*titles), exact_rows=500)
        encoder = NoiseEncoder()
        ids, vectors = stored(tmp_path / "c", "text")
        with Searcher.open(tmp_path / "c", encoder) as searcher:
            _, table = searcher.collection.view_with_items()
            for number in range(300):
                best = slow_search(ids, vectors, encoder.encode_texts([f"q{number}"]), 10).ids[0]
                best_items = [titles[i] for i in table.items_of("text", best)]
                hits = {hit.item_id for hit in searcher.search(f"q{number}", by="text").hits}
                missed = [each for each in best_items if each not in hits]
                if missed:
                    break
            found = why(searcher, missed[0], f"q{number}", by="text")
            rank = best_items.index(missed[0]) + 1
            assert found.outcome.step == "index_miss"
            assert found.outcome.facts == {"rank": rank} and found.places[0].rank == rank


class TestRules:
    @pytest.fixture
    def ruled(self, shop: Path, tmp_path: Path) -> Iterator[Searcher]:
        folder = shutil.copytree(shop / "collection", tmp_path / "collection")
        rules = """version: 1
hides: [{items: [sku-orange]}]
boosts: [{add: 1, when: price = 20}]
pins: [{query: red, items: [sku-white]}]
"""
        apply_rules(folder, rules.encode(), name="rules.yaml")
        with Searcher.open(folder, ColourEncoder()) as opened:
            yield opened

    def test_hidden(self, ruled: Searcher) -> None:
        found = why(ruled, "sku-orange")
        assert found.outcome.step == "hidden" and found.outcome.facts == {"rules": ["hides[0]"]}
        (leg,) = found.places
        assert leg.matching_rank is None and leg.rank <= 3  # it would be high up

    def test_pinned_and_boosted_items_are_where_search_puts_them(self, ruled: Searcher) -> None:
        hits = ruled.search("red", k=50).hits
        assert hits[0].item_id == "sku-white"
        for hit in hits:
            found = why(ruled, hit.item_id, k=2)
            assert found.is_hit == (hit.rank <= 2)
            assert found.outcome.facts["rank"] == hit.rank
            if found.is_hit:
                assert found.rules == hit.rules
        assert any(rule.startswith("pins") for rule in why(ruled, "sku-white").rules)
        assert any(rule.startswith("boosts[0] +") for rule in why(ruled, "sku-blue").rules)


class TestMeanwhile:
    """The collection is written to while an item is looked at."""

    @pytest.fixture
    def twenty(self, tmp_path: Path) -> Iterator[Searcher]:
        fill(tmp_path / "c", self.items(20), NoiseEncoder())
        with Searcher.open(tmp_path / "c", NoiseEncoder()) as opened:
            yield opened

    def items(self, count: int) -> list[SourceItem]:
        return [SourceItem(f"i{n}", f"title {n}", (), attributes={"brand": "same"}) for n in range(count)]

    @pytest.mark.parametrize("others", [{}, {"group": "brand"}, {"duplicates": 0.1}], ids=["plain", "group", "alike"])
    @pytest.mark.parametrize("count", [21, 18], ids=["added", "deleted"])
    def test_what_was_found_later_is_not_looked_up_in_what_was_read_before(
        self, twenty: Searcher, others: dict[str, Any], count: int
    ) -> None:
        inquiry = Inquiry(twenty, Query.of("title 20", by="text", k=30, **others), "i3")
        assert len(inquiry.table) == 20
        fill(twenty.collection.folder, self.items(count), NoiseEncoder())
        with pytest.raises(CollectionChanged, match="i3"):
            decided(inquiry)

    def test_the_words_are_of_the_same_revision(self, twenty: Searcher) -> None:
        inquiry = Inquiry(twenty, Query.of("title", by="lexical"), "i3")
        fill(twenty.collection.folder, self.items(21), NoiseEncoder())
        with pytest.raises(CollectionChanged):
            _ = inquiry.places

    def test_hits_that_the_table_does_not_have(self, twenty: Searcher) -> None:
        inquiry = Inquiry(twenty, Query.of("title", by="text"), "i3")
        with pytest.raises(CollectionChanged):
            inquiry.positions([Hit(rank=1, item_id="i20", score=1.0, title="", photo=None)])
        assert inquiry.positions([]) == []

    def test_an_explanation_is_of_one_revision(self, twenty: Searcher, monkeypatch: pytest.MonkeyPatch) -> None:
        written = []

        def late(inquiry: Inquiry) -> Outcome:
            if not written:
                written.append(fill(twenty.collection.folder, self.items(21), NoiseEncoder()))
            return decided(inquiry)

        monkeypatch.setattr("retrieval.explain.why.decided", late)
        found = why(twenty, "i3", "title 20", by="text", group="brand")
        assert found.items == 20
        assert found.outcome.facts["behind"] != "i20"
        assert why(twenty, "i3", "title 20", by="text", group="brand").outcome.facts["behind"] == "i20"


class TestBadInput:
    def test_an_unknown_item_and_ids_like_it(self, searcher: Searcher) -> None:
        with pytest.raises(QueryError, match="no item 'sku-rad'") as raised:
            why(searcher, "sku-rad")
        assert "sku-red" in raised.value.hint

    @pytest.mark.parametrize("item_id", ["", "x" * 5_000, "sku-red\0", "'; DROP TABLE items"])
    def test_ids_that_are_none(self, searcher: Searcher, item_id: str) -> None:
        with pytest.raises(QueryError, match="no item"):
            why(searcher, item_id)

    def test_a_query_by_picture(self, searcher: Searcher, shop: Path) -> None:
        found = explain(searcher, Query.of(image=shop / "green.png"), "sku-green")
        assert found.is_hit and found.query["parts"] == [{"image": str(shop / "green.png")}]

    def test_a_query_by_embedding(self, searcher: Searcher) -> None:
        vector = tuple(unit_rows(np.array([[0.4, -0.4, -0.4, 0.25]]))[0].tolist())
        assert explain(searcher, Query((Part(vector=vector),)), "sku-red").is_hit


def test_as_json(searcher: Searcher) -> None:
    found = why(searcher, "sku-cyan", filter="price < 50").to_json()
    assert json.loads(json.dumps(found)) == found
    assert found["outcome"]["step"] == "filter"
    assert found["legs"]["image"]["of"] == 10
    assert found["filter"] == [{"clause": "price < 50", "passed": False, "values": {"price": 50}}]


class TestValues:
    def rows(self) -> list[dict[str, Any]]:
        return [
            {
                "item_id": f"i{n}",
                "price": n / 2,
                "brand": "odd" if n % 2 else "even",
                "new": n > 3,
                "tags": ["a", f"t{n}"],
            }
            for n in range(6)
        ] + [{"item_id": "bare"}]

    def test_one_value_is_that_of_the_whole_column(self) -> None:
        rows = self.rows()
        table = ItemTable.of_rows(rows)
        for name in ("item_id", "price", "brand", "new", "tags", "unknown"):
            found = [value_at(table, name, position) for position in range(len(table))]
            assert found == [row.get(name) for row in rows]
        assert [type(value_at(table, "price", position)) for position in (2, 3)] == [int, float]

    def test_no_column_becomes_a_list_and_no_key_is_asked_for_alone(
        self, searcher: Searcher, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        inquiry = Inquiry(
            searcher, Query.of("red", group="brand", filter='tags = "a" or price < 900'), "sku-nearly-red"
        )

        def never(*_: object) -> Any:
            raise AssertionError

        for kind in (NumberColumn, TextColumn, ListColumn):
            monkeypatch.setattr(kind, "tolist", never)
        monkeypatch.setattr(searcher.collection, "item_key", never)
        assert decided(inquiry).step == "group"
        assert dict(inquiry.clauses[0].values) == {"tags": None, "price": 7}

    def test_places_by_id(self) -> None:
        table = ItemTable.of_rows(self.rows())
        assert places_of(table, ["i4", "none", "bare", "i4", "i0"]).tolist() == [4, NO_ID, 6, 4, 0]
        assert places_of(table, []).tolist() == []
        assert places_of(ItemTable.of_rows([]), ["i4"]).tolist() == [NO_ID]
