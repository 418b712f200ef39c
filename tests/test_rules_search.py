"""Rules in a whole search, against the slow way: every item's score and boost, sorted, pins put in by hand."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexer.rules import apply_rules
from indexer.sources.base import SourceItem
from retrieval.query import Query
from retrieval.query.value import Part
from retrieval.rules.ruleset import RuleSet
from retrieval.rules.schema import parse
from retrieval.search import Searcher
from tests.listed import NoiseEncoder, fill, stored

COUNT = 60
IDS = [f"sku-{number:02d}" for number in range(COUNT)]
STOCK = [number % 7 for number in range(COUNT)]


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("noise")
    fill(folder, [SourceItem(IDS[n], f"title {n}", (), attributes={"stock": STOCK[n]}) for n in range(COUNT)])
    return folder


@pytest.fixture(scope="module")
def searcher(collection: Path) -> Iterator[Searcher]:
    with Searcher.open(collection, NoiseEncoder()) as opened:
        yield opened


@pytest.fixture(scope="module")
def cosines(collection: Path) -> dict[str, np.ndarray]:
    _, vectors = stored(collection, "text")
    return {words: vectors @ NoiseEncoder().encode_texts([words])[0] for words in ("red dress", "hat")}


def slow(
    cosines: np.ndarray, boosts: list[float], hidden: set[int], allowed: set[int], pins: list[tuple[int, int]]
) -> list[str]:
    """The whole ranking."""
    shown = [n for n in range(COUNT) if n in allowed and n not in hidden]
    wanted: dict[int, int] = {}
    for item, place in pins:
        if item in shown and item not in wanted.values():
            wanted[min(set(range(place, place + COUNT)) - wanted.keys())] = item
    ranking = sorted((n for n in shown if n not in wanted.values()), key=lambda n: -(cosines[n] + boosts[n]))
    for place, item in sorted(wanted.items()):
        ranking.insert(place - 1, item)  # behind the last where it has no such place
    return [IDS[n] for n in ranking]


numbers = st.integers(0, COUNT - 1)


@settings(max_examples=40, deadline=None)
@given(
    words=st.sampled_from(["red dress", "hat"]),
    boosts=st.lists(st.tuples(numbers, st.sampled_from([-0.9, -0.2, 0.05, 0.3, 0.95])), max_size=4),
    by_stock=st.sampled_from([0, 0.1, -0.15]),
    hides=st.sets(numbers, max_size=5),
    pins=st.lists(st.tuples(numbers, st.integers(1, 15)), max_size=4),
    low=st.integers(0, 6),
    k=st.integers(3, 25),
)
def test_every_page_is_that_of_the_slow_way(
    searcher: Searcher,
    cosines: dict[str, np.ndarray],
    words: str,
    boosts: list[tuple[int, float]],
    by_stock: float,
    hides: set[int],
    pins: list[tuple[int, int]],
    low: int,
    k: int,
) -> None:
    lines = ["version: 1", "boosts:", f"- {{add: {by_stock} * stock}}"]
    lines += [f"- {{add: {add}, when: item_id = '{IDS[n]}', query: red dress}}" for n, add in boosts]
    lines += ["hides:", *(f"- {{items: {IDS[n]}}}" for n in hides)]
    lines += ["pins:", *(f"- {{query: {{contains: dress}}, id: {IDS[n]}, place: {place}}}" for n, place in pins)]
    rules = RuleSet(parse("\n".join(lines).encode(), "rules.yaml"))
    total = [np.clip(by_stock * stock, -1, 1) for stock in STOCK]
    if words == "red dress":
        for n, add in boosts:
            total[n] += add
    total = [float(np.clip(one, -1, 1)) for one in total]
    allowed = {n for n in range(COUNT) if STOCK[n] >= low}
    wanted = slow(cosines[words], total, hides, allowed, pins if words == "red dress" else [])
    found = []
    for offset in range(0, len(wanted) + k, k):
        query = Query.of(words, by="text", k=k, offset=offset, filter=f"stock >= {low}")
        hits = searcher.answer(query, rules=rules).hits
        assert [hit.rank for hit in hits] == list(range(offset + 1, offset + 1 + len(hits)))
        found += [hit.item_id for hit in hits]
    assert found == wanted


def test_synonyms_are_searched_with_their_mean(collection: Path, searcher: Searcher) -> None:
    encoder = NoiseEncoder()
    _, vectors = stored(collection, "text")
    mean = encoder.encode_texts(["red dress", "red frock"]).mean(axis=0)
    scores = vectors @ mean / np.linalg.norm(mean)
    rules = RuleSet(parse(b"version: 1\nsynonyms: [[dress, frock]]", "rules.yaml"))
    hits = searcher.answer(Query.of("red dress", by="text", k=COUNT), rules=rules).hits
    assert [hit.item_id for hit in hits] == [IDS[n] for n in np.argsort(-scores)]


def test_a_picture_alone_has_hides_but_no_pins(tmp_path: Path) -> None:
    fill(tmp_path, [SourceItem(IDS[n], f"title {n}", ()) for n in range(5)])
    apply_rules(tmp_path, b"version: 1\nhides: [{items: sku-03}]\npins: [{query: x, items: sku-04}]", name="rules.yaml")
    vector = tuple(NoiseEncoder().encode_texts(["title 3"])[0].tolist())
    with Searcher.open(tmp_path, NoiseEncoder()) as searcher:
        found = [hit.item_id for hit in searcher.answer(Query((Part(vector=vector),), by="text")).hits]
        assert sorted(found) == ["sku-00", "sku-01", "sku-02", "sku-04"]
        hits = searcher.search("x", by="text").hits
        assert hits[0].item_id == "sku-04"
        assert hits[0].rules == ("pins[0]",)
        assert [hit.rules for hit in hits[1:]] == [()] * 3
