"""What claims compare: a measure of runs, and a network's values of it over seeds."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from deepres.report.runs import Run
from deepres.report.significance import Numbers

SMALLEST = 1e-9
"""Stands for zero where quotients are compared."""


@dataclass(frozen=True)
class Draws:
    """A number for each of some draws of test images; tests of the same images have the same.

    Their standard deviation is the number's standard error.
    """

    images: str
    """A checksum of the images and what is on them."""
    count: int
    """How many images."""
    values: Numbers


@dataclass(frozen=True)
class Measure:
    """What is compared."""

    name: str
    """With its unit, for people."""
    of: Callable[[Run], float | None]
    """Return it for a run; None: it was not measured."""
    decimals: int = 2
    """How many are worth printing."""
    ratio: bool = False
    """Whether it is compared by quotients, on a logarithmic scale."""
    views: str | None = None
    """By which the answers are kept, if it is an error on test images."""
    top: int = 1
    """Among how many of the likeliest classes the true one must be."""
    draws: Callable[[Run], Draws | None] | None = None
    """Return a run's numbers for draws of its test images, if it is one that can be resampled."""


@dataclass(frozen=True)
class Sample:
    """One side of a comparison: a network's values over seeds, or a constant."""

    label: str
    values: tuple[float, ...]
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
        return statistics.fmean(self.values)

    @property
    def std(self) -> float | None:
        """The sample standard deviation over the runs; None: there is but one."""
        return statistics.stdev(self.values) if self.n > 1 else None


Runs = Mapping[str, Sequence[Run]]
"""Runs that are alike in all but network and seed, by network."""
