import math
from pathlib import Path

import numpy as np
import pytest
from made_up_runs import make_detection_run, make_run
from svg import texts

from deepres.errors import UserError
from deepres.report.comparison import comparison, result_differences
from deepres.report.detection_figures import POINTS, detection_curves, precision_recall
from deepres.report.figures import learning_curves
from deepres.run_folder import RunFolder


def lines(axes: object) -> dict[str, np.ndarray]:
    """The lines in the legend by their labels, (points, 2)."""
    return {
        line.get_label(): line.get_xydata()
        for line in axes.get_lines()  # type: ignore[attr-defined]
        if not line.get_label().startswith("_")
    }


def test_losses_are_broken_where_a_phase_begins(tmp_path: Path) -> None:
    run = make_detection_run(tmp_path / "run", map_50_pct=75.0)
    losses, precisions = (lines(axes) for axes in detection_curves(run).axes)
    assert list(losses) == ["sum", "object or not (RPN)", "boxes (RPN)", "classes", "boxes"]
    breaks = [i for i, (step, _) in enumerate(losses["sum"]) if math.isnan(step)]
    assert breaks == [11, 21, 33]  # 40 points in four phases
    rpn = losses["boxes (RPN)"][:, 0]
    assert np.nanmax(rpn[:11]) == 77_000  # the first phase's
    assert np.nanmin(rpn[12:]) > 140_000
    steps, found = precisions["mAP@.5"].T
    assert (steps[0], len(steps)) == (147_000, 19)
    assert found[-1] < 75.0
    assert precisions["mAP@.5, test"][0].tolist() == [280_000, pytest.approx(75 * (1 - math.e**-5))]


def test_joint_training_has_no_phases(tmp_path: Path) -> None:
    run = make_detection_run(tmp_path / "run")
    run.meta["recipe"] |= {"schedule": "joint", "phase_starts": []}
    losses, _ = (lines(axes) for axes in detection_curves(run).axes)
    assert len(losses["sum"]) == 40
    assert not any("phase" in text for text in texts(detection_curves(run)))


def test_a_run_that_has_logged_nothing_can_be_drawn(tmp_path: Path) -> None:
    run = make_detection_run(tmp_path / "run", stopped_at=0)
    assert texts(detection_curves(run))


def test_curves_of_a_detector_are_drawn_where_a_classifiers_are(tmp_path: Path) -> None:
    make_detection_run(tmp_path / "run", steps=400)
    assert learning_curves(RunFolder(tmp_path / "run")).stat().st_size > 10_000


def test_each_class_has_a_panel_with_its_average_precision() -> None:
    recall = np.linspace(0, 0.8, 5_000)
    curve = {"recall": recall.tolist(), "precision": (1 - recall**2).tolist(), "ap_pct": 62.34}
    figure = precision_recall({f"class {i}": curve for i in range(7)})
    shown = [axes for axes in figure.axes if axes.get_visible()]
    assert [axes.get_title() for axes in shown] == [f"class {i}  62.3" for i in range(7)]
    (line,) = shown[0].get_lines()
    drawn = line.get_xydata()
    assert len(drawn) == POINTS
    assert drawn[[0, -1]].tolist() == [[0.0, 1.0], [0.8, pytest.approx(0.36)]]
    assert drawn[:, 1] == pytest.approx(1 - drawn[:, 0] ** 2)


def test_a_class_without_detections_is_an_empty_panel() -> None:
    figure = precision_recall({"none": {"recall": [], "precision": [], "ap_pct": 0.0}})
    assert "none 0.0" in " ".join(texts(figure)).replace("  ", " ")


def test_detectors_are_compared_by_loss_and_precision(tmp_path: Path) -> None:
    runs = [
        make_detection_run(tmp_path / "a", "vgg16", map_50_pct=73.2),
        make_detection_run(tmp_path / "b", "resnet101", map_50_pct=76.4),
        make_detection_run(tmp_path / "c", "resnet101", stopped_at=8_000),
    ]
    figure = comparison(runs)
    assert {"a", "b", "c", "training loss"} <= {*texts(figure)}
    assert [len(axes.get_lines()) for axes in figure.axes] == [3, 3]
    rows = {row[0]: row[1:] for row in result_differences(runs).rows}
    assert rows["mAP@.5 (%)"] == ["73.20", "76.40", "–"]
    assert rows["steps done"][2] == "7,000 of 280,000"


def test_detectors_are_not_compared_with_classifiers(tmp_path: Path) -> None:
    detector = make_detection_run(tmp_path / "a")
    classifier = make_run(tmp_path / "b")
    with pytest.raises(
        UserError, match=r"a is a detector's run and .*b is not; compare runs of one"
    ):
        comparison([classifier, detector])
