import dataclasses
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from deepres.data.cifar10 import Cifar10
from deepres.distributed import ALONE, World
from deepres.errors import UserError
from deepres.execution import Execution
from deepres.recipes import get_recipe
from deepres.report.read_runs import read_run
from deepres.reproduction.artefacts import Artefact, Study
from deepres.reproduction.cost import logged_speed, time_left
from deepres.reproduction.execute_plan import execute_plan, together, work
from deepres.reproduction.plan import PlannedRun, plan
from deepres.training.interrupt import Interrupted
from deepres.training.state import RunState

SMALL = Artefact("small", "two networks", (Study("plain8"), Study("resnet8", views="10-crop")))


@pytest.fixture(scope="module")
def data(sample: Cifar10) -> Cifar10:
    train, test = sample.train.subset(slice(500)), sample.test.subset(slice(20))
    return dataclasses.replace(sample, train=train, test=test)


def carry(runs: list[PlannedRun], data: Cifar10) -> None:
    execute_plan("small", runs, lambda kind: data, Execution.on("cpu"))


def test_a_plan_is_carried_out_over_an_interruption(
    tmp_path: Path,
    data: Cifar10,
    monkeypatch: pytest.MonkeyPatch,
    on_each_step: Callable[[Callable[[RunState], None]], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    runs = plan([SMALL], tmp_path, steps=4)
    taken: list[str] = []

    def note(state: RunState) -> None:
        taken.append(state.task.recipe.model)
        if len(taken) == 6:
            os.kill(os.getpid(), signal.SIGTERM)

    on_each_step(note)
    with pytest.raises(Interrupted):
        carry(runs, data)
    assert [run.state() for run in runs] == ["finished", "cut off"]
    carry(runs, data)
    assert taken == ["plain8"] * 4 + ["resnet8"] * 4
    exact: list[torch.device] = []  # what is only tested must be so, too
    monkeypatch.setattr("deepres.execution.make_repeatable", exact.append)
    carry(runs, data)
    assert exact == [torch.device("cpu")]
    assert len(taken) == 8
    assert [run.state() for run in runs] == ["finished"] * 2
    (noted,) = read_run(runs[1].folder).side_file("evaluations.json")
    assert (noted["views"], noted["images"]) == ("10-crop", 20)
    assert read_run(runs[0].folder).side_file("evaluations.json") is None
    assert "small (%) 100/100" in capsys.readouterr().err


def test_seeds_of_a_small_network_are_trained_at_once_on_a_gpu(tmp_path: Path) -> None:
    more = Artefact("more", "a large network", (Study("resnet18"),))
    runs = plan([SMALL, more], tmp_path, steps=2, seeds=2)
    gpu, cpu = torch.device("cuda"), torch.device("cpu")
    names = [[run.folder.name for run in group] for group in together(runs, Execution(gpu))]
    assert names == [
        ["plain8-2steps-s0", "plain8-2steps-s1"],
        ["resnet8-2steps-s0", "resnet8-2steps-s1"],
        ["resnet18-2steps-s0"],
        ["resnet18-2steps-s1"],
    ]
    for device, world in ((cpu, ALONE), (gpu, World(0, 2))):
        assert [len(group) for group in together(runs, Execution(device, world))] == [1] * 6


def test_a_group_of_seeds_is_carried_out(
    tmp_path: Path, data: Cifar10, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "deepres.reproduction.execute_plan.together", lambda runs, *where: [runs[:2], runs[2:]]
    )
    runs = plan([SMALL], tmp_path, steps=2, seeds=2)
    carry(runs, data)
    assert [run.state() for run in runs] == ["finished"] * 4
    assert read_run(runs[0].folder).meta["provenance"]["runs_at_once"] == 2


def test_other_data_are_refused_before_anything_runs(
    tmp_path: Path, data: Cifar10, sample: Cifar10
) -> None:
    plain, residual = plan([SMALL], tmp_path, steps=2)
    carry([residual], data)
    with pytest.raises(UserError, match="resnet8-2steps-s0 began with"):
        carry([plain, residual], sample)
    assert plain.state() == "missing"


def test_work_is_that_of_the_network_and_the_length() -> None:
    short, long = (get_recipe(name).scaled_to(100) for name in ("resnet20", "resnet56"))
    assert work(short) == pytest.approx(40.8e6 * 128 * 100, rel=0.02)  # as torchvision counts
    assert work(long) / work(short) == pytest.approx(3.1, rel=0.02)


def test_speed_is_what_runs_logged_here_or_is_measured(tmp_path: Path, data: Cifar10) -> None:
    runs = plan([SMALL], tmp_path, steps=4)
    carry(runs[:1], data)
    cpu = torch.device("cpu")
    there = [read_run(runs[0].folder)]
    logged = there[0].curve("train", "images_per_s")[1]
    speed = logged_speed(runs[0].recipe, there, cpu)
    assert speed is not None
    assert min(logged) <= speed <= max(logged)
    assert logged_speed(runs[1].recipe, there, cpu) is None
    assert runs[1].recipe.batch_size == 128
    (left,) = time_left(runs[1:], there, cpu).values()
    assert 0 < left < 60  # 512 images, at the speed that is measured now
    again = dataclasses.replace(runs[0], folder=tmp_path / "again")
    assert time_left([again], there, cpu) == {again.folder: pytest.approx(512 / speed)}
    there[0].meta["provenance"]["hardware"] = "another"
    assert logged_speed(runs[0].recipe, there, cpu) is None
