"""A classifier's errors by class, as ``deepres evaluate`` has kept them."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from deepres.report.runs import Run
from deepres.report.tested import tests


class Cell(NamedTuple):
    """Of a confusion matrix."""

    images: int
    """How many of the row's class were taken for the column's."""
    shade: float
    """From 0 to 1; the root of their share, so that rare mistakes are seen."""


@dataclass(frozen=True)
class ClassErrors:
    """What one test has found."""

    test: str
    """Which, in words."""
    whole_pct: float
    """The error on all images."""
    errors_pct: list[tuple[str, float]]
    """Classes with images, the hardest first; of many classes not all."""
    confusion: list[tuple[str, list[Cell]]]
    """Rows by their class; none: there are too many classes."""

    @property
    def hardest(self) -> tuple[str, float]:
        """The class with the highest error."""
        return self.errors_pct[0]


def class_errors(run: Run) -> ClassErrors | None:
    """Return the errors by class that the latest test of ``run`` has kept; None: none has.

    That by one crop, as in training, goes before others.
    """
    kept = [test for test in tests(run) if any(_errors(test).values())]
    if not kept:
        return None
    test = next((each for each in reversed(kept) if each["views"] == "1-crop"), kept[-1])
    errors = sorted(
        ((name, float(pct)) for name, pct in _errors(test).items() if pct is not None),
        key=lambda each: -each[1],
    )
    where = f"{test['views']}, {test['images']:,} images, {test['data']}"
    return ClassErrors(where, float(test["top1_error_pct"]), errors, _confusion(test))


def _errors(test: Mapping[str, Any]) -> Mapping[str, float | None]:
    found: Mapping[str, float | None] = test.get("class_errors_pct", {})
    return found


def _confusion(test: Mapping[str, Any]) -> list[tuple[str, list[Cell]]]:
    names, rows = list(_errors(test)), test.get("confusion", [])
    if [len(row) for row in rows] != [len(names)] * len(names):
        return []
    return [
        (name, [Cell(count, math.sqrt(count / (sum(row) or 1))) for count in row])
        for name, row in zip(names, rows, strict=True)
    ]
