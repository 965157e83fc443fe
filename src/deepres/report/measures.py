"""What claims compare: numbers of one finished run."""

import math
import statistics
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from deepres.report.detection_runs import Test, tests_of
from deepres.report.published_detection import TABLE_7, TABLE_8
from deepres.report.runs import RESPONSES, SIGNALS, Run
from deepres.report.samples import SMALLEST, Draws, Measure
from deepres.report.tested import counts, tests

STRETCH = 0.05
"""A training error is the mean over so much of the training."""
QUARTERS = (0.25, 0.5, 0.75, 1.0)


def test_error(run: Run) -> float | None:
    """Return the final test error in %."""
    return None if run.result is None else float(run.result["test_error_pct"])


def lowest_test_error(run: Run) -> float | None:
    """Return the lowest test error in % that the training has seen."""
    return min(run.curve("test")[1], default=None) if run.result else None


def error_by(run: Run, views: str, key: str) -> float | None:
    """Return the error in % that ``deepres evaluate`` has found by ``views`` on the most images.

    They are the test images of the run's data, on the paper's data all of them. Of several the
    latest counts.
    """
    if run.result is None:
        return None
    own = [
        found
        for found in tests(run)
        if found["views"] == views and counts(run, found["images"], found.get("fingerprint"))
    ]
    best = max(reversed(own), key=lambda found: found["images"], default=None)
    return None if best is None else float(best[key])


def precision(run: Run, key: str) -> float | None:
    """Return the mean average precision in % on the benchmark that the paper has for the data."""
    test = _papers_test(run, key)
    return None if test is None else float(test.found[key])


def precision_draws(run: Run, key: str) -> Draws | None:
    """Return that precision for draws of the benchmark's images."""
    test = _papers_test(run, key)
    return None if test is None else test.draws(key)


def _papers_test(run: Run, key: str) -> Test | None:
    """Return a detector's test that the paper has, without the improvements of appendix B."""
    for entry in (*TABLE_7, *TABLE_8):
        if run.kind == "detection" and run.meta["recipe"]["dataset"] == entry.test.dataset:
            for test in tests_of([run]):
                if test.is_plainly_on(entry.test) and key in test.found:
                    return test
    return None


def training_error(run: Run, at: float = 1.0) -> float | None:
    """Return the training error in %, over augmented images, when a share of the steps is done.

    It is the mean over what was logged in the twentieth of the training that ends there, or else
    what was logged last before that: the same for a run whose logs are thinned.
    """
    if run.result is None:
        return None
    end = at * run.steps
    windows = [(s, error) for s, error in zip(*run.curve("train"), strict=True) if s <= end]
    stretch = [error for step, error in windows if step > end - STRETCH * run.steps]
    return statistics.fmean(stretch or [windows[-1][1]]) if windows else None


def early_training_error(run: Run) -> float | None:
    """Return the training error in % half-way to the first drop of the learning rate."""
    drops = run.meta["recipe"]["lr_drops"]
    return training_error(run, drops[0] / 2 / run.steps) if drops else None


def response(run: Run) -> float | None:
    """Return the mean over layers of the standard deviation of their responses."""
    stds = _layers(run, RESPONSES, "std")
    return statistics.fmean(stds) if stds else None


def forward_signal(run: Run) -> float | None:
    """Return the weakest layer's forward standard deviation as a share of the first layer's."""
    stds = _layers(run, SIGNALS, "forward_std")
    return _share(min, stds, stds[0]) if stds else None


def weakest_gradient(run: Run) -> float | None:
    """Return the weakest layer's gradient norm as a share of the last layer's."""
    norms = _layers(run, SIGNALS, "gradient_norm")
    return _share(min, norms, norms[-1]) if norms else None


def strongest_gradient(run: Run) -> float | None:
    """Return the strongest layer's gradient norm as a multiple of the last layer's."""
    norms = _layers(run, SIGNALS, "gradient_norm")
    return _share(max, norms, norms[-1]) if norms else None


TEST = Measure("test error (%)", test_error, views="1-crop")
LOWEST_TEST = Measure("lowest test error (%)", lowest_test_error)
TRAINING = Measure("training error (%)", training_error)
EARLY_TRAINING = Measure("training error half-way to the first drop (%)", early_training_error)
TRAINING_AT = tuple(
    Measure(f"training error after {at:.0%} of the steps (%)", partial(training_error, at=at))
    for at in QUARTERS
)
TOP1_10_CROP = Measure(
    "top-1 error, 10-crop (%)",
    partial(error_by, views="10-crop", key="top1_error_pct"),
    views="10-crop",
)
TOP5_MULTI_SCALE = Measure(
    "top-5 error, multi-scale (%)",
    partial(error_by, views="multi-scale", key="top5_error_pct"),
    views="multi-scale",
    top=5,
)
MAP_50, MAP = (
    Measure(name, partial(precision, key=key), decimals=1, draws=partial(precision_draws, key=key))
    for name, key in (("mAP@.5 (%)", "map_50_pct"), ("mAP@[.5, .95] (%)", "map_pct"))
)
MAP_RATIO = replace(MAP, name="mAP@[.5, .95], as a ratio", decimals=2, ratio=True)
RESPONSE = Measure("mean response (std)", response, decimals=3)
FORWARD = Measure("forward signal, weakest layer to first", forward_signal, 3, ratio=True)
WEAKEST_GRADIENT = Measure("gradient norm, weakest layer to last", weakest_gradient, 3, ratio=True)
STRONGEST_GRADIENT = Measure(
    "gradient norm, strongest layer to last", strongest_gradient, decimals=0, ratio=True
)


def _share(extreme: Callable[[list[float]], float], of: list[float], reference: float) -> float:
    """Return the smallest or largest of numbers as a share of ``reference``.

    What is zero or not finite anywhere has vanished, or exploded.
    """
    if reference > 0 and all(map(math.isfinite, of)):
        return extreme(of) / reference
    return 0.0 if extreme is min else 1 / SMALLEST


def _layers(run: Run, file: str, key: str) -> list[float]:
    """Return a run's numbers by layer from a study's side file; none if it has no such file."""
    return [math.nan if value is None else value for value in run.study(file).get(key, [])]
