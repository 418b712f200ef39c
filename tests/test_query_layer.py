"""The query layer as a whole on real collections, against an oracle that looks at every item in plain Python."""

import json
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from indexer.rules import apply_rules
from indexer.sources.base import SourceItem
from retrieval.errors import FilterError, QueryError
from retrieval.filters import parse as parse_filter
from retrieval.query import Part, Query
from retrieval.rules.ruleset import RuleSet
from retrieval.rules.schema import parse as parse_yaml
from retrieval.search import Answer, Searcher
from retrieval.stages import asked as asked_module
from tests.command_line import Run, runner
from tests.fakes import COLOURS, ColourEncoder, colour_of
from tests.listed import fill, paint

SHADES = [f"{light} {name}".strip() for name in COLOURS for light in ("", "dark", "light")]
BRANDS = ("Acme", "Bolt", None)
SIZES = ("S", "M", "L", "XL")


@dataclass(frozen=True)
class Item:
    """What the oracle knows of an item: its photos' colours, and its fields."""

    item_id: str
    title: str
    shades: tuple[str, ...]
    price: float | None
    brand: str | None
    sizes: tuple[str, ...]

    @property
    def attributes(self) -> dict[str, Any]:
        return {"price": self.price, "brand": self.brand, "sizes": list(self.sizes)}


def made_up(seed: int, count: int) -> list[Item]:
    rng = np.random.default_rng(seed)
    items = []
    for n in range(count):
        shades = tuple(rng.choice(SHADES, size=int(rng.choice([0, 1, 1, 1, 2, 3]))).tolist())
        sizes = tuple(rng.choice(SIZES, size=int(rng.integers(0, 3)), replace=False).tolist())
        price = None if rng.random() < 0.1 else float(rng.integers(1, 100))
        brand = BRANDS[rng.integers(len(BRANDS))]
        items.append(Item(f"sku-{n}", f"{rng.choice(SHADES)} thing", shades, price, brand, sizes))
    return items


def stored(folder: Path, items: list[Item]) -> list[SourceItem]:
    photos = {shade: paint(folder / f"{shade}.png", tuple(map(round, colour_of(shade)))) for shade in SHADES}
    return [
        SourceItem(item.item_id, item.title, tuple(_copies(folder, photos, item)), attributes=item.attributes)
        for item in items
    ]


def _copies(folder: Path, photos: dict[str, Path], item: Item) -> Iterator[Path]:
    for i, shade in enumerate(item.shades):  # a file belongs to one item
        copy = folder / f"{item.item_id}-{i}.png"
        copy.write_bytes(photos[shade].read_bytes())
        yield copy


class Oracle:
    """Looks at every item, one after the other."""

    def __init__(self, items: list[Item]) -> None:
        self.items = items
        self.encoder = ColourEncoder()

    def ranking(self, query: str, passes: Any) -> list[tuple[str, float]]:
        """All that passes and has a photo, by the best photo's cosine; equal ones in any order."""
        vector = self.encoder.encode_texts([query])[0]
        scored = []
        for item in self.items:
            if item.shades and passes(item):
                colours = np.array([[round(c) for c in colour_of(shade)] for shade in item.shades], np.float64)
                scored.append((item.item_id, float((self.encoder._embed(colours) @ vector).max())))
        return sorted(scored, key=lambda one: -one[1])


FILTERS = {
    "price < 50": lambda i: i.price is not None and i.price < 50,
    "price >= 20 and price <= 60": lambda i: i.price is not None and 20 <= i.price <= 60,
    'brand = "Acme"': lambda i: i.brand == "Acme",
    'brand != "Acme"': lambda i: i.brand != "Acme",
    "brand is null": lambda i: i.brand is None,
    'sizes in ("S", "XL")': lambda i: bool({"S", "XL"} & set(i.sizes)),
    'not sizes = "M" or price > 90': lambda i: "M" not in i.sizes or (i.price is not None and i.price > 90),
    'title contains "DARK"': lambda i: "dark" in i.title,
    'item_id = "sku-3"': lambda i: i.item_id == "sku-3",
    "price > 1000": lambda _: False,
}


@dataclass
class Shop:
    searcher: Searcher
    oracle: Oracle


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """150 items in an index file, then 40 of them deleted and 60 new: base + delta - deleted."""
    folder = tmp_path_factory.mktemp("layer")
    items = made_up(1, 150)
    fill(folder / "c", stored(folder, items), ColourEncoder())
    later = [item for n, item in enumerate(items) if n % 4] + [
        Item(f"new-{item.item_id}", item.title, item.shades, item.price, item.brand, item.sizes)
        for item in made_up(2, 60)
    ]
    fill(folder / "c", stored(folder, later), ColourEncoder())
    with Searcher.open(folder / "c", ColourEncoder()) as searcher:
        yield Shop(searcher, Oracle(later))


def same_but_for_ties(found: list[tuple[str, float]], whole: list[tuple[str, float]], offset: int, k: int) -> None:
    """Place by place the scores of the oracle's whole ranking, and each item with its own score, once."""
    assert [score for _, score in found] == pytest.approx([score for _, score in whole[offset : offset + k]], abs=2e-3)
    scores = dict(whole)
    assert [score for _, score in found] == pytest.approx([scores[name] for name, _ in found], abs=2e-3)
    assert len({name for name, _ in found}) == len(found)


def pairs(answer: Answer) -> list[tuple[str, float]]:
    return [(hit.item_id, hit.score or 0.0) for hit in answer.hits]


anywhere = settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


class TestAgainstTheOracle:
    @anywhere
    @given(st.sampled_from(SHADES), st.sampled_from(sorted(FILTERS)), st.integers(1, 40), st.integers(0, 120))
    def test_filters_pages_and_deletes(self, shop: Shop, words: str, asked: str, k: int, offset: int) -> None:
        answer = shop.searcher.search(words, k=k, offset=offset, filter=asked)
        everything = shop.oracle.ranking(words, FILTERS[asked])
        assert answer.matched == len(everything)
        assert answer.exact
        same_but_for_ties(pairs(answer), everything, offset, k)
        assert [hit.rank for hit in answer.hits] == list(range(offset + 1, offset + 1 + len(answer.hits)))

    @anywhere
    @given(st.sampled_from(SHADES), st.sampled_from(sorted(FILTERS)), st.integers(1, 30))
    def test_pages_laid_side_by_side_show_each_item_once(self, shop: Shop, words: str, asked: str, k: int) -> None:
        query = Query.of(words, k=k, filter=asked)
        shown = []
        for number in range(1, 200):
            hits = shop.searcher.answer(query.page(number)).hits
            shown += [hit.item_id for hit in hits]
            if not hits:
                break
        assert len(shown) == len(set(shown)) == len(shop.oracle.ranking(words, FILTERS[asked]))

    @anywhere
    @given(st.sampled_from(SHADES), st.sampled_from(["brand", "price"]), st.integers(1, 12))
    def test_one_hit_a_group(self, shop: Shop, words: str, group: str, k: int) -> None:
        answer = shop.searcher.search(words, k=k, group=group)
        value = {item.item_id: getattr(item, group) for item in shop.oracle.items}
        ranking = shop.oracle.ranking(words, lambda _: True)
        seen = [value[hit.item_id] for hit in answer.hits if value[hit.item_id] is not None]
        assert len(seen) == len(set(seen))
        groups = {value[name] for name, _ in ranking} - {None}
        alone = sum(value[name] is None for name, _ in ranking)
        assert len(answer.hits) == min(k, len(groups) + alone)
        for hit in answer.hits:  # each is the best of its group
            if value[hit.item_id] is not None:
                best = max(score for name, score in ranking if value[name] == value[hit.item_id])
                assert hit.score == pytest.approx(best, abs=2e-3)

    @anywhere
    @given(st.sampled_from(["price", "-price", "title,-price"]), st.integers(1, 30), st.integers(0, 150))
    def test_all_that_matches_in_the_order_of_a_field(self, shop: Shop, sort: str, k: int, offset: int) -> None:
        answer = shop.searcher.answer(Query(k=k, offset=offset, sort=(sort,), filter="price is not null"))
        having = [item for item in shop.oracle.items if item.price is not None]
        by = {"price": lambda i: i.price, "-price": lambda i: -i.price, "title,-price": lambda i: (i.title, -i.price)}
        expected = sorted(having, key=by[sort])[offset : offset + k]
        found = {item.item_id: item for item in having}
        assert [by[sort](found[hit.item_id]) for hit in answer.hits] == [by[sort](item) for item in expected]
        assert {hit.score for hit in answer.hits} <= {None}
        assert answer.matched == len(having)

    def test_the_best_hits_in_the_order_of_a_field(self, shop: Shop) -> None:
        answer = shop.searcher.search("red", k=5, sort=("-price",), min_confidence=0.0)
        prices = sorted((item.price for item in shop.oracle.items if item.price and item.shades), reverse=True)
        assert [hit.attributes["price"] for hit in answer.hits] == prices[:5]
        assert all(hit.score is not None for hit in answer.hits)

    def test_facets_count_what_matched_and_not_what_is_shown(self, shop: Shop) -> None:
        answer = shop.searcher.search("red", k=2, filter="price < 50", facets=("brand", "sizes", "price:0,25,50"))
        matching = [item for item in shop.oracle.items if FILTERS["price < 50"](item) and item.shades]
        brand, sizes, price = answer.facets
        assert {one.value: one.count for one in brand.values} == {
            name: sum(item.brand == name for item in matching) for name in ("Acme", "Bolt")
        }
        assert {one.value: one.count for one in sizes.values} == {
            size: sum(size in item.sizes for item in matching) for size in SIZES
        }
        assert [one.count for one in price.ranges if one.low is not None] == [
            sum(item.price < 25 for item in matching if item.price is not None),
            sum(item.price >= 25 for item in matching if item.price is not None),
        ]

    def test_what_no_item_has_is_said(self, shop: Shop) -> None:
        answer = shop.searcher.search("red", filter='brand = "acme"')
        assert (answer.hits, answer.matched, answer.nothing_fits) == ((), 0, None)
        assert answer.notes == ('no item has brand = "acme"; there is "Acme"',)


class TestHybrid:
    def test_every_leg_is_shown_and_adds_up(self, shop: Shop) -> None:
        answer = shop.searcher.search("dark red thing", by="hybrid", k=20)
        assert len(answer.hits) == 20
        for hit in answer.hits:
            assert sum(leg["added"] for leg in hit.legs.values()) == pytest.approx(hit.score, abs=1e-5)
        assert {name for hit in answer.hits for name in hit.legs} == {"image", "text", "lexical"}
        assert [hit.score for hit in answer.hits] == sorted((hit.score or 0 for hit in answer.hits), reverse=True)

    def test_scores_do_not_hang_on_the_page(self, tmp_path: Path) -> None:
        items = [
            Item(f"i{n}", f"{SHADES[n % len(SHADES)]} {n}", (SHADES[(7 * n) % len(SHADES)],), 1, None, ())
            for n in range(450)
        ]
        fill(tmp_path / "c", stored(tmp_path, items), ColourEncoder())
        with Searcher.open(tmp_path / "c", ColourEncoder()) as searcher:
            whole = searcher.search("dark red 3", by="hybrid", k=450)
            first = searcher.search("dark red 3", by="hybrid", k=10)
            paged = [
                hit
                for n in range(1, 10)
                for hit in searcher.answer(Query.of("dark red 3", by="hybrid", k=50).page(n)).hits
            ]
        assert first.hits == whole.hits[:10]
        assert [hit.score for hit in paged] == sorted((hit.score or 0 for hit in paged), reverse=True)
        assert len({hit.item_id for hit in paged}) == 450
        assert not first.exact

    def test_a_filter_holds_for_every_leg(self, shop: Shop) -> None:
        for by in ("image", "text", "lexical", "hybrid"):
            answer = shop.searcher.search("dark red", by=by, k=100, filter='brand = "Bolt"')
            assert answer.hits
            assert {hit.attributes["brand"] for hit in answer.hits} == {"Bolt"}

    def test_pages_do_not_overlap(self, shop: Shop) -> None:
        query = Query.of("dark red", by="hybrid", k=7)
        shown = [hit.item_id for n in range(1, 60) for hit in shop.searcher.answer(query.page(n)).hits]
        assert len(shown) == len(set(shown)) == shop.searcher.answer(query).matched

    def test_words_alone_find_titles(self, shop: Shop) -> None:
        answer = shop.searcher.search("purple", by="lexical", k=100)
        expected = {item.item_id for item in shop.oracle.items if "purple" in item.title}
        assert {hit.item_id for hit in answer.hits} == expected
        assert {hit.cosine for hit in answer.hits} == {None}
        assert answer.plan == "bm25"

    def test_words_that_are_nowhere_find_nothing(self, shop: Shop) -> None:
        assert shop.searcher.search("zzzz", by="lexical").hits == ()

    def test_a_picture_needs_no_words(self, shop: Shop, tmp_path: Path) -> None:
        photo = paint(tmp_path / "a.png", COLOURS["red"])
        answer = shop.searcher.search(image=photo, by="hybrid", k=3)
        assert {name for hit in answer.hits for name in hit.legs} == {"image", "text"}
        assert len(answer.hits) == 3


class TestConfidence:
    def test_hits_that_are_less_sure_are_left_out(self, shop: Shop) -> None:
        everything = shop.searcher.search("red", k=200).hits
        sure = [hit for hit in everything if (hit.confidence or 0) >= 0.9]
        assert 0 < len(sure) < len(everything)
        assert shop.searcher.search("red", k=200, min_confidence=0.9).hits == tuple(sure)

    def test_boosts_and_fusion_do_not_hide_the_sure(self, shop: Shop) -> None:
        sure = {hit.item_id for hit in shop.searcher.search("red", k=200, min_confidence=0.9).hits}
        rules = RuleSet(parse_yaml(b"version: 1\nboosts: [{when: 'title contains \"blue\"', add: 1}]\n", "rules.yaml"))
        boosted = shop.searcher.answer(Query.of("red", k=200, min_confidence=0.9), rules=rules)
        assert {hit.item_id for hit in boosted.hits} == sure
        hybrid = shop.searcher.search("red", by="hybrid", k=200, min_confidence=0.9)
        assert all((hit.confidence or 0) >= 0.9 for hit in hybrid.hits)
        assert sure <= {hit.item_id for hit in hybrid.hits}
        assert len(hybrid.hits) > 12
        for k in (1, 3, 12):
            few = shop.searcher.search("red", by="hybrid", k=k, min_confidence=0.9)
            assert few.hits == hybrid.hits[:k]

    def test_what_has_no_confidence_cannot_be_asked_for_one(self, shop: Shop) -> None:
        with pytest.raises(QueryError, match="how sure a hit is, is not known"):
            shop.searcher.answer(Query((Part(vector=(1, 0, 0, 0)),), min_confidence=0.5))


class TestRules:
    RULES = """
version: 1
synonyms: [[crimson, red]]
boosts: [{when: 'brand = "Bolt"', add: 0.2}]
pins: [{query: red, items: [new-sku-5, sku-1]}]
hides: [{when: 'title contains "white"'}]
"""

    def ranked(self, shop: Shop, words: str) -> list[tuple[str, float]]:
        brand = {item.item_id: item.brand for item in shop.oracle.items}
        shown = shop.oracle.ranking(words, lambda item: "white" not in item.title)
        return sorted(((name, score + 0.2 * (brand[name] == "Bolt")) for name, score in shown), key=lambda one: -one[1])

    def test_boosts_and_hides(self, shop: Shop) -> None:
        rules = RuleSet(parse_yaml(self.RULES.encode(), "rules.yaml"))
        for words in ("blue", "dark green", "light orange"):
            for k in (1, 5, 50):
                answer = shop.searcher.answer(Query.of(words, k=k), rules=rules)
                same_but_for_ties(pairs(answer), self.ranked(shop, words), 0, k)
        boosted = [hit for hit in answer.hits if hit.attributes["brand"] == "Bolt"]
        assert boosted
        assert all(hit.rules == ("boosts[0] +0.2",) for hit in boosted)
        assert all(hit.score == pytest.approx(hit.cosine + 0.2, abs=1e-5) for hit in boosted if hit.cosine)

    def test_pins_stand_first_on_every_page(self, shop: Shop) -> None:
        rules = RuleSet(parse_yaml(self.RULES.encode(), "rules.yaml"))
        shown = []
        for number in range(1, 60):
            shown += [hit.item_id for hit in shop.searcher.answer(Query.of("red", k=7).page(number), rules=rules).hits]
        hidden = {item.item_id for item in shop.oracle.items if "white" in item.title}
        pinned = [name for name in ("new-sku-5", "sku-1") if name not in hidden]
        assert shown[: len(pinned)] == pinned
        assert len(shown) == len(set(shown))
        assert not hidden & set(shown)

    def test_a_pin_that_the_filter_keeps_out_is_not_shown(self, shop: Shop) -> None:
        rules = RuleSet(parse_yaml(self.RULES.encode(), "rules.yaml"))
        answer = shop.searcher.answer(Query.of("red", k=5, filter='item_id != "sku-1"'), rules=rules)
        assert "sku-1" not in {hit.item_id for hit in answer.hits}

    def test_a_pin_in_a_hybrid_search_leaves_the_others_as_they_are(self, shop: Shop) -> None:
        rules = RuleSet(parse_yaml(b"version: 1\npins: [{query: dark red, items: [sku-1]}]\n", "rules.yaml"))
        query = Query.of("dark red", by="hybrid", k=8)
        pinned, plain = shop.searcher.answer(query, rules=rules), shop.searcher.answer(query)
        assert pinned.hits[0].item_id == "sku-1"
        others = [(hit.item_id, hit.score, hit.legs) for hit in pinned.hits if hit.item_id != "sku-1"]
        expected = [(hit.item_id, hit.score, hit.legs) for hit in plain.hits if hit.item_id != "sku-1"]
        assert others == expected[: len(others)]
        assert pinned.nothing_fits == plain.nothing_fits

    def test_a_pinned_item_stands_for_its_group(self, shop: Shop) -> None:
        bolt = next(item.item_id for item in shop.oracle.items if item.brand == "Bolt" and item.shades)
        yaml = f"version: 1\npins: [{{query: red, items: [{bolt}]}}]\n"
        rules = RuleSet(parse_yaml(yaml.encode(), "rules.yaml"))
        answer = shop.searcher.answer(Query.of("red", k=30, group="brand"), rules=rules)
        assert [hit.item_id for hit in answer.hits if hit.attributes["brand"] == "Bolt"] == [bolt]

    def test_an_item_that_the_query_names_is_not_pinned(self, shop: Shop) -> None:
        liked = next(item.item_id for item in shop.oracle.items if item.shades)
        rules = RuleSet(parse_yaml(f"version: 1\npins: [{{query: red, items: [{liked}]}}]\n".encode(), "rules.yaml"))
        answer = shop.searcher.answer(Query((Part(words="red"), Part(item=liked)), k=5), rules=rules)
        assert liked not in {hit.item_id for hit in answer.hits}

    def test_synonyms_are_said_where_they_are_used(self, shop: Shop) -> None:
        rules = RuleSet(parse_yaml(b"version: 1\nsynonyms: [[dark red, crimson]]\n", "rules.yaml"))
        apart = Query((Part(words="dark"), Part(words="red")), k=1)
        assert shop.searcher.answer(apart, rules=rules).hits[0].rules == ()
        taken_away = Query((Part(words="blue"), Part(words="dark red", weight=-0.5)), k=1)
        assert shop.searcher.answer(taken_away, rules=rules).hits[0].rules == ("synonyms[0]",)

    def test_synonyms_search_in_both_ways(self, shop: Shop) -> None:
        rules = RuleSet(parse_yaml(self.RULES.encode(), "rules.yaml"))
        lexical = shop.searcher.answer(Query.of("crimson", k=100, by="lexical"), rules=rules)
        assert {hit.item_id for hit in lexical.hits} == {
            item.item_id for item in shop.oracle.items if "red" in item.title and "white" not in item.title
        }
        by_photo = shop.searcher.answer(Query.of("crimson", k=1), rules=rules)
        assert by_photo.hits[0].rules[0] == "synonyms[0]"
        alone = RuleSet(parse_yaml(b"version: 1\nsynonyms: [[crimson, red]]\n", "rules.yaml"))
        assert shop.searcher.answer(Query.of("crimson", k=1), rules=alone).hits[0].rules == ("synonyms[0]",)

    def test_applied_rules_hold_for_the_next_search(self, tmp_path: Path) -> None:
        fill(tmp_path / "c", stored(tmp_path, made_up(3, 12)), ColourEncoder())
        with Searcher.open(tmp_path / "c", ColourEncoder()) as searcher:
            before = searcher.search("red", k=12).hits
            hide = f"version: 1\nhides: [{{items: [{before[0].item_id}]}}]\n"
            apply_rules(tmp_path / "c", hide.encode(), name="rules.yaml")
            after = searcher.search("red", k=12).hits
        assert [hit.item_id for hit in after] == [hit.item_id for hit in before[1:]]


class TestWhatAnAnswerSays:
    def test_nothing_fits_is_said_of_all_that_was_searched(self, shop: Shop) -> None:
        red = shop.searcher.search("red")
        assert red.nothing_fits is False
        for changed in ({"sort": ("price",), "k": 1}, {"offset": 3}, {"min_confidence": 1.0}, {"group": "brand"}):
            assert shop.searcher.search("red", **changed).nothing_fits is False

    def test_nothing_fits(self, tmp_path: Path) -> None:
        fill(tmp_path / "c", stored(tmp_path, [Item("a", "blue", ("blue",), 1, None, ())]), ColourEncoder())
        with Searcher.open(tmp_path / "c", ColourEncoder()) as searcher:
            assert searcher.search("yellow").nothing_fits is True
            assert searcher.search("yellow", min_confidence=1.0).nothing_fits is True
            assert searcher.search("yellow", by="hybrid").nothing_fits is True

    def test_matched_is_what_could_be_shown(self, tmp_path: Path) -> None:
        folder = tmp_path / "c"
        items = [Item(f"p{i}", "", ("red",), 1, None, ()) for i in range(2)]
        items += [Item(f"t{i}", f"red {i}", (), 1, None, ()) for i in range(3)]
        fill(folder, stored(tmp_path, items), ColourEncoder())
        with Searcher.open(folder, ColourEncoder()) as searcher:
            for asked in (None, "price = 1"):
                counts = {
                    by: searcher.search("red", by=by, filter=asked).matched for by in ("image", "text", "lexical")
                }
                assert counts == {"image": 2, "text": 3, "lexical": 3}
                hybrid = searcher.search("red", by="hybrid", filter=asked)
                assert hybrid.matched == len(hybrid.hits) == 5
                assert searcher.search("zzz", by="lexical", filter=asked).matched == 0
                like = searcher.answer(Query((Part(item="p0"),), filter=asked))
                assert (like.matched, [hit.item_id for hit in like.hits]) == (1, ["p1"])
            assert searcher.search("red", facets=("price",)).facets[0].ranges[0].count == 2

    def test_more_than_a_thousand_are_sorted_block_by_block(self, tmp_path: Path) -> None:
        items = [Item(f"i{n}", f"red {n}", (), float(n), None, ()) for n in range(1_100)]
        fill(tmp_path / "c", stored(tmp_path, items), ColourEncoder())
        with Searcher.open(tmp_path / "c", ColourEncoder()) as searcher:
            answer = searcher.search("red", by="text", k=1_100, sort=("-price",))
            pages = [searcher.search("red", by="text", k=550, offset=o, sort=("-price",)).hits for o in (0, 550)]
        assert len({hit.item_id for hit in answer.hits}) == 1_100
        prices = [hit.attributes["price"] for hit in answer.hits]
        assert prices[:1_000] == sorted(prices[:1_000], reverse=True)
        assert prices[1_000:] == sorted(prices[1_000:], reverse=True)
        assert (*pages[0], *pages[1]) == answer.hits

    def test_a_twin_is_shown_once_whatever_was_compared(self, tmp_path: Path) -> None:
        items = [Item(f"i{n}", "red thing", ("red",), 1, None, ()) for n in range(4)]
        fill(tmp_path / "c", stored(tmp_path, items), ColourEncoder())
        with Searcher.open(tmp_path / "c", ColourEncoder()) as searcher:
            for by in ("image", "text", "lexical", "hybrid"):
                assert len(searcher.search("red", by=by, duplicates=0.99).hits) == 1
            assert len(searcher.answer(Query(filter="price = 1", duplicates=0.99)).hits) == 1

    def test_words_alone_take_no_pictures(self) -> None:
        with pytest.raises(QueryError, match="no words"):
            Query((Part(words="red"), Part(item="a")), by="lexical")


class TestWhileAWriterCommits:
    def test_a_search_is_of_one_revision(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Every photo and text changes between ranking and hits: all of the answer is of the revision before."""
        first = [Item(f"i{n}", "red", ("red",), 1.0, None, ()) for n in range(8)]
        then = [Item(f"i{n}", "new red", ("dark red",), 1_000.0, None, ()) for n in range(8)]
        fill(tmp_path / "c", stored(tmp_path, first), ColourEncoder())
        (tmp_path / "later").mkdir()
        later = stored(tmp_path / "later", then)
        ranked = asked_module.Asked.ranking

        def late(asked: asked_module.Asked) -> Any:
            ranking = ranked(asked)
            fill(tmp_path / "c", later, ColourEncoder())
            return ranking

        with Searcher.open(tmp_path / "c", ColourEncoder()) as searcher:
            searcher.search("red", filter="price < 5")
            monkeypatch.setattr(asked_module.Asked, "ranking", late)
            answer = searcher.search("red", filter="price < 5", k=8)
            monkeypatch.undo()
            assert (len(answer.hits), answer.matched) == (8, 8)
            assert {(hit.title, hit.attributes["price"]) for hit in answer.hits} == {("red", 1.0)}
            newer = searcher.search("red", filter="price < 5")
            assert (newer.hits, newer.revision > answer.revision) == ((), True)

    def test_many_readers_beside_a_writer_see_whole_revisions(self, tmp_path: Path) -> None:
        versions = [[Item(f"i{n}", f"red {v}", ("red",), float(v), None, ()) for n in range(6)] for v in range(12)]
        fill(tmp_path / "c", stored(tmp_path, versions[0]), ColourEncoder())
        sources = []
        for v, items in enumerate(versions):
            (tmp_path / str(v)).mkdir()
            sources.append(stored(tmp_path / str(v), items))
        with Searcher.open(tmp_path / "c", ColourEncoder()) as searcher, ThreadPoolExecutor(3) as threads:
            writing = threads.submit(lambda: [fill(tmp_path / "c", source, ColourEncoder()) for source in sources])

            def read() -> list[Answer]:
                answers = []
                while not writing.done():
                    for by in ("image", "hybrid"):
                        answer = searcher.search("red", by=by, filter="price >= 0", k=6)
                        answers.append(answer)
                return answers

            reading = [threads.submit(read) for _ in range(2)]
            writing.result()
            answers = [answer for one in reading for answer in one.result()]
        assert answers
        for answer in answers:
            assert len(answer.hits) == answer.matched == 6
            assert all(hit.title == f"red {hit.attributes['price']:.0f}" for hit in answer.hits)

    def test_a_collection_made_again_has_its_own_words(self, tmp_path: Path) -> None:
        fill(tmp_path / "c", stored(tmp_path, [Item("a", "red shoe", (), 1, None, ())]), ColourEncoder())
        with Searcher.open(tmp_path / "c", ColourEncoder()) as searcher:
            assert [hit.item_id for hit in searcher.search("red", by="lexical").hits] == ["a"]
            shutil.rmtree(tmp_path / "c")
            items = [Item("x", "blue hat", (), 1, None, ()), Item("y", "red shoe", (), 1, None, ())]
            fill(tmp_path / "c", stored(tmp_path, items), ColourEncoder())
            assert [hit.item_id for hit in searcher.search("red", by="lexical").hits] == ["y"]


class TestBadQueries:
    @pytest.mark.parametrize(
        ("fields", "error", "said"),
        [
            ({"filter": "prize < 5"}, FilterError, "no item has a field prize"),
            ({"filter": 'price < "5"'}, FilterError, "price"),
            ({"filter": 'brand = "x'}, FilterError, r"\^"),
            ({"sort": ("prize",)}, FilterError, "prize"),
            ({"sort": ("sizes",)}, FilterError, "is a list"),
            ({"facets": ("prize",)}, FilterError, "prize"),
            ({"facets": ("price:5,1",)}, FilterError, "do not ascend"),
            ({"group": "prize"}, FilterError, "prize"),
            ({"group": "sizes"}, QueryError, "is a list"),
        ],
    )
    def test_are_refused(self, shop: Shop, fields: dict[str, Any], error: type[Exception], said: str) -> None:
        with pytest.raises(error, match=said):
            shop.searcher.search("red", **fields)

    def test_the_filter_is_canonical_in_what_was_asked(self, shop: Shop) -> None:
        answer = shop.searcher.search("red", filter="price<50")
        assert parse_filter(answer.query["filter"]) == parse_filter("price < 50")


class TestOnTheCommandLine:
    @pytest.fixture
    def run(self, shop: Shop, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
        monkeypatch.setattr("retrieval.search.load_encoder", lambda *_, **__: ColourEncoder())
        monkeypatch.setenv("CATALENS_COLLECTION", str(shop.searcher.collection.folder))
        return runner(monkeypatch, capsys)

    def test_facets_that_a_pipe_does_not_show_are_named(self, run: Run) -> None:
        assert "Facets are shown on a terminal, and with --json." in run("search", "red", "--facet", "brand")[2]
        code, out, err = run("search", "red", "--facet", "brand", "--json")
        assert (code, err) == (0, "")
        assert json.loads(out)["facets"][0]["field"] == "brand"

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (["--filter", ""], "the filter"),
            (["--group", ""], "no item has a field"),
            (["--filter", "price > 1000"], "No item that may be shown passes the filter."),
            (["--offset", "5000"], "No hits from place 5,001 on."),
            (["--by", "lexical", "--filter", "price < 50", "zzzz"], "has any of these words"),
        ],
    )
    def test_nothing_is_said_to_be_why(self, run: Run, arguments: list[str], said: str) -> None:
        words = [] if arguments[-1] == "zzzz" else ["red"]
        assert said in run("search", *words, *arguments)[2]

    def test_nothing_fits_is_said(self, tmp_path: Path, run: Run) -> None:
        fill(tmp_path / "c", stored(tmp_path, [Item("a", "blue", ("blue",), 1, None, ())]), ColourEncoder())
        code, out, err = run("search", "yellow", "--collection", str(tmp_path / "c"))
        assert (code, len(out.splitlines())) == (0, 1)
        assert "Nothing fits" in err
