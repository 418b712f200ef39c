"""Intervals and tests on cases whose answer is known."""

import numpy as np
import pytest

from retrieval.evaluation.statistics import bootstrap, interval, randomisation_p


def alone(n: int) -> np.ndarray:
    """Every query its own cluster."""
    return np.arange(n)


def test_the_bootstrap_of_a_mean_is_as_wide_as_theory_says() -> None:
    """400 draws of a standard normal: the standard error is 1 / 20, the 95 % interval 1.96 of it to each side."""
    values = np.random.default_rng(1).standard_normal(400)
    values = (values - values.mean()) / values.std()
    replicates = bootstrap(values[:, None], alone(400), "mean", resamples=4_000)
    assert replicates.shape == (4_000, 1)
    low, high = interval(replicates[:, 0])
    assert low == pytest.approx(-1.96 / 20, abs=0.008)
    assert high == pytest.approx(1.96 / 20, abs=0.008)


@pytest.mark.parametrize(("summary", "truth"), [("mean", 1.0), ("median", np.log(2))])
def test_intervals_cover_the_truth_about_95_times_in_100(summary: str, truth: float) -> None:
    """An exponential distribution of mean 1. 200 repeats of 150 queries: 95 % is 190, less 4 standard errors 178."""
    rng = np.random.default_rng(2)
    covered = 0
    for repeat in range(200):
        values = rng.exponential(size=(150, 1))
        low, high = interval(bootstrap(values, alone(150), summary, seed=repeat, resamples=400)[:, 0])
        covered += low <= truth <= high
    assert 178 <= covered <= 199


def test_captions_of_one_photo_need_clusters() -> None:
    """Ten captions that always agree: single draws cover the truth far too seldom, clusters about as often as said."""
    rng = np.random.default_rng(3)
    groups = np.repeat(np.arange(60), 10)
    covered = {"single": 0, "clusters": 0}
    for repeat in range(200):
        values = np.repeat(rng.random(60) < 0.4, 10).astype(float)[:, None]
        for name, drawn in (("single", alone(600)), ("clusters", groups)):
            low, high = interval(bootstrap(values, drawn, "mean", seed=repeat, resamples=300)[:, 0])
            covered[name] += low <= 0.4 <= high
    assert covered["single"] < 120
    assert 178 <= covered["clusters"] <= 199


def test_a_median_equals_that_of_the_drawn_values() -> None:
    """Clusters of different size, two columns: each replicate against np.median of the values it drew."""
    rng = np.random.default_rng(4)
    groups = rng.permutation(np.repeat(np.arange(5), [1, 2, 3, 4, 5]))
    values = np.stack([rng.integers(1, 9, 15), rng.random(15)], axis=1).astype(float)
    found = bootstrap(values, groups, "median", seed=7, resamples=50)
    drawn = np.random.default_rng(7).integers(0, 5, size=(50, 5))
    for row, clusters in zip(found, drawn, strict=True):
        taken = np.concatenate([values[groups == cluster] for cluster in clusters])
        assert row.tolist() == np.median(taken, axis=0).tolist()


def test_a_mean_equals_that_of_the_drawn_values_even_with_infinite_ranks() -> None:
    groups = np.array([0, 0, 1, 2])
    values = np.array([[1.0], [2.0], [6.0], [np.inf]])
    found = bootstrap(values, groups, "mean", seed=7, resamples=50)[:, 0]
    drawn = np.random.default_rng(7).integers(0, 3, size=(50, 3))
    for value, clusters in zip(found, drawn, strict=True):
        taken = np.concatenate([values[groups == cluster, 0] for cluster in clusters])
        assert value == pytest.approx(taken.mean())
    low, high = interval(found)
    assert np.isfinite(low)
    assert high == np.inf


def test_the_same_seed_gives_the_same_figures_in_any_number_of_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).random((50, 3))
    whole = bootstrap(values, alone(50), "mean", seed=1, resamples=100)
    monkeypatch.setattr("retrieval.evaluation.statistics.CELLS", 130)
    np.testing.assert_allclose(bootstrap(values, alone(50), "mean", seed=1, resamples=100), whole, rtol=1e-12)
    assert not np.allclose(bootstrap(values, alone(50), "mean", seed=2, resamples=100), whole)


@pytest.mark.parametrize("summary", ["mean", "median"])
def test_identical_runs_have_p_1(summary: str) -> None:
    values = np.random.default_rng(0).random(40)
    assert randomisation_p(values, values.copy(), alone(40), summary) == 1.0


def test_p_is_the_exact_one_of_few_queries() -> None:
    """Five queries, all better by 1: of 32 sign patterns 2 are as extreme, so p is 1/16."""
    assert randomisation_p(np.zeros(5), np.ones(5), alone(5)) == pytest.approx(2 / 32, abs=0.01)


def test_p_of_fractions_counts_equal_differences_as_equal() -> None:
    """Differences 0.1, 0.2 and -0.3 sum to zero or, by rounding, nearly: everything is as extreme as that."""
    first = np.array([0.0, 0.0, 0.3])
    assert randomisation_p(first, np.array([0.1, 0.2, 0.0]), alone(3)) == 1.0


@pytest.mark.parametrize("summary", ["mean", "median"])
def test_p_is_uniform_when_runs_differ_by_chance_only(summary: str) -> None:
    """300 pairs of equal runs: p below 0.05, 0.25, 0.5 and 0.75 about that often (4 standard errors)."""
    rng = np.random.default_rng(5)
    found = np.array(
        [
            randomisation_p(*rng.standard_normal((2, 60)), alone(60), summary, seed=repeat, permutations=300)
            for repeat in range(300)
        ]
    )
    for level in (0.05, 0.25, 0.5, 0.75):
        assert (found <= level).mean() == pytest.approx(level, abs=4 * np.sqrt(level * (1 - level) / 300))


def test_a_clear_difference_is_found_and_p_is_never_zero() -> None:
    rng = np.random.default_rng(6)
    first = rng.random(200)
    assert randomisation_p(first, first + 0.1, alone(200)) == pytest.approx(1 / 10_001)
    assert randomisation_p(first, first + 0.1, alone(200), "median", permutations=500) < 0.01


def test_agreeing_captions_do_not_make_a_difference_significant() -> None:
    """Six photos, five got better, one worse, ten captions each: 60 queries alone would look certain."""
    groups = np.repeat(np.arange(6), 10)
    second = np.repeat([1.0, 1, 1, 1, 1, -1], 10)
    assert randomisation_p(np.zeros(60), second, alone(60)) < 0.001
    assert randomisation_p(np.zeros(60), second, groups) == pytest.approx(14 / 64, abs=0.02)
