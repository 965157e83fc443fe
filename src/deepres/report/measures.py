"""What claims compare: numbers of one finished run, each with the uncertainty that it has alone."""

import math
import statistics
from functools import partial
from typing import Any

from deepres.report.detection_runs import tests_of
from deepres.report.judging import Measure, Value
from deepres.report.published import VALIDATION_IMAGES
from deepres.report.published_detection import TABLE_7, TABLE_8
from deepres.report.runs import PAPERS_DATA, RESPONSES, SIGNALS, Run

TEST_IMAGES = {
    PAPERS_DATA["cifar10"]: 10_000,
    "the embedded sample of CIFAR-10": 1_000,
    PAPERS_DATA["imagenet"]: VALIDATION_IMAGES,
}
"""How many images test a run, by what recipe.json calls its data."""
WINDOWS = 10
"""How many log windows tell the spread of a training error."""


def test_error(run: Run) -> Value | None:
    """Return the final test error in %."""
    if run.result is None:
        return None
    error_pct = float(run.result["test_error_pct"])
    images = TEST_IMAGES.get(run.meta["data"]["source"])
    share = error_pct / 100
    return Value(error_pct, 100 * math.sqrt(share * (1 - share) / images) if images else None)


def precision(run: Run, key: str) -> Value | None:
    """Return the mean average precision in % on the benchmark that the paper has for the data.

    Without the improvements of appendix B. Nothing is known of a single run's uncertainty.
    """
    for entry in (*TABLE_7, *TABLE_8):
        if run.kind == "detection" and run.meta["recipe"]["dataset"] == entry.test.dataset:
            for test in tests_of([run]):
                how = test.found["set"], test.found["images"], test.improvements, test.members
                if how == (entry.test.set, entry.test.images, (), ()) and key in test.found:
                    return Value(float(test.found[key]), None)
    return None


def training_error(run: Run) -> Value | None:
    """Return the training error in % of the last log window, over augmented images."""
    if run.result is None:
        return None
    _, windows = run.curve("train")
    return Value(float(run.result["train_error_pct"]), _spread(windows[-WINDOWS:]))


def early_training_error(run: Run) -> Value | None:
    """Return the training error in % half-way to the first drop of the learning rate.

    It is the mean over the ten log windows that end there.
    """
    drops = run.meta["recipe"]["lr_drops"]
    if run.result is None or not drops:
        return None
    points = zip(*run.curve("train"), strict=True)
    windows = [error for step, error in points if step <= drops[0] / 2][-WINDOWS:]
    return Value(statistics.fmean(windows), _spread(windows)) if windows else None


def response(run: Run) -> Value | None:
    """Return the mean over layers of the standard deviation of their responses."""
    stds = _layers(run, RESPONSES, "std")
    if not stds or not all(map(math.isfinite, stds)):
        return None
    spread = _spread(stds)
    error = None if spread is None else spread / math.sqrt(len(stds))
    return Value(statistics.fmean(stds), error)


def forward_signal(run: Run) -> Value | None:
    """Return the weakest layer's forward standard deviation as a share of the first layer's."""
    stds = _layers(run, SIGNALS, "forward_std")
    return _weakest(stds, stds[0]) if stds else None


def backward_signal(run: Run) -> Value | None:
    """Return the weakest layer's gradient norm as a share of the last layer's."""
    norms = _layers(run, SIGNALS, "gradient_norm")
    return _weakest(norms, norms[-1]) if norms else None


TEST = Measure("test error (%)", test_error)
TRAINING = Measure("training error (%)", training_error)
EARLY_TRAINING = Measure("training error half-way to the first drop (%)", early_training_error)
MAP_50 = Measure("mAP@.5 (%)", partial(precision, key="map_50_pct"), decimals=1)
MAP = Measure("mAP@[.5, .95] (%)", partial(precision, key="map_pct"), decimals=1)
RESPONSE = Measure("mean response (std)", response, decimals=3)
FORWARD = Measure("forward signal, weakest layer to first", forward_signal, decimals=4)
BACKWARD = Measure("gradient norm, weakest layer to last", backward_signal, decimals=4)


def _weakest(values: list[float], reference: float) -> Value:
    """A signal that is zero or not finite anywhere has vanished; one measurement is exact."""
    sound = all(math.isfinite(value) for value in values) and reference > 0
    return Value(min(values) / reference if sound else 0.0, 0.0)


def _spread(values: list[float]) -> float | None:
    return statistics.stdev(values) if len(values) > 1 else None


def _layers(run: Run, file: str, key: str) -> list[float]:
    """Return a finished run's numbers by layer from a side file; none if it has no such file."""
    content: Any = run.side_file(file) if run.result else None
    if content is None or content.get("steps", run.steps) != run.steps:
        return []  # not measured, or before the run was extended
    return [math.nan if value is None else value for value in content[key]]
