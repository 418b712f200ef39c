"""How far a figure can be trusted: bootstrap intervals, and a randomisation test between two runs.

Both draw clusters of queries, not queries. The five captions of one photo are found or missed together, so they are not
five independent observations, and intervals that draw single queries come out too narrow: the starter on 150 photos
of Flickr8k with five English captions each has a success@1 of .368, .335 to .404 by single captions, .308 to .425 by
photo.
See Davison and Hinkley, Bootstrap Methods and their Application, 1997, section 3.8.
With clusters of one query each this is the plain bootstrap and the plain test.
"""

from collections.abc import Callable, Iterator
from typing import Literal

import numpy as np
import numpy.typing as npt

from retrieval.arrays import IdArray

Summary = Literal["mean", "median"]
Table = npt.NDArray[np.float64]

RESAMPLES = 2_000
PERMUTATIONS = 10_000
LEVEL = 0.95
CELLS = 4_000_000
"""Random draws held at once: 32 MB as float64."""


def bootstrap(values: Table, groups: IdArray, summary: Summary, *, seed: int = 0, resamples: int = RESAMPLES) -> Table:
    """Figures of resamples that draw as many clusters as there are, with replacement.

    values: float64 [queries, columns], may hold +inf. groups: int64 [queries], cluster of each query from 0 without
    gaps. Every column sees the same draws, so columns can be subtracted. Returns float64 [resamples, columns].
    """
    clusters = int(groups.max()) + 1
    sizes = np.bincount(groups, minlength=clusters)
    summarise = _medians(values, groups) if summary == "median" else _means(values, groups, sizes)
    rng = np.random.default_rng(seed)
    parts = [summarise(counts) for counts in _draws(rng, clusters, resamples)]
    return np.concatenate(parts)


def interval(replicates: npt.NDArray[np.float64], level: float = LEVEL) -> tuple[float, float]:
    """Percentile interval of float64 [resamples] (Efron and Tibshirani 1993, chapter 13). Ends are drawn values."""
    outside = (1 - level) / 2
    low, high = np.quantile(replicates, [outside, 1 - outside], method="inverted_cdf")
    return float(low), float(high)


def randomisation_p(
    first: npt.NDArray[np.float64],
    second: npt.NDArray[np.float64],
    groups: IdArray,
    summary: Summary = "mean",
    *,
    seed: int = 0,
    permutations: int = PERMUTATIONS,
) -> float:
    """Two-sided p-value of the paired randomisation test (Fisher's) that both runs are equally good.

    first, second: float64 [queries], finite. If the runs were equal, their values of a query could change places; each
    permutation swaps those of about half of the clusters. p is the share of permutations whose difference is at least
    as large as the one seen, the one seen counted in, so that it is never 0: with 10,000 the smallest is 0.0001.

    Source: Smucker, Allan and Carterette, A comparison of statistical significance tests for information retrieval
    evaluation, CIKM 2007; the counting in: Phipson and Smyth 2010.
    """
    clusters = int(groups.max()) + 1
    rng = np.random.default_rng(seed)
    difference = _swapped_medians(first, second, groups) if summary == "median" else _signed(first, second, groups)
    seen = abs(float(difference(np.zeros((1, clusters), dtype=np.bool_))[0]))
    # Sums of the same numbers in another order differ in the last bits; an equal difference must count as one.
    at_least = seen - 1e-12 * (np.abs(first).max() + np.abs(second).max())
    extreme = 0
    for size in _blocks(clusters if summary == "mean" else len(groups), permutations):
        swaps = rng.integers(0, 2, size=(size, clusters), dtype=np.uint8).astype(np.bool_)
        extreme += int((np.abs(difference(swaps)) >= at_least).sum())
    return (extreme + 1) / (permutations + 1)


def _blocks(width: int, total: int) -> Iterator[int]:
    """Sizes that add up to `total`, each of at most CELLS cells at `width` a row."""
    size = max(1, CELLS // width)
    for start in range(0, total, size):
        yield min(size, total - start)


def _draws(rng: np.random.Generator, clusters: int, resamples: int) -> Iterator[IdArray]:
    """How often each cluster was drawn, int64 [some resamples, clusters]."""
    for size in _blocks(clusters, resamples):
        drawn = rng.integers(0, clusters, size=(size, clusters))
        drawn += np.arange(size)[:, None] * clusters
        yield np.bincount(drawn.ravel(), minlength=size * clusters).reshape(size, clusters)


def _means(values: Table, groups: IdArray, sizes: IdArray) -> Callable[[IdArray], Table]:
    endless = np.isinf(values)  # kept apart: a cluster that is not drawn would give 0 * inf = NaN
    finite = np.where(endless, 0.0, values)
    sums = np.stack([np.bincount(groups, column, len(sizes)) for column in finite.T], axis=1)
    endless_sums = np.stack([np.bincount(groups, column, len(sizes)) for column in endless.T], axis=1)

    def means(counts: IdArray) -> Table:
        weights = counts.astype(np.float64)
        found: Table = (weights @ sums) / (weights @ sizes)[:, None]
        if endless.any():
            found[weights @ endless_sums > 0] = np.inf
        return found

    return means


def _medians(values: Table, groups: IdArray) -> Callable[[IdArray], Table]:
    orders = np.argsort(values, axis=0, kind="stable")
    ordered_groups = groups[orders]

    def medians(counts: IdArray) -> Table:
        found = np.empty((len(counts), values.shape[1]))
        for row, drawn in enumerate(counts):
            for column in range(values.shape[1]):
                reached = np.cumsum(drawn[ordered_groups[:, column]])  # how many drawn values are no larger than each
                middle = np.searchsorted(reached, [(reached[-1] + 1) // 2, reached[-1] // 2 + 1])
                found[row, column] = values[orders[middle, column], column].mean()
        return found

    return medians


def _signed(
    first: npt.NDArray[np.float64], second: npt.NDArray[np.float64], groups: IdArray
) -> Callable[[npt.NDArray[np.bool_]], npt.NDArray[np.float64]]:
    """Difference of means for swaps [n, clusters]: swapping a cluster turns the sign of its difference."""
    by_cluster = np.bincount(groups, second - first)
    total = by_cluster.sum()

    def differences(swaps: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
        found: npt.NDArray[np.float64] = (total - 2 * (swaps @ by_cluster)) / len(groups)
        return found

    return differences


def _swapped_medians(
    first: npt.NDArray[np.float64], second: npt.NDArray[np.float64], groups: IdArray
) -> Callable[[npt.NDArray[np.bool_]], npt.NDArray[np.float64]]:
    def differences(swaps: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
        swapped = swaps[:, groups]
        found: npt.NDArray[np.float64] = np.median(np.where(swapped, first, second), axis=1) - np.median(
            np.where(swapped, second, first), axis=1
        )
        return found

    return differences
