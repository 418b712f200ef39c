"""Pinned items stand on their places, on whichever page."""

import itertools
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.rules.pins import depth_for, free_places, place_pins


def page(ranking: str, pins: list[tuple[str, int]], k: int = 10, offset: int = 0, hidden: str = "") -> str:
    """The page as text, pinned items in capitals."""
    placed = place_pins(ranking, pins, k=k, offset=offset, shown=lambda key: key not in hidden)
    assert [one.place for one in placed] == list(range(offset + 1, offset + 1 + len(placed)))
    return "".join(one.key.upper() if one.pinned else one.key for one in placed)


@pytest.mark.parametrize(
    ("pins", "wanted"),
    [
        ([], "abcdef"),
        ([("d", 1)], "Dabcef"),
        ([("d", 1), ("b", 1)], "DBacef"),
        ([("x", 1)], "Xabcdef"),
        ([("f", 3)], "abFcde"),
        ([("a", 4)], "bcdAef"),
        ([("x", 7)], "abcdefX"),
        ([("x", 900), ("y", 8)], "abcdefYX"),
        ([("x", 2), ("y", 2), ("z", 1)], "ZXYabcdef"),
        ([("x", 1), ("x", 5)], "Xabcdef"),
        ([("c", 3)], "abCdef"),
    ],
)
def test_places(pins: list[tuple[str, int]], wanted: str) -> None:
    assert page("abcdef", pins) == wanted
    assert page("abcdef", pins, k=2) + page("abcdef", pins, k=2, offset=2) + page("abcdef", pins, offset=4) == wanted


def test_a_pin_that_may_not_be_shown_leaves_its_place_to_the_next() -> None:
    pins = [("x", 1), ("y", 1), ("z", 5)]
    assert page("abc", pins) == "XYabZc"
    assert page("abc", pins, hidden="x") == "YabcZ"
    assert page("abc", pins, hidden="z") == "XYabc"


def test_nothing_found_but_what_is_pinned() -> None:
    assert page("", [("x", 3), ("y", 1)]) == "YX"
    assert page("", [("x", 3)], offset=1) == ""
    assert page("", []) == ""


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 60), st.integers(1, 12)), max_size=50))
def test_each_takes_the_first_free_place_from_its_own(wanted: list[tuple[int, int]]) -> None:
    expected: dict[int, int] = {}
    for key, place in wanted:
        if key not in expected.values():
            free = next(free for free in itertools.count(place) if free not in expected)
            expected[free] = key
    assert free_places(wanted) == expected


@pytest.mark.parametrize("places", [[1] * 20_000, [*range(1, 10_001), *[1] * 10_000], [2, 1] * 10_000])
def test_many_pins_for_one_place_take_no_time_that_grows_with_their_square(places: list[int]) -> None:
    started = time.process_time()
    placed = free_places(list(enumerate(places)))
    assert time.process_time() - started < 1, "some 20 ms; with the square of their number, 5 s"
    assert sorted(placed) == list(range(1, 20_001))


letters = st.sampled_from("abcdefghijklmnop")


@settings(deadline=None)
@given(
    ranking=st.lists(letters, unique=True, max_size=14),
    pins=st.lists(st.tuples(letters, st.integers(1, 20)), max_size=8),
    hidden=st.sets(letters, max_size=4),
    k=st.integers(1, 6),
)
def test_pages_side_by_side_are_the_whole_ranking(
    ranking: list[str], pins: list[tuple[str, int]], hidden: set[str], k: int
) -> None:
    ranking = [key for key in ranking if key not in hidden]
    whole = place_pins(ranking, pins, k=100, shown=lambda key: key not in hidden)
    paged = []
    for offset in range(0, 40, k):
        # No more of the ranking than was promised to be enough.
        head = ranking[: depth_for(k, offset, len(pins))]
        paged += place_pins(head, pins, k=k, offset=offset, shown=lambda key: key not in hidden)
    assert paged == whole
    shown = {key for key, _ in pins} - hidden
    assert sorted(one.key for one in whole) == sorted(shown | set(ranking)), "each item once, none lost"
    assert [one.key for one in whole if not one.pinned] == [key for key in ranking if key not in shown]
    assert {one.key for one in whole if one.pinned} == shown
    others = len(set(ranking) - shown)
    for rank, (place, key) in enumerate(sorted(free_places([pin for pin in pins if pin[0] in shown]).items())):
        (stands,) = [one.place for one in whole if one.pinned and one.key == key]
        assert stands == min(place, others + rank + 1), "on its place, or right behind the last"
