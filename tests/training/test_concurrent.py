"""Several runs at once: each is what it would be alone."""

import dataclasses
import os
import signal
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from deepres.data.cifar10 import Cifar10
from deepres.errors import UserError
from deepres.recipes import get_recipe
from deepres.run_folder import RunFolder
from deepres.training.interrupt import Interrupted
from deepres.training.run import NewRun, resume_together, train, train_together
from deepres.training.setup import How
from deepres.training.state import Diverged, TrainingState

SHORT = dataclasses.replace(
    get_recipe("resnet8").shortened(8), batch_size=16, log_every=2, eval_every=4
)
HOW = How(device="cpu")


@pytest.fixture(scope="module")
def data(sample: Cifar10) -> Cifar10:
    train, test = sample.train.subset(slice(500)), sample.test.subset(slice(100))
    return dataclasses.replace(sample, train=train, test=test)


def assert_same(a: Path, b: Path) -> None:
    first, second = (load_file(RunFolder(path).weights) for path in (a, b))
    for name, tensor in first.items():
        assert torch.equal(tensor, second[name]), name
    logged = []
    for path in (a, b):
        events = RunFolder(path).read_events()
        logged.append([{k: v for k, v in e.items() if k != "images_per_s"} for e in events])
    assert logged[0] == logged[1]


def test_each_is_what_it_would_be_alone(tmp_path: Path, data: Cifar10, monkeypatch) -> None:
    order = []
    true_record = TrainingState.record

    def record(state: TrainingState, *arguments: torch.Tensor) -> None:
        true_record(state, *arguments)
        order.append(state.step)

    monkeypatch.setattr(TrainingState, "record", record)
    plain = dataclasses.replace(SHORT, model="plain14")
    runs = [
        NewRun(recipe, seed, tmp_path / f"together-{i}")
        for i, (recipe, seed) in enumerate([(SHORT, 3), (SHORT, 4), (plain, 4)])
    ]
    results = train_together(runs, data, HOW)
    assert order == [step for step in range(1, 9) for _ in runs]
    assert [result["seed"] for result in results] == [3, 4, 4]
    assert results[0]["provenance"]["runs_at_once"] == 3
    for recipe, seed, folder in runs:
        alone = folder.with_name(f"{folder.name}-alone")
        train(recipe, alone, data, seed=seed, device="cpu")
        assert_same(folder, alone)


def test_all_stop_when_asked_to_and_go_on(tmp_path: Path, data: Cifar10, monkeypatch) -> None:
    true_record = TrainingState.record

    def record(state: TrainingState, *arguments: torch.Tensor) -> None:
        true_record(state, *arguments)
        if state.step == 3:
            monkeypatch.setattr(TrainingState, "record", true_record)
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(TrainingState, "record", record)
    runs = {seed: tmp_path / f"run-{seed}" for seed in (0, 1)}
    with pytest.raises(Interrupted) as stop:
        train_together([NewRun(SHORT, *run) for run in runs.items()], data, HOW)
    assert stop.value.runs == tuple(runs.values())
    assert f"--resume {runs[0]} {runs[1]}" in str(stop.value)
    resume_together(list(runs.values()), data, HOW)
    for seed, folder in runs.items():
        train(SHORT, tmp_path / f"alone-{seed}", data, seed=seed, device="cpu")
        assert_same(folder, tmp_path / f"alone-{seed}")


def test_the_others_go_on_when_one_diverges(tmp_path: Path, data: Cifar10, monkeypatch) -> None:
    true_record = TrainingState.record

    def record(state: TrainingState, outcome: torch.Tensor) -> None:
        states.append(state)
        poisoned = state is states[0] and state.step == 2
        true_record(state, outcome * float("nan") if poisoned else outcome)

    states: list[TrainingState] = []
    monkeypatch.setattr(TrainingState, "record", record)
    runs = {seed: tmp_path / f"run-{seed}" for seed in (0, 1)}
    with pytest.raises(Diverged, match="the loss is nan after step 3"):
        train_together([NewRun(SHORT, *run) for run in runs.items()], data, HOW)
    assert not RunFolder(runs[0]).result.exists()
    assert RunFolder(runs[1]).result.exists()


def test_several_runs_are_not_for_several_processes(
    tmp_path: Path, data: Cifar10, monkeypatch
) -> None:
    from deepres.distributed import World
    from deepres.training import run

    monkeypatch.setattr(run, "join_world", lambda name: (World(0, 2), torch.device("cpu")))
    with pytest.raises(UserError, match="2 runs at once take one process, but torchrun started 2"):
        train_together([NewRun(SHORT, seed, tmp_path / str(seed)) for seed in (0, 1)], data, HOW)
    assert not list(tmp_path.iterdir())
