"""From ranked rows to hits: items, pages, groups, near-duplicates and diversity, against slow obvious twins."""

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.arrays import FloatArray, IdArray
from retrieval.encoders.base import unit_rows
from retrieval.index.base import NO_ID
from retrieval.stages.candidates import Candidates, Ranking, growing, items_of_rows, listed
from retrieval.stages.fusion import DEPTH, LegName
from retrieval.stages.legs import Trace, fused
from retrieval.stages.selection import DIVERSE, Selection, marginal_relevance, without_duplicates


def ranking_of(items: list[int], *, gone: frozenset[int] = frozenset()) -> Ranking:
    """Rows 0, 1, 2 … in falling order of score; row i belongs to item items[i], or to none where it is gone."""

    def best(n: int) -> tuple[IdArray, FloatArray]:
        return np.arange(n), 1 - np.arange(n, dtype=np.float32) / 1000

    def keys_of(ids: IdArray) -> IdArray:
        return np.array([NO_ID if i in gone else items[i] for i in ids.tolist()], np.int64)

    return items_of_rows(best, keys_of, len(items), "image")


row_items = st.lists(st.integers(0, 30), max_size=120)


class TestItemsOfRows:
    @given(row_items, st.sets(st.integers(0, 119)), st.integers(1, 40))
    def test_an_item_counts_once_with_its_best_row(self, items: list[int], gone: set[int], wanted: int) -> None:
        first = {item: row for row, item in reversed(list(enumerate(items))) if row not in gone}
        expected = sorted(first, key=lambda item: first[item])
        found = ranking_of(items, gone=frozenset(gone))(wanted)
        assert found.keys.tolist() == expected[:wanted]
        assert found.photos.tolist() == [first[item] for item in expected[:wanted]]
        assert set(found.texts.tolist()) <= {NO_ID}
        if found.complete:
            assert len(found) == len(expected)
        else:
            assert len(found) == wanted


class TestGrowing:
    @given(row_items, st.integers(1, 9))
    def test_it_ends_with_all(self, items: list[int], first: int) -> None:
        *_, last = growing(ranking_of(items), first)
        assert last.complete
        assert sorted(last.keys.tolist()) == sorted(set(items))

    @given(st.integers(1, 5), st.integers(0, 2**32 - 1))
    def test_each_begins_with_the_one_before_it_though_the_index_changes_its_mind(self, first: int, seed: int) -> None:
        rng = np.random.default_rng(seed)

        def fickle(n: int) -> Candidates:
            return replace_complete(listed(rng.permutation(60)[:n]), n >= 60)

        before: list[int] = []
        for found in growing(fickle, first):
            assert found.keys.tolist()[: len(before)] == before
            assert len(set(found.keys.tolist())) == len(found)
            before = found.keys.tolist()


def replace_complete(candidates: Candidates, complete: bool) -> Candidates:
    return Candidates(**{**vars(candidates), "complete": complete})


def scored(keys: list[int]) -> Iterator[Candidates]:
    return growing(ranking_of(keys), 3)


def nothing(candidates: Candidates) -> FloatArray:
    raise AssertionError("no vectors are needed")


class TestFused:
    def test_what_was_cut_off_is_not_the_end(self) -> None:
        """That no sure item lies deeper than the legs looked says nothing of those fused but not asked for."""
        ended: list[bool] = []

        def end() -> bool:
            ended.append(True)
            return True

        legs: dict[LegName, Ranking] = {"image": ranking_of(list(range(500))), "text": ranking_of(list(range(500)))}
        ranking = fused(legs, Trace(), end)
        assert (len(ranking(3)), ranking(3).complete) == (3, False)
        assert (len(ranking(1_000)), ranking(1_000).complete) == (DEPTH, True)
        assert ended

    def test_it_goes_deeper_until_it_is_told(self) -> None:
        legs: dict[LegName, Ranking] = {"image": ranking_of(list(range(500))), "text": ranking_of(list(range(500)))}
        found = fused(legs, Trace())(1_000)
        assert (len(found), found.complete) == (500, True)
        assert found.keys.tolist()[:DEPTH] == fused(legs, Trace())(DEPTH).keys.tolist()


class TestSelection:
    @given(row_items, st.integers(1, 20))
    def test_one_of_each_group(self, items: list[int], wanted: int) -> None:
        def groups(keys: IdArray) -> IdArray:
            return np.where(keys % 5 == 4, -1, keys % 5)

        expected, seen = [], set()
        for item in dict.fromkeys(items):
            if item % 5 == 4 or item % 5 not in seen:
                expected.append(item)
                seen.add(item % 5)
        chosen = Selection(groups=groups).of(scored(items), wanted, nothing)
        assert chosen.keys.tolist() == expected[:wanted]

    def test_nothing_follows_one_that_may_not_be_kept(self) -> None:
        kept = Selection(keep=lambda found: found.scores > 0.995).of(scored(list(range(50))), 10, nothing)
        assert kept.keys.tolist() == [0, 1, 2, 3, 4]  # the sixth scores .995

    def test_those_that_are_no_hits_are_made_up_for(self) -> None:
        without = np.array([0, 2])
        assert Selection(without=without).of(scored([0, 1, 2, 3, 4]), 3, nothing).keys.tolist() == [1, 3, 4]

    @given(st.integers(0, 2**32 - 1), st.sampled_from([0.2, 0.6, 0.9, 1.0]), st.integers(1, 12))
    def test_no_near_duplicate_is_kept_and_none_is_dropped_without_one(self, seed: int, cosine: float, k: int) -> None:
        vectors = unit_rows(np.random.default_rng(seed).normal(size=(40, 3)))
        chosen = Selection(duplicates=cosine).of(scored(list(range(40))), k, lambda c: vectors[c.keys])
        expected: list[int] = []
        for i in range(40):
            if all(float(vectors[j] @ vectors[i]) < cosine for j in expected):
                expected.append(i)
        assert chosen.keys.tolist() == expected[:k]

    def test_items_without_a_vector_are_nobodys_duplicates(self) -> None:
        assert without_duplicates(np.zeros((3, 4), np.float32), 0.5, 9).tolist() == [0, 1, 2]

    @settings(deadline=None)
    @given(st.integers(0, 2**32 - 1), st.integers(1, 15))
    def test_pages_of_diverse_hits_are_parts_of_one_order(self, seed: int, k: int) -> None:
        vectors = unit_rows(np.random.default_rng(seed).normal(size=(DIVERSE + 30, 8)))
        everything = list(range(DIVERSE + 30))

        def page(end: int) -> list[int]:
            chosen = Selection(diversity=0.5).of(growing(ranking_of(everything), k), end, lambda c: vectors[c.keys])
            return chosen.keys.tolist()

        whole = page(len(everything))
        assert sorted(whole) == everything
        assert all(page(end) == whole[:end] for end in range(k, len(everything), 4 * k))


class TestMarginalRelevance:
    def naive(self, scores: FloatArray, vectors: FloatArray, diversity: float) -> list[int]:
        spread = scores.max() - scores.min()
        relevance = (scores - scores.min()) / spread if spread else np.ones(len(scores))
        order: list[int] = []
        while len(order) < len(scores):
            gains = {
                i: (1 - diversity) * relevance[i]
                - diversity * max((float(vectors[i] @ vectors[j]) for j in order), default=0.0)
                for i in range(len(scores))
                if i not in order
            }
            order.append(max(gains, key=lambda i: (gains[i], -i)))
        return order

    @given(st.integers(0, 2**32 - 1), st.floats(0, 1))
    def test_it_is_the_formula(self, seed: int, diversity: float) -> None:
        rng = np.random.default_rng(seed)
        vectors = unit_rows(rng.normal(size=(12, 6)))
        scores = np.sort(rng.normal(size=12).astype(np.float32))[::-1]
        found = marginal_relevance(scores, vectors, diversity).tolist()
        expected = self.naive(scores, vectors, diversity)
        assert found == expected or (diversity in (0, 1) and sorted(found) == sorted(expected))

    def test_without_diversity_nothing_moves(self) -> None:
        scores = np.array([0.9, 0.5, 0.4], np.float32)
        assert marginal_relevance(scores, unit_rows(np.ones((3, 2))), 0).tolist() == [0, 1, 2]

    def test_a_twin_gives_way_to_something_else(self) -> None:
        vectors = unit_rows(np.array([[1, 0], [1, 0.01], [0, 1]]))
        scores = np.array([0.30, 0.29, 0.25], np.float32)
        assert marginal_relevance(scores, vectors, 0.5).tolist() == [0, 2, 1]

    def test_none(self) -> None:
        assert marginal_relevance(np.empty(0, np.float32), np.empty((0, 2), np.float32), 0.5).tolist() == []


def test_a_listed_ranking_has_no_scores() -> None:
    found = listed([3, 1])
    assert found.keys.tolist() == [3, 1]
    assert np.isnan(found.scores).all()
    with pytest.raises(IndexError):
        found.take(np.array([5]))
