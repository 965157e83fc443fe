import statistics
from dataclasses import replace
from pathlib import Path

import pytest
from made_up_runs import make_run

from deepres.errors import UserError
from deepres.report.measures import (
    TOP1_10_CROP,
    TOP5_MULTI_SCALE,
    early_training_error,
    error_by,
    forward_signal,
    lowest_test_error,
    response,
    strongest_gradient,
    training_error,
    weakest_gradient,
)
from deepres.report.measures import (
    test_error as error_in_test,
)


def test_a_training_error_is_the_mean_of_the_last_twentieth(tmp_path: Path) -> None:
    run = make_run(tmp_path, train_error_pct=2.0)  # 40 windows
    errors = run.curve("train")[1]
    assert training_error(run) == pytest.approx(statistics.fmean(errors[-2:]))
    assert training_error(run, at=0.5) == pytest.approx(statistics.fmean(errors[18:20]))
    assert training_error(run, at=0.01) is None  # nothing is logged yet


@pytest.mark.parametrize("every", [1, 2, 5])
def test_thinned_logs_give_the_same_training_error(tmp_path: Path, every: int) -> None:
    run = make_run(tmp_path)
    events = [{"step": 100 * i, "split": "train", "error_pct": 7.0} for i in range(1, 641)]
    events[-1]["error_pct"] = 1.0  # a single window is chance
    kept = replace(run, events=events[::-1][::every][::-1])
    left = 32 // every + bool(32 % every)
    assert training_error(kept) == pytest.approx(7 - 6 / left)


def test_where_logs_are_rare_the_latest_counts(tmp_path: Path) -> None:
    run = make_run(tmp_path, "resnet18", steps=800)
    rare = replace(run, events=[e for e in run.events if e["step"] in (100, 400, 700)])
    steps, errors = rare.curve("train")
    assert steps == [100, 400, 700]
    assert [training_error(rare, at) for at in (0.25, 0.75, 1.0)] == errors


def test_early_is_half_way_to_the_first_drop(tmp_path: Path) -> None:
    run = make_run(tmp_path, "resnet18", steps=800)  # drops at 200, logs every 20 steps
    steps, errors = run.curve("train")
    end = steps.index(100)
    expected = statistics.fmean(errors[end - 1 : end + 1])
    assert early_training_error(run) == pytest.approx(expected)
    no_drops = make_run(tmp_path / "flat", "resnet18", steps=400, deviations={"lr_drops": []})
    assert early_training_error(no_drops) is None


def test_the_lowest_test_error_is_of_the_whole_training(tmp_path: Path) -> None:
    run = make_run(tmp_path, test_error_pct=9.0)
    low = replace(run, events=[*run.events, {"step": 9, "split": "test", "error_pct": 3.0}])
    assert lowest_test_error(low) == 3.0


def test_errors_by_views_are_the_latest_on_most_images(tmp_path: Path) -> None:
    def found(views: str, error: float, images: int = 50_000) -> dict[str, object]:
        errors = {"top1_error_pct": error, "top5_error_pct": error / 2}
        return {"views": views, "images": images, "data": "val", "provenance": {}, **errors}

    tests = [found("10-crop", 26.0), found("10-crop", 25.0), found("1-crop", 27.0)]
    tests.append(found("10-crop", 3.0, images=250))
    run = make_run(tmp_path / "papers", "resnet34", evaluations=tests)
    assert error_by(run, "10-crop", "top1_error_pct") == 25.0
    assert error_by(run, "multi-scale", "top1_error_pct") is None
    assert (TOP1_10_CROP.of(run), TOP1_10_CROP.views, TOP1_10_CROP.top) == (25.0, "10-crop", 1)
    whole = make_run(tmp_path / "whole", "resnet34", evaluations=[found("multi-scale", 22.0)])
    assert (TOP5_MULTI_SCALE.of(whole), TOP5_MULTI_SCALE.of(run)) == (11.0, None)
    assert (TOP5_MULTI_SCALE.views, TOP5_MULTI_SCALE.top) == ("multi-scale", 5)
    other = make_run(tmp_path / "tiny", "resnet34", source="tiny (200 classes)", evaluations=tests)
    assert error_by(other, "10-crop", "top1_error_pct") == 25.0


def test_only_tests_on_the_runs_own_images_are_compared(tmp_path: Path) -> None:
    def found(error: float, images: int, fingerprint: str) -> dict[str, object]:
        errors = {"top1_error_pct": error, "top5_error_pct": error / 2}
        where = {"data": "val", "fingerprint": fingerprint, "provenance": {}}
        return {"views": "10-crop", "images": images, **where, **errors}

    own = {"test_fingerprint": "f00"}
    tests = [found(26.0, 50_000, "f00"), found(80.0, 50_000, "in fog")]
    run = make_run(tmp_path / "papers", "resnet34", evaluations=tests, **own)
    assert error_by(run, "10-crop", "top1_error_pct") == 26.0
    tests = [found(45.0, 10_000, "f00"), found(5.0, 100_000, "train")]
    tiny = {"source": "tiny (200 classes)", "evaluations": tests}
    run = make_run(tmp_path / "tiny", "resnet34", **tiny, **own)
    assert error_by(run, "10-crop", "top1_error_pct") == 45.0
    old = make_run(tmp_path / "old", "resnet34", **tiny)  # which are its own nobody knows
    assert error_by(old, "10-crop", "top1_error_pct") == 5.0


def test_layers(tmp_path: Path) -> None:
    signals = {"layers": ["a", "b", "c"], "forward_std": [2.0, 1.0, 3.0]}
    signals["gradient_norm"] = [30.0, 5.0, 10.0]
    run = make_run(tmp_path, responses={"layers": ["a", "b"], "std": [1, 3]}, signals=signals)
    assert response(run) == 2.0
    assert forward_signal(run) == 0.5
    assert (weakest_gradient(run), strongest_gradient(run)) == (0.5, 3.0)


@pytest.mark.parametrize("norms", [[0.0, 1.0], [1.0, 0.0], [float("nan"), 1.0]])
def test_what_is_zero_or_not_a_number_has_vanished(tmp_path: Path, norms: list[float]) -> None:
    run = make_run(tmp_path, signals={"forward_std": [1.0, 1.0], "gradient_norm": norms})
    assert weakest_gradient(run) == 0.0


def test_what_is_not_a_number_has_exploded_too(tmp_path: Path) -> None:
    signals = {"forward_std": [1.0, 1.0], "gradient_norm": [float("inf"), 1.0]}
    assert strongest_gradient(make_run(tmp_path, signals=signals)) == pytest.approx(1e9)


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
