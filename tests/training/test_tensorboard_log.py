"""What TensorBoard's own reader finds in a run's folder is what metrics.jsonl says."""

import dataclasses
import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import small_detection
import small_localization
from runs import resume, train

from deepres.cli.main import main
from deepres.data.cifar10 import Cifar10
from deepres.data.detection.records import DetectionData
from deepres.errors import UserError
from deepres.recipes import get_recipe
from deepres.run_folder import RunFolder
from deepres.training.state import RunState
from deepres.training.tensorboard_log import SUFFIX, tensorboard_log

accumulator = pytest.importorskip(
    "tensorboard.backend.event_processing.event_accumulator",
    reason="needs TensorBoard: pip install tensorboard",
)

SHORT = dataclasses.replace(
    get_recipe("resnet8").scaled_to(12), batch_size=8, log_every=3, eval_every=6
)
Curve = list[tuple[int, float]]


@pytest.fixture
def data(sample: Cifar10) -> Cifar10:
    train, test = sample.train.subset(slice(100)), sample.test.subset(slice(30))
    return dataclasses.replace(sample, train=train, test=test)


def read(folder: Path) -> dict[str, Curve]:
    """The curves that TensorBoard shows, without its removal of steps that come again."""
    found = accumulator.EventAccumulator(
        str(folder), size_guidance={accumulator.SCALARS: 0}, purge_orphaned_data=False
    ).Reload()
    return {
        tag: [(scalar.step, scalar.value) for scalar in found.Scalars(tag)]
        for tag in found.Tags()["scalars"]
    }


def logged(folder: Path) -> dict[str, Curve]:
    curves: dict[str, Curve] = {}
    for event in RunFolder(folder).read_events():
        for name in event.keys() - {"step", "split", "phase"}:
            point = (event["step"], pytest.approx(event[name], rel=1e-6))
            curves.setdefault(f"{event['split']}/{name}", []).append(point)
    return curves


def test_a_classifiers_run(tmp_path: Path, data: Cifar10) -> None:
    train(SHORT, tmp_path / "run", data, log=tensorboard_log)
    curves = read(tmp_path / "run")
    assert curves == logged(tmp_path / "run")
    assert [step for step, _ in curves["train/loss"]] == [3, 6, 9, 12]
    assert [step for step, _ in curves["test/error_pct"]] == [6, 12]
    assert {"train/error_pct", "train/lr", "train/images_per_s", "test/loss"} <= curves.keys()


def test_events_can_be_read_as_the_run_goes(
    tmp_path: Path, data: Cifar10, on_each_step: Callable[[Callable[[RunState], None]], None]
) -> None:
    seen = {}
    on_each_step(lambda state: seen.update({state.step: read(tmp_path / "run")}))
    train(SHORT, tmp_path / "run", data, log=tensorboard_log)
    assert seen[3] == {}
    assert [step for step, _ in seen[8]["train/loss"]] == [3, 6]


def test_a_run_that_was_killed_and_extended_has_no_step_twice(
    tmp_path: Path, data: Cifar10, on_each_step: Callable[[Callable[[RunState], None]], None]
) -> None:
    killed = []

    def kill(state: RunState) -> None:
        if state.step == 8 and not killed:
            killed.append(state.step)
            raise RuntimeError("killed")

    on_each_step(kill)
    run = tmp_path / "run"
    with pytest.raises(RuntimeError, match="killed"):
        train(SHORT, run, data, log=tensorboard_log)
    assert read(run) == logged(run)  # up to step 6, but the checkpoint is of step 0
    theirs = run / "events.out.tfevents.1.host"
    theirs.touch()
    resume(run, data, log=tensorboard_log)
    resume(run, data, steps=15, log=tensorboard_log)
    assert read(run) == logged(run)
    assert [step for step, _ in read(run)["train/loss"]] == [3, 6, 9, 12, 15]
    assert theirs.exists()


def test_a_run_that_began_without_is_written_whole(tmp_path: Path, data: Cifar10) -> None:
    run = tmp_path / "run"
    train(SHORT, run, data)
    assert not list(run.glob(f"*{SUFFIX}"))
    resume(run, data, steps=15, log=tensorboard_log)
    assert read(run) == logged(run)


def test_a_detectors_run(tmp_path: Path) -> None:
    with small_detection.narrow_networks():
        data = DetectionData(*small_detection.tiny_sets(tmp_path / "voc"))
        recipe = small_detection.tiny_recipe(4)
        train(recipe, tmp_path / "run", data, workers=0, log=tensorboard_log)
    curves = read(tmp_path / "run")
    assert curves == logged(tmp_path / "run")
    assert {"train/loss_rpn_box_reg", "test/map_50_pct"} <= curves.keys()


def test_a_localization_networks_run_by_the_command(tmp_path: Path) -> None:
    data = small_localization.two_classes(tmp_path / "tiny")
    weights = small_localization.tiny_weights(tmp_path / "weights.safetensors")
    words = ["--weights", str(weights), "--data", str(data), "--out", str(tmp_path / "run")]
    small = [part for each in small_localization.SETTINGS for part in ("--set", each)]
    here = ["--device", "cpu", "--workers", "0", "--steps", "4", "--log", "tensorboard"]
    assert main(["localize", "train", "resnet8", *words, *small, *here]) == 0
    assert read(tmp_path / "run") == logged(tmp_path / "run")
    assert {"train/images_per_s", "test/error_pct"} <= read(tmp_path / "run").keys()


def test_what_is_no_finite_number_is_left_out(tmp_path: Path) -> None:
    with tensorboard_log(tmp_path) as take:
        values = [math.nan, None, 0.5, math.inf]
        for step, loss in enumerate(values, 1):
            take({"step": step, "split": "train", "loss": loss, "phase": "rpn"})
    assert read(tmp_path) == {"train/loss": [(3, 0.5)]}


@pytest.mark.skipif(sys.platform == "win32", reason="no limit on a file's size there")
def test_a_disk_that_refuses_is_told_in_a_line_alone(tmp_path: Path) -> None:
    program = """
import resource, signal, sys
from pathlib import Path
from deepres.training.tensorboard_log import tensorboard_log
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))
try:
    with tensorboard_log(Path(sys.argv[1])) as take:
        take({"step": 1, "split": "train", "loss": 0.5})
except Exception as error:
    print(type(error).__name__, error)
"""
    command = [sys.executable, "-c", program, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"UserError cannot write {tmp_path}: File too large")
    assert done.stderr == ""


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"cannot write .*file"), tensorboard_log(tmp_path / "file"):
        pass


@pytest.mark.parametrize("command", ["train", "detect train", "localize train"])
def test_a_missing_package_is_named_before_all_else(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    assert main([*command.split(), "resnet20", "--log", "tensorboard"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("run: pip install 'deepres[tensorboard]'")
