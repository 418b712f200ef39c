"""Which index a collection of a given size gets: the smallest machinery that is fast enough.

Up to 100,000 rows an exact float16 scan finds everything, in 3 ms at 10,000 rows and 15 ms at 100,000. Above, an
inverted file with 8-bit scalar codes finds 99 % of the best ten of 200,000 rows in 4 ms (median at 512 dimensions on
one core, scoring again with the stored vectors included; `python -m benchmarks.search`).
"""

from dataclasses import dataclass
from math import sqrt

EXACT_ROWS = 100_000

TUNE_K = 10  # the k that nprobe is tuned for


def candidates_for(k: int) -> int:
    """How many candidates of an approximate index are scored again with the stored vectors.

    Then every score in an answer is a true cosine, and nprobe is tuned for the recall among these candidates. 40 for
    10; for more the share falls, since the codes' error moves a row by few places.
    """
    return k + max(3 * TUNE_K, k // 4)


@dataclass(frozen=True)
class Rung:
    """kind: `exact-fp16` or `ivf-sq8`; lists: number of inverted lists, 0 for exact."""

    kind: str
    lists: int = 0


def rung_for(rows: int, exact_rows: int = EXACT_ROWS) -> Rung:
    """The rung for that many rows. `exact_rows` is where exact search ends; tests lower it."""
    if rows <= exact_rows:
        return Rung("exact-fp16")
    return Rung("ivf-sq8", lists=min(rows, round(4 * sqrt(rows))))
