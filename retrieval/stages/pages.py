"""The page of candidates that become hits: listed, ranked, sorted by a field, with pins on their places."""

from dataclasses import replace

import numpy as np

from retrieval.arrays import IdArray
from retrieval.filters.sorting import order
from retrieval.rules.pins import depth_for, place_pins
from retrieval.stages.asked import LEGS, Asked
from retrieval.stages.candidates import GROWTH, Candidates, growing, listed
from retrieval.stages.legs import Trace
from retrieval.stages.scope import Scope, positions_of

Pins = tuple[tuple[int, int], ...]
"""Item key and place wanted, in the order of the rules."""

SORTED = 1_000  # of the best hits are ordered by a field: what is less relevant would only stand in the way


def page(asked: Asked) -> tuple[Candidates, frozenset[int]]:
    """The candidates that become hits, and the keys of those that a rule put on their place."""
    query = asked.query
    end = query.offset + query.k
    if not query.parts:
        return _browsed(asked, end), frozenset()
    if query.sort:
        return _sorted(asked, end), frozenset()
    pins = _pins(asked)
    wanted = depth_for(query.k, query.offset, len(pins))
    chosen = asked.selection().of(growing(asked.ranking(), query.k), wanted, asked.looks)
    if not pins:
        return _from(chosen, query.offset, end), frozenset()
    return _with_pins(asked, chosen, pins)


def _browsed(asked: Asked, end: int) -> Candidates:
    """All that matches, in the order asked for or that of the collection."""
    asked.trace.note("filter", "scan", True, np.empty(0, np.float32))
    positions = np.flatnonzero(asked.matching)
    if asked.query.sort:
        positions = order(asked.table, ",".join(asked.query.sort), positions)
    candidates = asked.selection().of(iter([listed(asked.table.keys[positions])]), end, asked.looks)
    return _from(candidates, asked.query.offset, end)


def _sorted(asked: Asked, end: int) -> Candidates:
    """The best SORTED hits in the order of a field, behind them the next best in that order, and so on."""
    done, wanted = listed([]), SORTED
    while True:
        best = asked.selection().of(growing(asked.ranking(), SORTED), wanted, asked.looks)
        further = best.take(~np.isin(best.keys, done.keys))
        at = positions_of(asked.table, further.keys)
        place = np.argsort(at)
        in_order = order(asked.table, ",".join(asked.query.sort), at)
        done = done.followed_by(further.take(place[np.searchsorted(at[place], in_order)]))
        if len(done) >= end or len(best) < wanted:
            return _from(done, asked.query.offset, end)
        wanted *= GROWTH


def _pins(asked: Asked) -> Pins:
    """Item key and place of what rules put on places: what passes the filter and is not named by the query."""
    if not asked.rules.active_pins:
        return ()
    named = asked.vectors.named_items()
    shown = asked.matching if named is None else asked.matching & ~np.isin(asked.table.keys, named)
    return tuple((int(asked.table.keys[at]), place) for at, place in asked.rules.pinned(asked.table) if shown[at])


def _with_pins(asked: Asked, chosen: Candidates, pins: Pins) -> tuple[Candidates, frozenset[int]]:
    """The page with the pinned items on their places; each stands for its group there."""
    pinned = np.array([key for key, _ in pins], np.int64)
    groups = asked.groups()
    if groups is not None:
        taken = groups(pinned)
        same = np.isin(groups(chosen.keys), taken[taken >= 0]) & ~np.isin(chosen.keys, pinned)
        chosen = chosen.take(~same)
    placed = place_pins(chosen.keys.tolist(), pins, k=asked.query.k, offset=asked.query.offset)
    missing = np.setdiff1d([one.key for one in placed], chosen.keys)
    if len(missing):
        chosen = chosen.followed_by(_apart(asked, missing))
    at = {key: i for i, key in enumerate(chosen.keys.tolist())}
    page = chosen.take(np.array([at[one.key] for one in placed], np.int64))
    return page, frozenset(one.key for one in placed if one.pinned)


def _apart(asked: Asked, keys: IdArray) -> Candidates:
    """Items that were not found, with their scores where one leg gives them: fused alone, all would be perfect."""
    if len(LEGS[asked.query.by]) > 1:
        return listed(keys)
    only = np.zeros(len(asked.table), np.bool_)
    only[positions_of(asked.table, keys)] = True
    query, scope = replace(asked.query, min_confidence=None), Scope(asked.scope.view, asked.table, only)
    mine = replace(asked, query=query, scope=scope, trace=Trace(), reranking=None)
    return mine.ranking()(len(keys)).followed_by(listed(keys))


def _from(candidates: Candidates, start: int, end: int) -> Candidates:
    return candidates.take(np.arange(min(start, len(candidates)), min(end, len(candidates))))
