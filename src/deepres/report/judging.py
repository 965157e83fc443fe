"""How runs are compared: by one rule, on runs that are alike in all but network and seed."""

import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from deepres.report.runs import Run, title

Verdict = Literal["holds", "does not hold", "undecided", "no run yet"]

RULE = (
    "Only runs of one length, one recipe and one data set are compared, each seed once. Shortened "
    "runs are judged separately, and say nothing about the paper's.",
    "A comparison counts when the difference of the means exceeds the margin. Anything smaller is "
    "undecided.",
    "With several seeds on each side, the margin is two standard errors of the difference, from "
    "the spread over seeds. Of twenty comparisons of equals, about one exceeds that by chance.",
    "Where a side is a single run, the margin is twice the single runs' own uncertainty, and the "
    "verdict says so. That is, for a test error, the binomial standard error for so many test "
    "images; for a training error, the standard deviation over the last ten log windows; for "
    "responses, the standard error of the mean over layers. None of these knows how much seeds "
    "differ.",
    "Two seeds can agree by chance: with two, a difference must exceed both margins.",
    "A claim holds when all of its comparisons hold, and does not hold when one of them does not.",
)
"""What the page says of all that follows."""


class Value(NamedTuple):
    """A number that one run gives."""

    value: float
    uncertainty: float | None
    """One standard error, without other seeds; None: unknown."""


@dataclass(frozen=True)
class Measure:
    """What is compared."""

    name: str
    """With its unit, for people."""
    of: Callable[[Run], Value | None]
    """Return it for a finished run; None: it was not measured."""
    decimals: int = 2
    """How many are worth printing."""


@dataclass(frozen=True)
class Sample:
    """One side of a comparison: a network's values over seeds, or a constant."""

    label: str
    values: tuple[Value, ...]
    exact: bool = False
    """Whether it is a constant."""
    runs: tuple[Run, ...] = ()
    """Which gave the values."""

    @property
    def n(self) -> int:
        """How many runs."""
        return len(self.values)

    @property
    def mean(self) -> float:
        """Over the runs."""
        return statistics.fmean(value for value, _ in self.values)

    @property
    def std(self) -> float | None:
        """The sample standard deviation over the runs; None: there is but one."""
        return statistics.stdev(value for value, _ in self.values) if self.n > 1 else None


Runs = Mapping[str, Sequence[Run]]
"""Runs that are alike in all but network and seed, by network."""


@dataclass(frozen=True)
class Above:
    """The comparison that ``measure`` is larger for ``higher`` than for ``lower``.

    Each side is a network's name or a constant.
    """

    measure: Measure
    higher: str | float
    lower: str | float

    @property
    def sides(self) -> tuple[str | float, str | float]:
        """Both of them, the higher first."""
        return self.higher, self.lower

    @property
    def networks(self) -> list[str]:
        """Whose runs it needs."""
        return [side for side in self.sides if isinstance(side, str)]

    def judge(self, runs: Runs) -> "Evidence":
        """Judge it on ``runs``."""
        higher, lower = (self._sample(side, runs) for side in self.sides)
        missing = [sample.label for sample in (higher, lower) if not sample.n]
        if missing:
            return Evidence(self, higher, lower, None, None, "no run yet", missing)
        difference, margin = higher.mean - lower.mean, margin_of(higher, lower)
        verdict: Verdict = "undecided"
        if margin is not None and abs(difference) > margin:
            verdict = "holds" if difference > 0 else "does not hold"
        return Evidence(self, higher, lower, difference, margin, verdict, [])

    def _sample(self, side: str | float, runs: Runs) -> Sample:
        if not isinstance(side, str):
            return Sample(f"{side:g}", (Value(side, 0.0),), exact=True)
        values = [(run, self.measure.of(run)) for run in runs.get(side, ())]
        found = [(run, v) for run, v in values if v is not None and math.isfinite(v.value)]
        return Sample(title(side), tuple(v for _, v in found), runs=tuple(run for run, _ in found))


@dataclass(frozen=True)
class Evidence:
    """A comparison's numbers and its verdict."""

    comparison: Above
    higher: Sample
    lower: Sample
    difference: float | None
    margin: float | None
    """What the difference has to exceed; None: the runs are too few to say."""
    verdict: Verdict
    missing: list[str]
    """The networks without a number."""

    @property
    def remark(self) -> str:
        """Whether the verdict rests on single runs, and what is missing."""
        if self.missing:
            return f"no {self.comparison.measure.name} of {' and '.join(self.missing)}"
        sides = [side for side in (self.higher, self.lower) if not side.exact]
        single = [side.label for side in sides if side.n == 1]
        few = "" if self.margin is not None else "; too few to know the uncertainty"
        if not single:
            return few.removeprefix("; ")
        if len(sides) == 1:
            return "one run" + few
        each = "each" if len(single) == len(sides) else f"of {single[0]}"
        return f"one run {each}{few}"


def margin_of(higher: Sample, lower: Sample) -> float | None:
    """Return what the difference of two means has to exceed; None: too few runs to say."""
    samples = [sample for sample in (higher, lower) if not sample.exact]
    fewest = min(sample.n for sample in samples)
    seeds = single = 0.0
    if fewest > 1:
        seeds = 2 * math.hypot(*((s.std or 0.0) / math.sqrt(s.n) for s in samples))
    if fewest < 3:
        known = [[u for _, u in s.values if u is not None] for s in samples]
        if not all(known):
            return None
        single = 2 * math.hypot(*(statistics.fmean(each) for each in known))
    return max(seeds, single)


def combined(verdicts: Iterable[Verdict]) -> Verdict:
    """Return the verdict on a claim from those on its comparisons."""
    found = set(verdicts)
    if "does not hold" in found:
        return "does not hold"
    if len(found) == 1:
        return found.pop()
    return "undecided"
