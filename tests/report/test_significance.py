"""The tests of significance against SciPy's, against all permutations, and on simulated equals."""

import numpy as np
import pytest
import scipy.stats

from deepres.report.significance import (
    LEVEL,
    falling_trend,
    holm,
    paired_errors,
    welch,
)


@pytest.mark.parametrize(("n", "m"), [(3, 3), (5, 3), (2, 9)])
def test_welch_is_scipys(n: int, m: int) -> None:
    random = np.random.default_rng(n)
    higher, lower = random.normal(6.9, 0.2, (4, n)), random.normal(6.6, 0.1, (4, m))
    ours = welch(higher, lower)
    theirs = scipy.stats.ttest_ind(higher, lower, axis=1, equal_var=False, alternative="greater")
    both = scipy.stats.ttest_ind(higher, lower, axis=1, equal_var=False)
    np.testing.assert_allclose(ours.p_above(0), theirs.pvalue)
    np.testing.assert_allclose(ours.p_below(0), 1 - theirs.pvalue)
    shifted = scipy.stats.ttest_ind(
        higher - 0.2, lower, axis=1, equal_var=False, alternative="greater"
    )
    np.testing.assert_allclose(ours.p_above(0.2), shifted.pvalue)
    interval = both.confidence_interval(1 - LEVEL)
    np.testing.assert_allclose(ours.interval(), interval)


def test_against_a_constant_it_is_the_t_test_of_one_sample() -> None:
    sample = [0.05, 0.08, 0.06, 0.04]
    theirs = scipy.stats.ttest_1samp(sample, 0.1, alternative="less")
    assert float(welch([0.1], sample).p_above(0)) == pytest.approx(theirs.pvalue)
    assert float(welch(sample, [0.1]).p_below(0)) == pytest.approx(theirs.pvalue)


def test_samples_without_spread_differ_for_certain_or_not_at_all() -> None:
    assert float(welch([1.0] * 3, [0.5] * 3).p_above(0)) == 0
    assert float(welch([1.0] * 3, [0.5] * 3).p_below(0)) == 1
    same = welch([1.0] * 3, [1.0] * 3)
    assert (float(same.p_above(0)), float(same.p_below(0))) == (1, 1)


@pytest.mark.parametrize(
    "groups",
    [
        [[8.7, 8.9], [7.5, 8.8], [7.2, 7.1]],
        [[3.0, 2.0, 1.0], [2.5, 1.5]],
        [[1.0, 0.5], [2.0, 2.5], [3.0, 0.7]],
    ],
)
def test_a_trends_p_value_is_that_of_all_permutations(groups: list[list[float]]) -> None:
    def falls(*samples: np.ndarray) -> float:
        later = [np.concatenate(samples[i + 1 :]) for i in range(len(samples) - 1)]
        return sum((a[:, None] > b).sum() for a, b in zip(samples[:-1], later, strict=True))

    ours = falling_trend(groups)
    for p, alternative in zip(ours, ("greater", "less"), strict=True):
        theirs = scipy.stats.permutation_test(
            groups,
            falls,
            permutation_type="independent",
            vectorized=False,
            n_resamples=np.inf,
            alternative=alternative,
        )
        assert p == pytest.approx(theirs.pvalue)


def test_a_tie_counts_for_neither_direction() -> None:
    falling, rising = falling_trend([[2.0], [2.0]])
    assert (falling, rising) == (1, 1)
    strict, _ = falling_trend([[3.0, 2.0], [1.0, 0.0]])
    tied, _ = falling_trend([[3.0, 2.0], [2.0, 0.0]])
    assert strict < tied


@pytest.mark.parametrize(("first", "second"), [(0, 0), (30, 12), (7, 7), (3, 9)])
def test_paired_errors_are_a_binomial_test(first: int, second: int) -> None:
    either = first + second
    more, fewer = paired_errors(first, second)
    if not either:
        assert (more, fewer) == (1, 1)
        return
    greater = scipy.stats.binomtest(first, either, alternative="greater")
    less = scipy.stats.binomtest(first, either, alternative="less")
    assert (more, fewer) == (pytest.approx(greater.pvalue), pytest.approx(less.pvalue))


def test_holm_multiplies_step_by_step() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


def exact_level(n: int, m: int, ratios: np.ndarray) -> np.ndarray:
    """How often Welch's interval misses the difference of two normal means, for some spreads.

    Given what share of both samples' sums of squares is the first one's, which has a beta
    distribution, the difference over the root of both together has Student's t distribution.

    Args:
        n: size of the first sample.
        m: of the second.
        ratios: of the second one's standard deviation to the first one's.
    """
    nodes, weights = np.polynomial.legendre.leggauss(300)
    angle = (nodes + 1) * np.pi / 4
    weights = weights * np.sin(angle) ** (n - 2) * np.cos(angle) ** (m - 2)  # of the beta, by angle
    share, rest = np.sin(angle) ** 2, np.cos(angle) ** 2
    own = (1 / n) / (1 / n + ratios**2 / m)[:, None]  # the first one's share of the variance
    first = np.sqrt(own * share / (n - 1) * n)[..., None] * with_variance_1(n)
    second = np.sqrt((1 - own) * rest / (m - 1) * m)[..., None] * with_variance_1(m)
    _, half = welch(first, second).interval()
    freedom = n + m - 2
    missed = 2 * scipy.stats.t.sf(half * np.sqrt(freedom), freedom)
    return missed @ weights / weights.sum()


def with_variance_1(n: int) -> np.ndarray:
    values = np.arange(n) - (n - 1) / 2
    return values / values.std(ddof=1)


@pytest.mark.parametrize(
    ("n", "m", "least", "most"),
    [
        (3, 3, 3.51, 5.90),
        (4, 4, 4.11, 5.55),
        (5, 5, 4.42, 5.35),
        (10, 10, 4.85, 5.10),
        (5, 10, 4.73, 5.58),
        (3, 5, 4.12, 6.61),  # if there are more seeds on one side than on the other
        (3, 10, 4.61, 7.22),
    ],
)
def test_equals_are_told_apart_in_five_per_cent(n: int, m: int, least: float, most: float) -> None:
    """Whatever their spreads; no test of means does better with so few (docs/DEVIATIONS.md)."""
    levels = 100 * exact_level(n, m, np.logspace(-3, 3, 121))
    assert (levels.min(), levels.max()) == pytest.approx((least, most), abs=0.02)


def test_the_exact_level_is_that_of_simulated_equals() -> None:
    random = np.random.default_rng(1)
    found = welch(random.normal(7, 0.1, (50_000, 3)), random.normal(7, 0.3, (50_000, 5)))
    two_sided = 2 * np.minimum(found.p_above(0), found.p_below(0))
    (exact,) = exact_level(3, 5, np.array([3.0]))
    assert (two_sided < LEVEL).mean() == pytest.approx(exact, abs=0.003)


def test_a_trend_among_equals_is_seen_in_at_most_five_per_cent() -> None:
    random = np.random.default_rng(2)
    trends = [falling_trend(groups.tolist()) for groups in random.normal(7, 0.16, (4_000, 5, 3))]
    seen = np.mean([2 * min(trend) < LEVEL for trend in trends])
    assert 0.04 < seen < 0.06
