"""Several runs at once: each is what it would be alone."""

import dataclasses
import errno
import math
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from runs import assert_same_bits, on_cpu, train

from deepres.checkpoint import load_checkpoint
from deepres.data.cifar10 import Cifar10
from deepres.errors import UserError, cannot_write
from deepres.recipes import get_recipe
from deepres.run_folder import RunFolder
from deepres.training import state
from deepres.training.classification import Classification
from deepres.training.concurrent import run_concurrently
from deepres.training.interrupt import Interrupted
from deepres.training.repetition import as_it_was_computed, read_original
from deepres.training.run import NewRun, resume_together, train_together
from deepres.training.state import Diverged, RunState

SHORT = dataclasses.replace(
    get_recipe("resnet8").scaled_to(8), batch_size=16, log_every=2, eval_every=4
)
HERE = on_cpu()


@pytest.fixture(scope="module")
def data(sample: Cifar10) -> Cifar10:
    train, test = sample.train.subset(slice(500)), sample.test.subset(slice(100))
    return dataclasses.replace(sample, train=train, test=test)


def test_each_is_what_it_would_be_alone(tmp_path: Path, data: Cifar10, on_each_step) -> None:
    order: list[int] = []
    on_each_step(lambda state: order.append(state.step))
    plain = dataclasses.replace(SHORT, model="plain14")
    runs = [
        NewRun(recipe, seed, tmp_path / f"together-{i}")
        for i, (recipe, seed) in enumerate([(SHORT, 3), (SHORT, 4), (plain, 4)])
    ]
    results = train_together(Classification, runs, data, HERE)
    assert order == [step for step in range(1, 9) for _ in runs]
    assert [result["seed"] for result in results] == [3, 4, 4]
    assert results[0]["provenance"]["runs_at_once"] == 3
    for recipe, seed, folder, _ in runs:
        alone = folder.with_name(f"{folder.name}-alone")
        train(recipe, alone, data, seed=seed)
        assert_same_bits(RunFolder(folder), RunFolder(alone))


def test_all_stop_when_asked_to_and_go_on(tmp_path: Path, data: Cifar10, interrupt_after) -> None:
    interrupt_after(3)
    runs = {seed: tmp_path / f"run-{seed}" for seed in (0, 1)}
    with pytest.raises(Interrupted) as stop:
        train_together(Classification, [NewRun(SHORT, *run) for run in runs.items()], data, HERE)
    assert stop.value.runs == tuple(runs.values())
    assert f"--resume {runs[0]} {runs[1]}" in str(stop.value)
    resume_together(Classification, list(runs.values()), data, HERE)
    for seed, folder in runs.items():
        train(SHORT, tmp_path / f"alone-{seed}", data, seed=seed)
        assert_same_bits(RunFolder(folder), RunFolder(tmp_path / f"alone-{seed}"))


def test_one_that_goes_on_alone_is_noted_and_is_no_other_run(
    tmp_path: Path, data: Cifar10, interrupt_after
) -> None:
    interrupt_after(3)
    runs = [NewRun(SHORT, seed, tmp_path / f"run-{seed}") for seed in (0, 1)]
    with pytest.raises(Interrupted):
        train_together(Classification, runs, data, HERE)
    said: list[str] = []
    here = on_cpu(say=said.append)
    [result] = resume_together(Classification, [runs[1].folder], data, here)
    assert said == ["going on from step 3 of 8"]
    assert result["provenance"]["runs_at_once"] == 2
    [way] = result["resumed"]
    assert way == {**result["provenance"], "step": 3, "runs_at_once": 1}
    as_it_was_computed(read_original(runs[1].folder), here)
    assert len(said) == 1


def test_training_time_is_that_of_all_steps_without_any_runs_tests_and_files(
    tmp_path: Path, data: Cifar10, on_each_step, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a clock on which a step takes two seconds, and whatever is no step an hour."""
    now = 0.0

    def passing(seconds: float, call: Callable[..., Any] = lambda *_: None) -> Callable[..., Any]:
        def passes(*arguments, **options):
            nonlocal now
            now += seconds
            return call(*arguments, **options)

        return passes

    monkeypatch.setattr("deepres.training.clock.time", SimpleNamespace(perf_counter=lambda: now))
    on_each_step(passing(2))
    monkeypatch.setattr(Classification, "begin", passing(3600, Classification.begin))
    monkeypatch.setattr(Classification, "evaluate", passing(3600, Classification.evaluate))
    monkeypatch.setattr(Classification, "save_weights", passing(3600, Classification.save_weights))
    monkeypatch.setattr(state, "save_checkpoint", passing(3600, state.save_checkpoint))
    runs = [NewRun(SHORT, seed, tmp_path / f"run-{seed}") for seed in (0, 1)]
    results = train_together(Classification, runs, data, on_cpu(save_every_s=0))
    # From a run's first step to its last there are 8 of its own, and 7 of the other.
    assert [result["training_s"] for result in results] == [30, 30]
    assert now == 2 * (8 * 2 + 3600 * (1 + 2 + 9 + 1))
    for new in runs:
        speeds = [e["images_per_s"] for e in RunFolder(new.folder).read_events() if "lr" in e]
        # In its first window a run takes 2 steps and the other 1; after that both take 2.
        assert speeds == [2 * 16 / (3 * 2), *[2 * 16 / (4 * 2)] * 3]


def test_the_others_go_on_when_one_diverges(tmp_path: Path, data: Cifar10, on_each_step) -> None:
    states: list[RunState] = []

    def poison(state: RunState) -> None:
        states.append(state)
        if state is states[0] and state.step == 3:
            state.window[state.noted - 1] = math.nan

    on_each_step(poison)
    runs = {seed: tmp_path / f"run-{seed}" for seed in (0, 1)}
    said: list[str] = []
    with pytest.raises(Diverged, match=r"run-0: .*the loss is nan after step 3") as error:
        train_together(
            Classification,
            [NewRun(SHORT, *run) for run in runs.items()],
            data,
            on_cpu(say=said.append),
        )
    assert not RunFolder(runs[0]).result.exists()
    result = RunFolder(runs[1]).read_result()
    assert result is not None
    assert said[-2:] == [
        str(error.value),
        f"{runs[1]} is finished: test {result['test_error_pct']:.2f} %",
    ]


def test_a_folder_that_takes_nothing_any_more_ends_its_own_run_alone(
    tmp_path: Path, data: Cifar10, monkeypatch: pytest.MonkeyPatch, interrupt_after
) -> None:
    full = tmp_path / "run-0"
    save = state.save_checkpoint

    def save_elsewhere(path: Path, content: dict[str, Any]) -> None:
        if path.parent == full and content["step"]:
            raise cannot_write(path, OSError(errno.ENOSPC, "No space left on device"))
        save(path, content)

    monkeypatch.setattr(state, "save_checkpoint", save_elsewhere)
    interrupt_after(3)
    said: list[str] = []
    runs = [NewRun(SHORT, seed, tmp_path / f"run-{seed}") for seed in (0, 1)]
    with pytest.raises(Interrupted) as stop:
        train_together(Classification, runs, data, on_cpu(say=said.append))
    assert stop.value.runs == (runs[1].folder,)
    assert said[-1].startswith(f"cannot write {full / 'checkpoint.pt'}: No space left")
    steps = [load_checkpoint(RunFolder(new.folder).checkpoint)["step"] for new in runs]
    assert steps == [0, 3]


def test_each_has_a_folder_of_its_own(tmp_path: Path, data: Cifar10) -> None:
    (tmp_path / "b").mkdir()
    same = [tmp_path / "a", tmp_path / "b" / ".." / "a"]
    runs = [NewRun(SHORT, seed, folder) for seed, folder in enumerate(same)]
    with pytest.raises(UserError, match=r"two of these runs have the same folder, .*\.\./a"):
        train_together(Classification, runs, data, HERE)
    assert not same[0].exists()
    train(SHORT, same[0], data)
    with pytest.raises(UserError, match=r"two of these runs have the same folder, .*\.\./a"):
        resume_together(Classification, same, data, HERE)


def test_several_runs_are_not_for_several_processes(tmp_path: Path, data: Cifar10) -> None:
    from deepres.distributed import World

    two = on_cpu(world=World(0, 2))
    runs = [NewRun(SHORT, seed, tmp_path / str(seed)) for seed in (0, 1)]
    with pytest.raises(UserError, match="2 runs at once take one process, but torchrun started 2"):
        train_together(Classification, runs, data, two)
    assert not list(tmp_path.iterdir())


def test_runs_are_named_in_their_order_whichever_stops_first() -> None:
    def stops_after(steps: int, name: str) -> Any:
        for _ in range(steps):
            yield
        raise Interrupted(2, steps, Path(name))

    loops = [lambda _, n=n, name=name: stops_after(n, name) for n, name in ((2, "a"), (1, "b"))]
    with pytest.raises(Interrupted) as stop:
        run_concurrently(loops, HERE.device)
    assert stop.value.runs == (Path("a"), Path("b"))
