"""Chooses how a search goes, by how many rows may be returned, and says which way it went.

    m permitted live rows       an exact base (to 100,000 rows)    an inverted file
    all                         exact                              ivf: nprobe lists, as tuned
    up to EXACT_PERMITTED       bitmap+exact                       bitmap+exact: a scan of all lists, certified
    more                        bitmap+exact                       ivf+bitmap: as many lists as it takes

Rows newer than the base are searched exactly beside it, and the name ends in `+delta`. Nothing is ever searched first
and filtered then: every way gives min(k, m) hits.
"""

from dataclasses import dataclass, replace
from math import isinf

import numpy as np

from retrieval.arrays import FloatArray
from retrieval.index.base import NO_ID, ApproximateIndex, IdMask, Neighbours, VectorIndex
from retrieval.index.exact import ExactIndex, merged
from retrieval.index.ladder import candidates_for
from retrieval.index.rescoring import VectorFetch, scored_again

EXACT_PERMITTED = 20_000

# So few permitted rows are fetched at once: 1.5 ms, where a scan of a million rows takes 6.
FETCHED_WHOLE = 200

# Estimates looked at to certify a scan, first and at last: more would have to be fetched than is worth it (11 us each).
SCANNED = (512, 4_096)
ROUNDING = 1e-5  # of the two ways to compute a cosine in float32


@dataclass(frozen=True)
class Plan:
    """How a search went.

    name: `exact`, `bitmap+exact`, `ivf` or `ivf+bitmap`, with `+delta` if there are rows newer than the base.
    exact: whether the hits are the true best k by the stored vectors, those of equal score at the end aside.
    nprobe: inverted lists visited, for the query that took the most; 0 where none were.
    permitted: m, the live rows that could have been returned.
    """

    name: str
    exact: bool
    nprobe: int
    permitted: int


@dataclass(frozen=True)
class Found(Neighbours):
    """What a search found, and how."""

    plan: Plan


@dataclass(frozen=True)
class Rows:
    """What is searched. whole: all rows of base and delta are alive."""

    base: VectorIndex | None
    delta: ExactIndex
    live: IdMask
    whole: bool


def search(rows: Rows, vectors: FloatArray, k: int, fetch: VectorFetch, allowed: IdMask | None = None) -> Found:
    """The best k live and permitted rows for each unit query [n, dimension]."""
    permitted = rows.live if allowed is None else rows.live & allowed
    m = permitted.count
    filtered = m < rows.live.count
    mask = permitted if filtered or not rows.whole else None
    exact = Plan("bitmap+exact" if filtered else "exact", exact=True, nprobe=0, permitted=m)

    if rows.base is None or not len(rows.base) or not m:
        return _found(rows.delta.search(vectors, k, mask), exact)
    approximate = rows.base if isinstance(rows.base, ApproximateIndex) else None
    if approximate and filtered and m <= FETCHED_WHOLE:
        every = np.broadcast_to(np.flatnonzero(permitted.allowed), (len(vectors), m))
        name = f"{exact.name}+delta" if len(rows.delta) else exact.name
        return _found(scored_again(vectors, every, k, fetch), replace(exact, name=name))

    if approximate is None:
        found, plan = rows.base.search(vectors, k, mask), exact
    elif filtered and m <= EXACT_PERMITTED:
        found, plan = _scanned(approximate, vectors, k, permitted, fetch, exact)
    else:
        candidates = approximate.candidates(vectors, k, mask)
        found = scored_again(vectors, candidates.ids, k, fetch)
        plan = Plan("ivf+bitmap" if filtered else "ivf", exact=False, nprobe=candidates.lists, permitted=m)
    if not len(rows.delta):
        return _found(found, plan)
    newer = rows.delta.search(vectors, k, mask)
    return _found(merged([found, newer], k), replace(plan, name=f"{plan.name}+delta"))


def _scanned(
    base: ApproximateIndex, vectors: FloatArray, k: int, permitted: IdMask, fetch: VectorFetch, plan: Plan
) -> tuple[Neighbours, Plan]:
    """Estimates of all permitted rows of the base; those that could be among the best k are scored again.

    A row whose estimate is further below the k-th true score than the codes' largest error cannot be one of them. So
    where all others were scored again the answer is exact, whatever the rows are like.
    """
    narrow = candidates_for(k)
    for width in SCANNED:
        estimates = base.scan(vectors, max(width, narrow) + 1, permitted)
        found = scored_again(vectors, estimates.ids[:, :narrow], k, fetch)
        there = estimates.ids != NO_ID
        least = found.scores[:, -1:] - base.code_error - ROUNDING
        possible = int((there & (estimates.scores >= least)).sum(axis=1).max(initial=0))
        certain = ~there[:, -1] | (estimates.scores[:, -1:] < least)[:, 0] | (there.shape[1] == len(base))
        if certain.all() or isinf(base.code_error):
            break
    certified = bool(certain.all())
    if possible > narrow and certified:
        found = scored_again(vectors, estimates.ids[:, :possible], k, fetch)
    return found, replace(plan, exact=certified, nprobe=estimates.lists)


def _found(found: Neighbours, plan: Plan) -> Found:
    return Found(found.scores, found.ids, plan)
