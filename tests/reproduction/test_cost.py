from pathlib import Path
from typing import Any

import pytest
import torch
from made_up_runs import make_detection_run, make_run

from deepres.files import read_json
from deepres.provenance import provenance
from deepres.recipes import get_recipe
from deepres.report.runs import Run
from deepres.reproduction import cost
from deepres.reproduction.artefacts import find_artefacts
from deepres.reproduction.cost import logged_speed
from deepres.reproduction.plan import plan

CPU = torch.device("cpu")


def here(run: Run, images_per_s: float, precision: str = "fp32") -> Run:
    """The run, as if it had been logged on this machine, at this speed."""
    run.meta["provenance"] = provenance(CPU) | {"precision": precision}
    for event in run.events:
        event["images_per_s"] = images_per_s
    return run


IN_FLOAT32 = ["precision=fp32"]


def test_a_detectors_speed_is_not_a_classifiers(tmp_path: Path) -> None:
    recipe = get_recipe("resnet101").changed(IN_FLOAT32)
    detector = here(make_detection_run(tmp_path / "a", "resnet101"), 1.5)
    assert logged_speed(recipe, [detector], CPU) is None
    classifier = here(make_run(tmp_path / "b", "resnet101"), 200.0)
    assert logged_speed(recipe, [detector, classifier], CPU) == 200.0


@pytest.mark.parametrize("other", [{"crop": 56}, {"shortcut": "C"}])
def test_a_logged_speed_is_of_the_same_work_only(tmp_path: Path, other: dict[str, Any]) -> None:
    """A crop of 56 is a sixteenth of the work of one of 224."""
    recipe = get_recipe("resnet34").changed(IN_FLOAT32)
    run = here(make_run(tmp_path / "a", "resnet34", deviations=other), 100.0)
    assert logged_speed(recipe, [run], CPU) is None
    same = recipe.changed([f"{field}={value}" for field, value in other.items()])
    assert logged_speed(same, [run], CPU) == 100.0


def test_a_logged_speed_is_of_the_same_precision_only(tmp_path: Path) -> None:
    recipe = get_recipe("resnet20").changed(IN_FLOAT32)
    run = here(make_run(tmp_path / "a"), 100.0, "bf16")
    assert logged_speed(recipe, [run], CPU) is None
    assert logged_speed(recipe.changed(["precision=bf16"]), [run], CPU) == 100.0


def test_a_logged_speed_is_that_of_the_way_in_which_it_was_logged(tmp_path: Path) -> None:
    """Two runs at once have half of the device each; one that goes on alone has all of it."""
    recipe = get_recipe("resnet20").changed(IN_FLOAT32)
    run = here(make_run(tmp_path / "a"), 100.0)
    way = run.meta["provenance"]
    run.meta["provenance"] = {**way, "runs_at_once": 2}
    assert logged_speed(recipe, [run], CPU) == 200.0
    half = run.events[len(run.events) // 2]["step"]
    run.meta["resumed"] = [{"step": half, **way, "runs_at_once": 1}]
    for event in run.events:
        event["images_per_s"] = 200.0 if event["step"] > half else 100.0
    assert logged_speed(recipe, [run], CPU) == 200.0
    run.meta["resumed"][0]["hardware"] = "another"
    run.meta["provenance"]["processes"] = 2
    assert logged_speed(recipe, [run], CPU) is None


def test_each_run_takes_as_long_as_its_own_recipe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cost, "measured_speed", lambda recipe, device: 100.0)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    runs = plan(find_artefacts(["table4"]), tmp_path)
    by_option = {run.recipe.shortcut: run.folder for run in runs if run.recipe.model == "resnet34"}
    seconds = cost.time_left(runs, [], CPU)
    assert seconds[by_option["B"]] < seconds[by_option["C"]]


def test_a_speed_is_of_the_faster_of_two_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = iter((4.0, 2.0))
    monkeypatch.setattr(cost, "seconds", lambda step, times, device: step() is None or next(taken))
    recipe = get_recipe("resnet8").changed(["precision=fp32"])
    assert cost.measured_speed(recipe, CPU) == cost.IMAGES_ON_CPU["cifar10"] / 2


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
    for precision in ("fp32", "bf16"):  # one of them is what the machine takes by itself
        recipe = get_recipe("resnet20").changed([f"precision={precision}"])
        assert cost.estimated_speed(recipe, CPU) == 100.0
    assert measured == ["resnet20", "resnet18", "resnet20"]
    file.write_text('{"cut')
    assert cost.estimated_speed(get_recipe("resnet20"), CPU) == 100.0
    assert measured == ["resnet20", "resnet18", "resnet20", "resnet20"]


def test_without_a_cache_it_is_measured_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/nowhere")
    monkeypatch.setattr(cost, "measured_speed", lambda recipe, device: 100.0)
    assert cost.estimated_speed(get_recipe("resnet20"), CPU) == 100.0
