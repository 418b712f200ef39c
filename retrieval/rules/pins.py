"""Pinned items on their places in a ranking, page by page: pages laid side by side are the whole ranking."""

from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True)
class Placed(Generic[Key]):
    """An item on its place, 1 being the first. pinned: a rule put it there."""

    key: Key
    place: int
    pinned: bool


def depth_for(k: int, offset: int, pins: int) -> int:
    """How many of the ranking's first items `place_pins` needs for this page: the pinned ones may be among them."""
    return offset + k + pins


def free_places(wanted: Sequence[tuple[Key, int]]) -> dict[int, Key]:
    """Item by place, from (item, place) in the order of the rules: who comes later takes the next place that is free.

    Of an item that is pinned twice the first counts.
    """
    taken: dict[int, Key] = {}
    after: dict[int, int] = {}  # by taken place, one from which the next free place is looked for
    seen = set()
    for key, place in wanted:
        if key not in seen:
            seen.add(key)
            free, passed = place, []
            while free in taken:
                passed.append(free)
                free = after[free]
            after.update(dict.fromkeys((*passed, free), free + 1))
            taken[free] = key
    return taken


def place_pins(
    ranking: Sequence[Key],
    pins: Sequence[tuple[Key, int]],
    *,
    k: int,
    offset: int = 0,
    shown: Callable[[Key], bool] = lambda _: True,
) -> list[Placed[Key]]:
    """The page from `offset` (0 is the start) of at most k items, of a ranking with pinned items on their places.

    ranking: best first, each item once; its first `depth_for(k, offset, len(pins))` items, or all if it has fewer.
    pins: (item, place); such as are not in the ranking are placed all the same.
    shown: whether a pinned item may be shown, such as by the query's filter; one that may not has no place.

    Where the ranking ends before a pin's place, the pinned item comes right behind it.
    """
    places = free_places([(key, place) for key, place in pins if shown(key)])
    pinned = set(places.values())
    whole = _merged(places, (key for key in ranking if key not in pinned))
    page = islice(enumerate(whole, start=1), offset, offset + k)
    return [Placed(key, place, is_pinned) for place, (key, is_pinned) in page]


def _merged(places: Mapping[int, Key], others: Iterable[Key]) -> Iterator[tuple[Key, bool]]:
    waiting = deque(sorted(places.items()))
    place = 0
    for key in others:
        place += 1
        while waiting and waiting[0][0] == place:
            yield waiting.popleft()[1], True
            place += 1
        yield key, False
    yield from ((key, True) for _, key in waiting)
