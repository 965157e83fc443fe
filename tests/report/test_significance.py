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


@pytest.mark.parametrize(
    ("n", "m", "spread", "between"),
    [
        (5, 5, 1.0, (0.04, 0.06)),
        (5, 5, 3.0, (0.04, 0.06)),
        (10, 10, 1.0, (0.04, 0.06)),
        (3, 5, 1.0, (0.04, 0.06)),
        (3, 3, 1.0, (0.03, 0.06)),  # Welch's test is careful with three
        (3, 3, 3.0, (0.04, 0.06)),
    ],
)
def test_equals_are_told_apart_in_five_per_cent(
    n: int, m: int, spread: float, between: tuple[float, float]
) -> None:
    random = np.random.default_rng(1)
    higher = random.normal(7, 0.16, (100_000, n))
    found = welch(higher, random.normal(7, 0.16 * spread, (100_000, m)))
    two_sided = 2 * np.minimum(found.p_above(0), found.p_below(0))
    assert between[0] < (two_sided < LEVEL).mean() < between[1]


def test_a_trend_among_equals_is_seen_in_at_most_five_per_cent() -> None:
    random = np.random.default_rng(2)
    trends = [falling_trend(groups.tolist()) for groups in random.normal(7, 0.16, (4_000, 5, 3))]
    seen = np.mean([2 * min(trend) < LEVEL for trend in trends])
    assert 0.04 < seen < 0.06
