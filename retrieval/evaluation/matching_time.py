"""How long a reranker takes for the candidates of one query."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter

import numpy as np

TIMED = 50
"""Queries that are timed at each depth; a set with fewer has some of them timed again."""

Prepare = Callable[[int, int], Callable[[], object]]
"""(query, depth) -> what computes its matches, with all it reads in memory."""


@dataclass(frozen=True)
class Timing:
    """Milliseconds a query, of `queries` measured ones."""

    median: float
    p95: float
    queries: int


def time_matches(prepare: Prepare, n_queries: int, depths: Sequence[int], *, timed: int = TIMED) -> dict[int, Timing]:
    """By depth. The queries stand evenly over all of them; depths take turns, so that a busy moment hits all alike.

    Only matching is measured: tokens are in memory. torch works on one thread meanwhile, as for a search.
    """
    spread = np.linspace(0, n_queries - 1, min(timed, n_queries)).astype(int)
    queries = np.resize(spread, timed).tolist()
    taken: dict[int, list[float]] = {depth: [] for depth in depths}
    with _one_thread():
        for depth in depths:
            prepare(queries[0], depth)()  # a first call of a shape allocates and compiles
        for query in queries:
            for depth in depths:
                match = prepare(query, depth)
                started = perf_counter()
                match()
                taken[depth].append(1000 * (perf_counter() - started))
    return {depth: Timing(float(np.median(ms)), float(np.quantile(ms, 0.95)), len(ms)) for depth, ms in taken.items()}


@contextmanager
def _one_thread() -> Iterator[None]:
    """torch on one thread, if anything has loaded it."""
    torch = sys.modules.get("torch")
    before = torch.get_num_threads() if torch else 0
    if torch:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        if torch:
            torch.set_num_threads(before)
