"""The questions that claims are made of: is one network above another, alike, is there a trend?"""

import itertools
import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from deepres.report.names import title
from deepres.report.predictions import paired_errors_of
from deepres.report.runs import Run
from deepres.report.samples import SMALLEST, Measure, Runs, Sample
from deepres.report.significance import (
    Difference,
    falling_trend,
    paired_draws,
    paired_errors,
    welch,
)


@dataclass(frozen=True)
class Finding:
    """What a significance test says."""

    p_for: float
    """One-sided: how likely so much in favour would be, if the comparison did not hold."""
    p_against: float
    """The same of so much against it."""
    difference: float
    """Of the first side's mean and the last one's; of ratios, their quotient."""
    interval: tuple[float, float] | None = None
    """That holds the difference with a confidence of 95 %."""
    test: str = ""
    """Which it is, in words; nothing: Welch's."""

    @property
    def p(self) -> float:
        """Two-sided."""
        return min(1.0, 2 * min(self.p_for, self.p_against))


@dataclass(frozen=True)
class Comparison(ABC):
    """A question about ``measure``."""

    measure: Measure
    sides: tuple[str | float, ...]
    """Networks or constants, those expected to be larger first."""
    supporting: bool = field(default=False, kw_only=True)
    """Whether it can contradict its claim, but need not hold for it."""

    @property
    @abstractmethod
    def question(self) -> str:
        """It, in signs: "plain-56 > plain-20"."""

    @property
    def networks(self) -> list[str]:
        """Whose runs it needs."""
        return [side for side in self.sides if isinstance(side, str)]

    def samples(self, runs: Runs) -> tuple[Sample, ...]:
        """Return what ``runs`` say of each side."""
        return tuple(self._sample(side, runs) for side in self.sides)

    def _sample(self, side: str | float, runs: Runs) -> Sample:
        if not isinstance(side, str):
            return Sample(side_name(side), (side,), exact=True)
        values = [(run, self.measure.of(run)) for run in runs.get(side, ())]
        found = [(run, v) for run, v in values if v is not None and math.isfinite(v)]
        return Sample(title(side), tuple(v for _, v in found), runs=tuple(run for run, _ in found))

    @abstractmethod
    def test(self, samples: Sequence[Sample]) -> Finding:
        """Test it on samples of enough runs."""

    def test_paired(self, samples: Sequence[Sample]) -> Finding | None:
        """Test it on single runs, image by image; None: that cannot be done."""
        return None

    def _pair(self, samples: Sequence[Sample]) -> tuple[Run, Run] | None:
        """Return a run of each side: of the lowest seed that both have, or else of its lowest.

        So they are chosen by nothing that they have found. None: a side has no runs.
        """
        if not all(sample.runs for sample in samples):
            return None
        first, second = ({run.meta["seed"]: run for run in sample.runs} for sample in samples)
        shared = first.keys() & second.keys()
        return first[min(shared or first)], second[min(shared or second)]

    def _difference(self, samples: Sequence[Sample]) -> Difference:
        """Return that of the first and the last sample; of ratios, that of the logarithms."""
        first, last = ([self._scaled(v) for v in samples[i].values] for i in (0, -1))
        return welch(first, last)

    def _paired(self, samples: Sequence[Sample]) -> tuple[Difference, str] | None:
        """Return the difference of two single runs, from draws of the same images, and its test."""
        pair = self._pair(samples)
        if not self.measure.draws or not pair:
            return None
        first, second = map(self.measure.draws, pair)
        if first is None or second is None or first.images != second.images:
            return None
        values = [self._scaled(self.measure.of(run) or 0.0) for run in pair]
        draws = [np.array([*map(self._scaled, each.values)]) for each in (first, second)]
        words = f"{_chosen(pair, samples)}compared on {first.count:,} images (bootstrap)"
        return paired_draws(values[0] - values[1], *draws), words

    def _finding(
        self, difference: Difference, p_for: float, p_against: float, test: str = ""
    ) -> Finding:
        """Return what a test says, the difference in the measure's own units."""
        ends = [float(difference.mean), *map(float, difference.interval())]
        mean, low, high = map(math.exp, ends) if self.measure.ratio else ends
        return Finding(p_for, p_against, mean, (low, high), test)

    def _scaled(self, value: float) -> float:
        return math.log(max(value, SMALLEST)) if self.measure.ratio else value


@dataclass(frozen=True)
class Above(Comparison):
    """That ``measure`` is larger for the first side than for the second."""

    by: float = field(default=0.0, kw_only=True)
    """By more than this; a negative number: smaller by less than that."""

    @property
    def question(self) -> str:
        """It, in signs."""
        first, second = map(side_name, self.sides)
        if not self.by:
            return f"{first} > {second}"
        return f"{first} > {second} {'+' if self.by > 0 else '−'} {abs(self.by):g}"

    def test(self, samples: Sequence[Sample]) -> Finding:
        """Test it by Welch's t-test."""
        return self._tested(self._difference(samples))

    def _tested(self, difference: Difference, test: str = "") -> Finding:
        above, below = difference.p_above(self.by), difference.p_below(self.by)
        return self._finding(difference, float(above), float(below), test)

    def test_paired(self, samples: Sequence[Sample]) -> Finding | None:
        """Test it on what both runs answered to the same images, if that is kept.

        Errors are compared by McNemar's test, precisions by the bootstrap. Where the means of all
        runs point the other way, these two tell nothing.
        """
        finding = self._of_a_pair(samples)
        if finding is None:
            return None
        of_pair, of_all = self._scaled(finding.difference), float(self._difference(samples).mean)
        return None if (of_pair - self.by) * (of_all - self.by) < 0 else finding

    def _of_a_pair(self, samples: Sequence[Sample]) -> Finding | None:
        if paired := self._paired(samples):
            return self._tested(*paired)
        pair = self._pair(samples)
        if self.by or not self.measure.views or not pair:
            return None
        errors = paired_errors_of(*pair, self.measure.views, self.measure.top)
        if errors is None:
            return None
        p_values = paired_errors(errors.first_alone, errors.second_alone)
        first, second = (self.measure.of(run) or 0.0 for run in pair)
        words = f"{_chosen(pair, samples)}compared on {errors.images:,} images (McNemar)"
        return Finding(*p_values, first - second, test=words)


@dataclass(frozen=True)
class Within(Comparison):
    """That the difference of two sides, of ratios their quotient, lies between two limits."""

    low: float = field(kw_only=True)
    high: float = field(kw_only=True)

    @property
    def question(self) -> str:
        """It, in signs."""
        sign = "/" if self.measure.ratio else "−"
        low, high = (f"{limit:g}".replace("-", "−") for limit in (self.low, self.high))
        return f"{low} < {f' {sign} '.join(map(side_name, self.sides))} < {high}"

    def test(self, samples: Sequence[Sample]) -> Finding:
        """Test it by two one-sided tests (TOST), with Welch's standard error."""
        return self._tested(self._difference(samples), "two one-sided tests")

    def test_paired(self, samples: Sequence[Sample]) -> Finding | None:
        """Test it as ``Above`` does, if precisions are compared; errors are not."""
        paired = self._paired(samples)
        if paired is None or self._inside(paired[0]) != self._inside(self._difference(samples)):
            return None
        return self._tested(*paired)

    def _inside(self, difference: Difference) -> bool:
        return bool(self._scaled(self.low) < difference.mean < self._scaled(self.high))

    def _tested(self, difference: Difference, test: str) -> Finding:
        low, high = self._scaled(self.low), self._scaled(self.high)
        inside = max(difference.p_above(low), difference.p_below(high))
        outside = min(difference.p_below(low), difference.p_above(high))
        return self._finding(difference, float(inside), float(outside), test)


@dataclass(frozen=True)
class Trend(Comparison):
    """That ``measure`` falls along all sides, as a whole."""

    @property
    def question(self) -> str:
        """It, in signs."""
        return f"trend: {' > '.join(map(side_name, self.sides))}"

    def test(self, samples: Sequence[Sample]) -> Finding:
        """Test it by the test of Jonckheere and Terpstra."""
        falling, rising = falling_trend([sample.values for sample in samples])
        return self._finding(self._difference(samples), falling, rising, "trend test")


def falling(measure: Measure, *networks: str) -> tuple[Comparison, ...]:
    """Return the questions that ``measure`` falls along ``networks``, and does so at each step."""
    steps = (Above(measure, pair, supporting=True) for pair in itertools.pairwise(networks))
    return Trend(measure, networks), *steps


def _chosen(pair: tuple[Run, Run], samples: Sequence[Sample]) -> str:
    """Say of which seeds a pair is, where there were others."""
    if all(sample.n == 1 for sample in samples):
        return ""
    first, second = (run.meta["seed"] for run in pair)
    return f"seed {first} of each " if first == second else f"seeds {first} and {second} "


def side_name(side: str | float) -> str:
    """Return a network's name as the paper prints it, or a number."""
    return title(side) if isinstance(side, str) else f"{side:g}"
