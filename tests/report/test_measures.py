import statistics
from pathlib import Path

import pytest
from made_up_runs import SAMPLE, make_run

from deepres.errors import UserError
from deepres.report.measures import (
    backward_signal,
    early_training_error,
    forward_signal,
    response,
    training_error,
)
from deepres.report.measures import (
    test_error as error_in_test,
)


@pytest.mark.parametrize(
    ("source", "uncertainty"),
    [(None, 0.3), (SAMPLE, 0.9487), ("flowers (5 classes)", None)],  # √(0.1·0.9/n)
)
def test_a_test_errors_uncertainty_is_binomial(
    tmp_path: Path, source: str | None, uncertainty: float | None
) -> None:
    value = error_in_test(make_run(tmp_path, test_error_pct=10.0, source=source))
    assert value is not None
    assert value.value == 10.0
    assert value.uncertainty == (uncertainty and pytest.approx(uncertainty, abs=1e-4))


def test_a_training_errors_uncertainty_is_the_spread_of_its_last_windows(tmp_path: Path) -> None:
    run = make_run(tmp_path, train_error_pct=2.0)
    value = training_error(run)
    assert value is not None
    assert value.value == 2.0
    assert value.uncertainty == pytest.approx(statistics.stdev(run.curve("train")[1][-10:]))


def test_early_is_half_way_to_the_first_drop(tmp_path: Path) -> None:
    run = make_run(tmp_path, "resnet18", steps=800)  # drops at 200, logs every 20 steps
    value = early_training_error(run)
    steps, errors = run.curve("train")
    assert value is not None
    assert value.value == pytest.approx(statistics.fmean(errors[: steps.index(100) + 1]))
    no_drops = make_run(tmp_path / "flat", "resnet18", steps=400, deviations={"lr_drops": []})
    assert early_training_error(no_drops) is None


def test_layers(tmp_path: Path) -> None:
    signals = {"layers": ["a", "b", "c"], "forward_std": [2.0, 1.0, 3.0]}
    signals["gradient_norm"] = [9.0, 5.0, 10.0]
    run = make_run(tmp_path, responses={"layers": ["a", "b"], "std": [1, 3]}, signals=signals)
    mean = response(run)
    assert mean is not None
    assert mean == (2.0, pytest.approx(1.0))  # std √2 over √2
    assert forward_signal(run) == (0.5, 0.0)
    assert backward_signal(run) == (0.5, 0.0)


@pytest.mark.parametrize("norms", [[0.0, 1.0], [1.0, 0.0], [float("nan"), 1.0]])
def test_what_is_zero_or_not_a_number_has_vanished(tmp_path: Path, norms: list[float]) -> None:
    run = make_run(tmp_path, signals={"forward_std": [1.0, 1.0], "gradient_norm": norms})
    assert backward_signal(run) == (0.0, 0.0)


def test_nothing_from_unfinished_runs_or_before_they_were_extended(tmp_path: Path) -> None:
    side_files = {"responses": {"std": [1.0, 2.0]}}
    unfinished = make_run(tmp_path / "unfinished", stopped_at=32_000, **side_files)
    for measure in (error_in_test, training_error, early_training_error, response, forward_signal):
        assert measure(unfinished) is None
    side_files["responses"]["steps"] = 32_000
    assert response(make_run(tmp_path / "extended", **side_files)) is None


@pytest.mark.parametrize(
    ("content", "wrong"),
    [
        ({"layers": []}, "std is missing"),
        ({"std": 3}, "std is 3, expected a list"),
        ({"std": ["x"]}, r"std\[0\] is 'x', expected a number or null"),
        ([1.0], "it is a list, expected an object"),
    ],
)
def test_a_damaged_side_file_is_named(tmp_path: Path, content: object, wrong: str) -> None:
    with pytest.raises(UserError, match=rf"responses\.json is not as deepres writes it: {wrong};"):
        make_run(tmp_path, responses=content)
