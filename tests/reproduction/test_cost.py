from pathlib import Path

import torch
from made_up_runs import make_detection_run, make_run

from deepres.provenance import provenance
from deepres.report.runs import Run
from deepres.reproduction.cost import logged_speed

CPU = torch.device("cpu")


def here(run: Run, images_per_s: float) -> Run:
    """The run, as if it had been logged on this machine, at this speed."""
    run.meta["provenance"] = provenance(CPU)
    for event in run.events:
        event["images_per_s"] = images_per_s
    return run


def test_a_detectors_speed_is_not_a_classifiers(tmp_path: Path) -> None:
    detector = here(make_detection_run(tmp_path / "a", "resnet101"), 1.5)
    assert logged_speed("resnet101", [detector], CPU) is None
    classifier = here(make_run(tmp_path / "b", "resnet101"), 200.0)
    assert logged_speed("resnet101", [detector, classifier], CPU) == 200.0
