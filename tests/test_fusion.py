"""Fusion against a slow, obvious twin, and what happens when a leg has nothing to say."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.stages.fusion import RRF_K, WEIGHTS, Fused, Leg, LegName, Method, fuse


def leg(name: LegName, scores: dict[int, float], floor: float | None = None, ceiling: float | None = None) -> Leg:
    ordered = sorted(scores.items(), key=lambda pair: (-pair[1], pair[0]))
    keys = np.array([key for key, _ in ordered], dtype=np.int64)
    return Leg(name, keys, np.array([score for _, score in ordered], dtype=np.float32), floor, ceiling)


def slow(legs: list[Leg], method: Method, weights: dict[LegName, float], k: float) -> list[tuple[int, float]]:
    """The definitions, item by item."""
    telling = [one for one in legs if len(one.keys) and weights[one.name] > 0]
    whole = sum(weights[one.name] for one in telling)
    scores: dict[int, float] = {}
    for one in telling:
        listed = dict(zip(one.keys.tolist(), one.scores.tolist(), strict=True))
        floor = min(listed.values()) if one.floor is None else one.floor
        best = 1.0 if one.name == "text" else max(listed.values())
        ceiling = best if one.ceiling is None else one.ceiling
        for rank, (key, score) in enumerate(listed.items(), start=1):
            if method == "rrf":
                added = 1 / (k + rank)
            elif ceiling <= floor:
                added = 1.0
            else:
                added = min(1.0, max(0.0, (score - floor) / (ceiling - floor))) ** (2 if one.name == "text" else 1)
            scores[key] = scores.get(key, 0.0) + weights[one.name] / whole * added
    return sorted(scores.items(), key=lambda pair: (-pair[1], pair[0]))


# Sixteenths are exact in float32, so that twins agree on ties.
SCORES = st.dictionaries(st.integers(0, 30), st.integers(-16, 32).map(lambda n: n / 16), max_size=12)
BOUND = st.none() | st.integers(-16, 32).map(lambda n: n / 16)
LEGS = st.tuples(*[st.builds(leg, st.just(name), SCORES, BOUND, BOUND) for name in ("image", "text", "lexical")])
SHARE = st.integers(0, 4).map(float)
SHARES = st.fixed_dictionaries({"image": SHARE, "text": SHARE, "lexical": SHARE})
METHOD = st.sampled_from(["convex", "rrf"])


@given(LEGS, METHOD, SHARES, st.sampled_from([1.0, 8.0, 60.0]))
def test_equals_the_twin(legs: tuple[Leg, ...], method: Method, weights: dict[LegName, float], k: float) -> None:
    fused = fuse(legs, method, weights, rrf_k=k)
    expected = dict(slow(list(legs), method, weights, k))
    assert set(fused.keys.tolist()) == set(expected)
    assert fused.scores == pytest.approx([expected[key] for key in fused.keys.tolist()])


@given(LEGS, METHOD, SHARES)
def test_contributions_add_up_to_the_score_and_the_order_is_that_of_the_scores(
    legs: tuple[Leg, ...], method: Method, weights: dict[LegName, float]
) -> None:
    fused = fuse(legs, method, weights)
    assert (fused.contributions.sum(axis=1) == fused.scores).all()
    assert (fused.contributions >= 0).all()
    pairs = list(zip((-fused.scores).tolist(), fused.keys.tolist(), strict=True))
    assert pairs == sorted(pairs)
    if method == "convex":
        assert (fused.scores <= 1 + 1e-12).all()


@given(LEGS, METHOD, SHARES)
def test_ranks_and_scores_are_the_legs_own(
    legs: tuple[Leg, ...], method: Method, weights: dict[LegName, float]
) -> None:
    fused = fuse(legs, method, weights)
    by_name = {one.name: one for one in legs}
    for column, name in enumerate(fused.legs):
        one = by_name[name]
        for row, key in enumerate(fused.keys.tolist()):
            place = np.flatnonzero(one.keys == key)
            if len(place):
                assert fused.ranks[row, column] == place[0] + 1
                assert fused.leg_scores[row, column] == one.scores[place[0]]
            else:
                assert (fused.ranks[row, column], fused.contributions[row, column]) == (0, 0.0)
                assert math.isnan(fused.leg_scores[row, column])


@given(SCORES.filter(bool), METHOD)
def test_one_leg_alone_keeps_its_order_and_the_others_cost_nothing(scores: dict[int, float], method: Method) -> None:
    alone = leg("image", scores)
    fused = fuse([alone, leg("text", {}), leg("lexical", {})], method)
    assert fused.legs == ("image",)
    if method == "rrf" or len(set(scores.values())) == len(scores):
        assert fused.keys.tolist() == alone.keys.tolist()
    assert fused.scores[0] == (1.0 if method == "convex" else 1 / (RRF_K + 1))


def test_nothing_found() -> None:
    for legs in ([], [leg("image", {}), leg("lexical", {})]):
        fused = fuse(legs)
        assert (len(fused.keys), len(fused.scores), fused.legs) == (0, 0, ())
        assert fused.contributions.shape == fused.ranks.shape == fused.leg_scores.shape == (0, 0)


def test_by_hand() -> None:
    legs = [leg("image", {1: 0.5, 2: 0.4, 3: 0.3}), leg("lexical", {3: 6.0, 9: 3.0}, floor=0.0, ceiling=12.0)]
    fused: Fused = fuse(legs, "convex", {"image": 1.0, "text": 5.0, "lexical": 3.0})
    assert fused.legs == ("image", "lexical"), "the text leg was not asked, and takes no share"
    assert fused.keys.tolist() == [3, 1, 9, 2]
    assert fused.scores == pytest.approx([0.375, 0.25, 0.1875, 0.125])
    assert fused.contributions == pytest.approx(np.array([[0, 0.375], [0.25, 0], [0, 0.1875], [0.125, 0]]))
    assert fused.ranks.tolist() == [[3, 1], [1, 0], [0, 2], [2, 0]]
    rrf = fuse(legs, "rrf", {"image": 1.0, "lexical": 1.0}, rrf_k=60)
    assert rrf.keys.tolist() == [3, 1, 2, 9]
    assert rrf.scores[0] == pytest.approx(0.5 / 63 + 0.5 / 61)


def test_texts_that_say_nothing_hardly_count() -> None:
    """A leg whose best is far from a perfect fit is not stretched to one, as the photos' is."""
    fused = fuse([leg("image", {1: 0.30, 2: 0.28, 3: 0.20}), leg("text", {3: 0.15, 2: 0.05, 1: 0.0})])
    share = WEIGHTS["text"] / (WEIGHTS["image"] + WEIGHTS["text"])
    assert fused.keys.tolist() == [1, 2, 3]
    assert fused.contributions[2].tolist() == pytest.approx([0.0, share * 0.15**2])


def test_every_leg_has_a_weight() -> None:
    assert set(WEIGHTS) == {"image", "text", "lexical"}
    assert all(weight > 0 for weight in WEIGHTS.values())
