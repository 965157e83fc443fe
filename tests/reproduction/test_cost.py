from pathlib import Path

import pytest
import torch
from made_up_runs import make_detection_run, make_run

from deepres.files import read_json
from deepres.provenance import provenance
from deepres.recipes import get_recipe
from deepres.report.runs import Run
from deepres.reproduction import cost
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


def test_estimates_are_of_one_measurement_that_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    measured: list[str] = []
    monkeypatch.setattr(
        cost, "measured_speed", lambda recipe, device: measured.append(recipe.model) or 100.0
    )
    assert cost.estimated_speed(get_recipe("resnet20"), CPU) == 100.0
    deeper = cost.estimated_speed(get_recipe("resnet56"), CPU)
    assert deeper == pytest.approx(100 * 0.0406 / 0.125, rel=0.02)  # Table 6's networks, in G
    assert measured == ["resnet20"]
    cost.estimated_speed(get_recipe("resnet101"), CPU)
    assert measured == ["resnet20", "resnet18"]
    file = tmp_path / "deepres" / cost.RATES
    assert len(read_json(file)) == 2
    file.write_text('{"cut')
    assert cost.estimated_speed(get_recipe("resnet20"), CPU) == 100.0
    assert measured == ["resnet20", "resnet18", "resnet20"]


def test_without_a_cache_it_is_measured_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/nowhere")
    monkeypatch.setattr(cost, "measured_speed", lambda recipe, device: 100.0)
    assert cost.estimated_speed(get_recipe("resnet20"), CPU) == 100.0
