"""The command as a user runs it: whole, killed, interrupted, out of disk."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from pictures import image_folder
from safetensors.torch import load_file

from deepres.checkpoint import digest_of, load_checkpoint
from deepres.cli.main import main

pytestmark = pytest.mark.slow

# Two threads, as users have: the same bits must not need one.
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "2", "OMP_WAIT_POLICY": "passive"}
DEEPRES = [sys.executable, "-m", "deepres"]
RUN = ["train", "resnet8", "--data", "sample", "--steps", "40", "--device", "cpu"]
RUN += ["--set", "batch_size=32", "--set", "eval_every=20", "--save-every", "0", "--out", "run"]


def deepres(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [*DEEPRES, *arguments]
    return subprocess.run(
        command, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, check=False
    )


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    pipe = subprocess.PIPE
    command = [*DEEPRES, *arguments]
    return subprocess.Popen(
        command, cwd=folder, env=ENVIRONMENT, stdout=pipe, stderr=pipe, text=True
    )


def wait_for_checkpoint(process: subprocess.Popen[str], run: Path, newer_than: int = 0) -> None:
    """Wait until the run has saved a step beyond ``newer_than``."""
    for _ in range(1200):
        assert process.poll() is None, process.communicate()[1]
        if (run / "checkpoint.pt").exists() and step_of(run) > newer_than:
            return
        time.sleep(0.05)
    pytest.fail("no checkpoint within a minute")


def step_of(run: Path) -> int:
    try:
        return int(load_checkpoint(run / "checkpoint.pt")["step"])
    except Exception:  # caught between two renames
        return -1


def assert_same_run(a: Path, b: Path) -> None:
    states = [load_checkpoint(run / "checkpoint.pt") for run in (a, b)]
    for state in states:
        del state["seconds"], state["events_sha256"]  # the events have speeds
    assert digest_of(states[0]) == digest_of(states[1])
    weights = [load_file(run / "model.safetensors") for run in (a, b)]
    assert weights[0].keys() == weights[1].keys()
    for name, tensor in weights[0].items():
        assert tensor.equal(weights[1][name]), name
    metrics = [(run / "metrics.jsonl").read_text() for run in (a, b)]
    events = [re.sub(r', "images_per_s": [^}]*', "", text) for text in metrics]
    assert events[0] == events[1]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nothing disturbed."""
    folder = tmp_path_factory.mktemp("whole")
    answer = deepres(folder, *RUN)
    assert answer.returncode == 0, answer.stderr
    expected = r"resnet8: test error \d+\.\d\d %, .* 40 steps, shortened from 64,000, the embedded"
    assert re.match(expected, answer.stdout)
    return folder / "run"


def test_a_run_leaves_all_its_files(whole: Path) -> None:
    assert {path.name for path in whole.iterdir()} == {
        *("recipe.json", "metrics.jsonl", "checkpoint.pt", "checkpoint.previous.pt"),
        *("model.safetensors", "result.json", "curves.png"),
    }
    assert json.loads((whole / "recipe.json").read_text())["data"]["location"] == "sample"


def test_killed_again_and_again_it_ends_with_the_same_bits(tmp_path: Path, whole: Path) -> None:
    process, kills, reached = start(tmp_path, *RUN), 0, 0
    while kills < 3:
        wait_for_checkpoint(process, tmp_path / "run", newer_than=reached)
        time.sleep(0.02 * kills)
        process.kill()
        process.communicate()
        assert process.returncode == -signal.SIGKILL
        kills, reached = kills + 1, max(reached, step_of(tmp_path / "run"))
        process = start(tmp_path, "train", "--resume", "run", "--save-every", "0")
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    # The kill may fall between two renames; then the checkpoint before is the latest.
    (resumed_at,) = re.findall(r"going on from step (\d+) of 40", errors)
    assert reached - 1 <= int(resumed_at) < 40
    assert reached > 0
    assert not list((tmp_path / "run").glob(".*.tmp"))
    assert_same_run(whole, tmp_path / "run")


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_saves_and_says_how_to_go_on(
    tmp_path: Path, whole: Path, number: int, status: int
) -> None:
    process = start(tmp_path, *RUN)
    wait_for_checkpoint(process, tmp_path / "run")
    process.send_signal(number)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == status
    stopped = re.search(r"stopped at step (\d+); go on with: deepres train --resume run", errors)
    assert stopped, errors
    assert step_of(tmp_path / "run") == int(stopped[1])
    answer = deepres(tmp_path, "train", "--resume", "run")
    assert answer.returncode == 0, answer.stderr
    assert f"going on from step {stopped[1]} of 40" in answer.stderr
    assert_same_run(whole, tmp_path / "run")


def can_mount() -> bool:
    command = ["unshare", "--user", "--map-root-user", "--mount", "true"]
    return bool(shutil.which("unshare")) and not subprocess.run(command, check=False).returncode


@pytest.mark.skipif(not can_mount(), reason="needs a small disk of its own: unshare and tmpfs")
def test_a_full_disk_is_one_line_and_the_state_before_it_is_whole(
    tmp_path: Path, whole: Path
) -> None:
    """A real file system that fills up in the middle of a run, then has room again."""
    disk = tmp_path / "disk"
    disk.mkdir()
    train, resume = " ".join([*DEEPRES, *RUN]), " ".join([*DEEPRES, "train", "--resume", "run"])
    script = f"""
        mount -t tmpfs -o size=5m tmpfs {disk} && cd {disk}
        (while [ ! -e run/checkpoint.previous.pt ]; do sleep 0.02; done
         head -c 5m /dev/zero > ballast) 2> /dev/null &
        {train}; echo "status $?"
        ls -A run; cp -r run {tmp_path}/after
        rm ballast; mount -o remount,size=50m {disk}
        {resume}; echo "status $?"
        cp -r run {tmp_path}/run
    """
    command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script]
    environment = {**ENVIRONMENT, "MPLCONFIGDIR": str(tmp_path)}
    answer = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert "status 2" in answer.stdout, answer
    assert "No space left on device; what was saved before is intact" in answer.stderr
    assert "Traceback" not in answer.stderr
    assert not re.search(r"\.tmp$", answer.stdout, re.MULTILINE)
    load_checkpoint(tmp_path / "after" / "checkpoint.pt")
    assert "status 0" in answer.stdout
    assert not re.search("going on from step 0 ", answer.stderr)
    assert_same_run(whole, tmp_path / "run")


@pytest.mark.skipif(not can_mount(), reason="needs a small disk of its own: unshare and tmpfs")
def test_without_room_nothing_is_begun_and_nothing_of_before_is_lost(
    tmp_path: Path, whole: Path
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    train, resume = " ".join([*DEEPRES, *RUN]), " ".join([*DEEPRES, "train", "--resume", "run"])
    script = f"""
        mount -t tmpfs -o size=64k tmpfs {disk} && cd {disk}
        {train}; echo "status $?"; ls -A
        mount -o remount,size=50m {disk}
        cp -r {whole} run && echo "[]" > run/evaluations.json && cp -r run {tmp_path}/before
        head -c 60m /dev/zero > ballast; truncate -s -12k ballast
        {resume}; echo "status $?"
        {resume} --steps 60; echo "status $?"
        diff -r {tmp_path}/before run && echo "nothing lost"
    """
    command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script]
    environment = {**ENVIRONMENT, "MPLCONFIGDIR": str(tmp_path)}
    answer = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert answer.stdout == "status 2\nstatus 2\nstatus 2\nnothing lost\n", answer
    assert len(re.findall(r"run is on a disk with \d\.\d MB free, but ", answer.stderr)) == 3
    assert "Traceback" not in answer.stderr


FOLDER_RUN = ["train", "resnet18", "--data", "data", "--steps", "12", "--device", "cpu"]
for setting in ("crop=32", "short_side=36,48", "batch_size=8", "mean_images=8"):
    FOLDER_RUN += ["--set", setting]
FOLDER_RUN += ["--set", "log_every=3", "--set", "eval_every=6", "--workers", "1"]
FOLDER_RUN += ["--save-every", "0", "--out", "run"]


def children(process: int) -> list[int]:
    listed = Path(f"/proc/{process}/task").glob("*/children")
    return [int(child) for task in listed for child in task.read_text().split()]


def workers(process: int) -> list[int]:
    """What the process forked that forks for ``process``."""
    return [worker for child in children(process) for worker in children(child)]


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds the workers in /proc")
def test_a_killed_worker_ends_the_run_in_one_line_and_it_resumes_to_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(ENVIRONMENT, "OMP_NUM_THREADS", "1")  # as in this process
    image_folder(Path("data"), train=12, val=2)
    assert main([*FOLDER_RUN[:-1], "whole"]) == 0

    process = start(tmp_path, *FOLDER_RUN)
    wait_for_checkpoint(process, tmp_path / "run")
    os.kill(max(workers(process.pid)), signal.SIGKILL)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 1, errors
    (line,) = [line for line in errors.splitlines() if line.startswith("deepres: ")]
    assert re.search(r"decodes images died.*fewer --workers .*goes on .*by --resume$", line)
    assert "Traceback" not in errors
    assert step_of(tmp_path / "run") < 12

    assert main(["train", "--resume", "run", "--device", "cpu", "--workers", "2"]) == 0
    assert_same_run(tmp_path / "whole", tmp_path / "run")


def test_evaluate_and_predict(tmp_path: Path, whole: Path) -> None:
    result = json.loads((whole / "result.json").read_text())
    for arguments in ([str(whole)], [str(whole / "model.safetensors"), "--data", "sample"]):
        answer = deepres(tmp_path, "evaluate", *arguments)
        assert answer.returncode == 0, answer.stderr
        errors = rf"{result['test_error_pct']:.2f} +{result['test_top5_error_pct']:.2f}"
        assert re.search(rf"^{re.escape(arguments[0])} +{errors}$", answer.stdout, re.MULTILINE)
        assert re.search(r"^truck +\d+\.\d\d", answer.stdout, re.MULTILINE)
    assert (whole / "confusion.png").stat().st_size > 10_000

    (tmp_path / "bad.png").write_text("no picture")
    picture = str(whole / "curves.png")
    answer = deepres(tmp_path, "predict", str(whole), picture, "bad.png", "--top", "2")
    assert answer.returncode == 2
    assert len(re.findall(r"\d+\.\d %", answer.stdout)) == 2
    assert "bad.png: not an image that can be read" in answer.stderr
    assert "1 of 2 images could not be read" in answer.stderr
