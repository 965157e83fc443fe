"""Significance tests on bare numbers: of two means, of a trend, of paired errors."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import bdtr, stdtr, stdtrit

LEVEL = 0.05
"""How often equals may be told apart, in both directions together."""

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Difference:
    """The difference of two means, as Welch's t-test sees it: the spreads may differ.

    All fields have the shape of what the samples have before their last axis.
    """

    mean: Numbers
    error: Numbers
    """Its standard error."""
    freedom: Numbers
    """The degrees of freedom that the error has."""

    def p_above(self, limit: float) -> Numbers:
        """Return the one-sided p-value of its being larger than ``limit``."""
        return self._p(self.mean - limit)

    def p_below(self, limit: float) -> Numbers:
        """Return the one-sided p-value of its being smaller than ``limit``."""
        return self._p(limit - self.mean)

    def interval(self) -> tuple[Numbers, Numbers]:
        """Return the ends of the interval that holds it with confidence 1 - LEVEL."""
        half = stdtrit(self.freedom, 1 - LEVEL / 2) * self.error
        return self.mean - half, self.mean + half

    def _p(self, beyond: Numbers) -> Numbers:
        with np.errstate(divide="ignore", invalid="ignore"):  # samples without any spread
            t = beyond / self.error
        return np.where(np.isnan(t), 1.0, stdtr(self.freedom, -t))


def welch(higher: ArrayLike, lower: ArrayLike) -> Difference:
    """Compare the means over the last axis of two samples (..., n) and (..., m).

    A sample of one number is exact: it has no error.
    """
    means, errors, freedoms = zip(*map(_mean_and_error, (higher, lower)), strict=True)
    total = errors[0] + errors[1]
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = [(e / total) ** 2 / n for e, n in zip(errors, freedoms, strict=True)]
        freedom = np.where(total > 0, 1 / (shares[0] + shares[1]), sum(freedoms))
    return Difference(means[0] - means[1], np.sqrt(total), freedom)


def _mean_and_error(sample: ArrayLike) -> tuple[Numbers, Numbers, int]:
    """Return the mean, its squared standard error, and the degrees of freedom."""
    values = np.asarray(sample, dtype=np.float64)
    n = values.shape[-1]
    mean = values.mean(-1)
    if n == 1:
        return mean, np.zeros_like(mean), 1
    return mean, values.var(-1, ddof=1) / n, n - 1


def paired_draws(difference: float, first: Numbers, second: Numbers) -> Difference:
    """Return a difference of two numbers with its standard error by the bootstrap.

    Args:
        difference: of the numbers.
        first: the first one's values in B draws of the same images, (B,).
        second: the second one's.
    """
    error = np.asarray(np.std(first - second, ddof=1))
    return Difference(np.array(difference), error, np.array(len(first) - 1))


def falling_trend(groups: Sequence[Sequence[float]]) -> tuple[float, float]:
    """Return the exact one-sided p-values of a falling and of a rising trend over ``groups``.

    It is the test of Jonckheere and Terpstra: in how many pairs of numbers from two groups is that
    of the earlier group the larger? Ties count half, and a half that is left counts against both.
    """
    pairs = [
        (first, second)
        for one, other in itertools.combinations(groups, 2)
        for first in one
        for second in other
    ]
    falls = sum((a > b) + 0.5 * (a == b) for a, b in pairs)
    arrangements = _arrangements(tuple(map(len, groups)))
    whole = sum(arrangements)
    at_least = sum(arrangements[int(falls) :]) / whole
    at_most = sum(arrangements[: int(np.ceil(falls)) + 1]) / whole
    return at_least, at_most


@cache
def _arrangements(sizes: tuple[int, ...]) -> list[int]:
    """Count the orders of all numbers in which 0, 1, 2, … pairs fall, for groups of ``sizes``.

    These are the coefficients of ∏(1 - qⁱ) over i up to the number of numbers, divided by the same
    product for each group.
    """
    most = sum(a * b for a, b in itertools.combinations(sizes, 2))
    counts = [1] + [0] * most
    for i in range(1, sum(sizes) + 1):
        for j in range(most, i - 1, -1):
            counts[j] -= counts[j - i]
    for i in (i for size in sizes for i in range(1, size + 1)):
        for j in range(i, most + 1):
            counts[j] += counts[j - i]
    return counts


def paired_errors(first_alone: int, second_alone: int) -> tuple[float, float]:
    """Return the exact one-sided p-values of the first making more errors, and fewer (McNemar).

    Args:
        first_alone: how many images the first alone mistakes.
        second_alone: how many the second alone mistakes.
    """
    either = first_alone + second_alone
    return float(bdtr(second_alone, either, 0.5)), float(bdtr(first_alone, either, 0.5))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values adjusted for being several, by Holm's step-down rule."""
    adjusted = [0.0] * len(p_values)
    least = 0.0
    for rank, i in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        least = max(least, min(1.0, (len(p_values) - rank) * p_values[i]))
        adjusted[i] = least
    return adjusted
