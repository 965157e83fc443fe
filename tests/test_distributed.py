"""Several processes, as torchrun starts them, against one."""

import dataclasses
import inspect
import json
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch
from pictures import image_folder
from runs import on_cpu
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.functional import batch_norm

from deepres.cli.main import main
from deepres.data.batches import Batches
from deepres.data.cifar10 import Cifar10
from deepres.data.transforms import per_pixel_mean
from deepres.distributed import World
from deepres.recipes.cifar10 import section_4_2
from deepres.run_folder import RunFolder

TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
TRAIN = ["train", "resnet8", "--data", "sample", "--steps", "40", "--set", "batch_size=32"]
TRAIN += ["--set", "log_every=5", "--set", "eval_every=40", "--save-every", "0"]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


def frozen_batch_norm(self: nn.BatchNorm2d, x: Tensor) -> Tensor:
    """BN apart, the mean gradient of two halves is the gradient of the whole."""
    averages = self.running_mean, self.running_var
    return batch_norm(x, *averages, self.weight, self.bias, training=False)


FROZEN = f"""
import sys
from torch import Tensor, nn
from torch.nn.functional import batch_norm
from deepres.cli.main import main

{inspect.getsource(frozen_batch_norm)}

nn.BatchNorm2d.forward = frozen_batch_norm
sys.exit(main())
"""


# Statistics of two steps, each process on numbers of its own.
STATISTICS = """
import warnings
from pathlib import Path
import torch
from torch import nn
from deepres.distributed import join_world, leave_world

def main():
    warnings.filterwarnings("error", message=".*broadcast_buffers.*")
    world, device = join_world("cpu")
    torch.manual_seed(world.rank)
    norm = nn.BatchNorm1d(1)
    network = world.sharing_gradients(nn.Sequential(nn.Linear(1, 1), norm), device)
    weights = world.gather([tensor.tolist() for tensor in network.parameters()])
    assert weights[0] == weights[1], weights
    begun, ended = [], []
    norm.register_forward_pre_hook(lambda *_: begun.append(norm.running_mean.item()))
    for _ in range(2):
        network(torch.randn(4, 1)).sum().backward()
        ended.append(norm.running_mean.item())
    assert begun == [0, ended[0]], (begun, ended)
    first, last = (world.gather(each) for each in ended)
    assert first[0] != first[1], first
    world.broadcast_(network.buffers())
    assert norm.running_mean.item() == last[0], last

main()
leave_world()
# A thread of Gloo's that frees a tensor while Python ends aborts the process, once in many times.
threads = [(task / "comm").read_text().strip() for task in Path("/proc/self/task").glob("*")]
assert not [name for name in threads if "gloo" in name], threads
"""


def together(processes: int, folder: Path, *command: str) -> str:
    """Run ``deepres`` in so many processes, and return what they say."""
    start = [*TORCHRUN, "--nproc-per-node", str(processes)]
    done = subprocess.run(
        [*start, *command], cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("processes", [1, 2, 4])
def test_the_shares_of_a_batch_make_it_up(processes: int, sample: Cifar10) -> None:
    train = sample.train.subset(slice(200))
    mean = per_pixel_mean(train.images)
    recipe = dataclasses.replace(section_4_2("resnet20"), batch_size=48)
    whole = Batches(train, mean, recipe, 1, on_cpu())
    shares = [
        Batches(train, mean, recipe, 1, on_cpu(world=World(rank, processes)))
        for rank in range(processes)
    ]
    for step in (0, 3, 4):
        images, labels = zip(*(share(step) for share in shares), strict=True)
        assert torch.equal(torch.cat(images), whole(step)[0])
        assert torch.equal(torch.cat(labels), whole(step)[1])


@pytest.mark.slow
def test_each_process_has_bn_statistics_of_its_own_until_the_leaders_are_tested(
    tmp_path: Path,
) -> None:
    (tmp_path / "each_its_own.py").write_text(STATISTICS)
    together(2, tmp_path, "each_its_own.py")


@pytest.mark.slow
def test_with_bn_frozen_processes_and_parts_make_no_difference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(nn.BatchNorm2d, "forward", frozen_batch_norm)
    script = tmp_path / "frozen.py"
    script.write_text(FROZEN)
    command = [*TRAIN, "--steps", "20", "--set", "lr=0.001", "--set", "eval_every=20"]
    # What is frozen is PyTorch's BN, and in bf16 another sum may round to another number.
    command += ["--no-fused-kernels", "--precision", "fp32"]
    assert main([*command, "--out", "one"]) == 0
    together(2, tmp_path, str(script), *command, "--out", "two")
    assert main([*command, "--out", "parts", "--accumulate", "4"]) == 0
    one = load_file(tmp_path / "one" / "model.safetensors")
    for other in ("two", "parts"):
        weights = load_file(tmp_path / other / "model.safetensors")
        assert any(not torch.equal(weights[name], one[name]) for name in one)  # it is another sum
        for name, tensor in one.items():
            torch.testing.assert_close(weights[name], tensor, rtol=1e-4, atol=1e-5)
    events = [RunFolder(tmp_path / run).read_events() for run in ("one", "two", "parts")]
    for rows in zip(*events, strict=True):
        for key in ("step", "loss", "error_pct"):
            assert [row[key] for row in rows] == pytest.approx([rows[0][key]] * 3, rel=1e-3)


@pytest.mark.slow
def test_processes_share_the_batches_of_fine_tuning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With all of BN frozen they make no difference, but for the order of sums."""
    monkeypatch.chdir(tmp_path)
    image_folder(tmp_path / "data", train=8, val=2)
    command = ["train", "resnet20", "--weights", "deepres", "--data", "data"]
    command += ["--freeze", "conv4_x", "--steps", "3", "--set", "batch_size=8", "--workers", "0"]
    command += ["--precision", "fp32"]
    assert main([*command, "--out", "one"]) == 0
    together(2, tmp_path, "-m", "deepres", *command, "--out", "two")
    one, two = (load_file(tmp_path / out / "model.safetensors") for out in ("one", "two"))
    for name, tensor in one.items():
        if name.startswith("fc."):
            torch.testing.assert_close(two[name], tensor, rtol=1e-4, atol=1e-5)
        else:
            assert torch.equal(two[name], tensor), name


def children_of(process: int) -> list[int]:
    found = []
    for status in Path("/proc").glob("[0-9]*/status"):
        with suppress(OSError):  # it may have ended
            if f"\nPPid:\t{process}\n" in status.read_text():
                found.append(int(status.parent.name))
    return found


@pytest.mark.slow
def test_a_killed_process_ends_the_others_and_the_run_resumes(tmp_path: Path) -> None:
    command = ["-m", "deepres", *TRAIN]
    together(2, tmp_path, *command, "--out", "whole")

    start = [*TORCHRUN, "--nproc-per-node", "2", *command, "--out", "killed"]
    group = subprocess.Popen(
        start,
        cwd=tmp_path,
        env=ENVIRONMENT,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    checkpoint = tmp_path / "killed" / "checkpoint.previous.pt"
    while not checkpoint.exists():
        assert group.poll() is None, group.communicate()
        time.sleep(0.02)
    second = max(children_of(group.pid))
    os.kill(second, signal.SIGKILL)
    _, said = group.communicate(timeout=120)
    assert group.returncode == 1
    cause = said[said.index("Root Cause") :]
    assert re.search(rf"rank\s*: 1 .*\n.*exitcode\s*: -9 \(pid: {second}\)", cause)
    assert "deepres: process 0 of 2: another process of this run died" in said
    assert "Traceback" not in said.split("torch/distributed/elastic")[0]

    together(2, tmp_path, "-m", "deepres", "train", "--resume", "killed")
    one, two = (RunFolder(tmp_path / run) for run in ("whole", "killed"))
    weights = load_file(two.weights)
    for name, tensor in load_file(one.weights).items():
        assert torch.equal(weights[name], tensor), name
    for a, b in zip(one.read_events(), two.read_events(), strict=True):
        assert {**a, "images_per_s": 0} == {**b, "images_per_s": 0}
    assert json.loads(two.result.read_text())["provenance"]["processes"] == 2


@pytest.mark.slow
def test_a_process_that_meets_a_bad_image_is_named_and_the_run_goes_on_without_it(
    tmp_path: Path,
) -> None:
    root = image_folder(tmp_path / "data", train=4, val=2)
    (root / "train/class1/002.jpg").write_bytes(b"")
    command = ["train", "resnet18", "--data", "data", "--steps", "2", "--workers", "1"]
    for setting in ("batch_size=8", "crop=32", "short_side=36,40", "mean_images=1"):
        command += ["--set", setting]
    start = [*TORCHRUN, "--nproc-per-node", "2", "-m", "deepres", *command, "--out", "run"]
    done = subprocess.run(
        start, cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    (who,) = re.findall(
        r"deepres: process (\d) of 2: \S+/class1/002\.jpg: .*--bad-images skip", done.stderr
    )
    (culprit,) = re.findall(r"Root Cause.*?rank\s*: (\d).*?exitcode\s*: 2", done.stderr, re.DOTALL)
    assert culprit == who

    resume = ["-m", "deepres", "train", "--resume", "run", "--set", "bad_images=skip"]
    assert "left out: 2 times an image" in together(2, tmp_path, *resume, "--workers", "1")


@pytest.mark.slow
def test_sigterm_to_all_saves_one_state(tmp_path: Path) -> None:
    start = [*TORCHRUN, "--nproc-per-node", "2", "-m", "deepres", *TRAIN, "--steps", "5000"]
    group = subprocess.Popen(
        [*start, "--out", "run"], cwd=tmp_path, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True
    )
    while not (tmp_path / "run" / "metrics.jsonl").exists():
        assert group.poll() is None, group.communicate()
        time.sleep(0.02)
    group.send_signal(signal.SIGTERM)
    _, said = group.communicate(timeout=120)
    (step,) = re.findall(r"deepres: stopped at step (\d+); go on with", said)
    state = torch.load(tmp_path / "run" / "checkpoint.pt", weights_only=True)
    assert state["step"] == int(step)


@pytest.mark.slow
def test_three_processes_find_the_scores_that_one_finds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([*TRAIN, "--out", "run"]) == 0
    capsys.readouterr()
    command = ["evaluate", "run", "--views", "10-crop", "--save-scores"]
    assert main([*command, "one.npz"]) == 0
    one = capsys.readouterr().out
    for cached in (tmp_path / "run" / "scores").iterdir():
        cached.unlink()
    three = together(3, tmp_path, "-m", "deepres", *command, "three.npz")
    assert one.replace("one.npz", "three.npz") == three
    with np.load(tmp_path / "one.npz") as a, np.load(tmp_path / "three.npz") as b:
        assert len(a["names"]) == 1_000
        np.testing.assert_array_equal(a["names"], b["names"])
        np.testing.assert_array_equal(a["labels"], b["labels"])
        np.testing.assert_allclose(a["scores"], b["scores"], atol=1e-6)


@pytest.mark.slow
def test_a_batch_that_cannot_be_shared_is_refused(tmp_path: Path) -> None:
    done = subprocess.run(
        [*TORCHRUN, "--nproc-per-node", "3", "-m", "deepres", *TRAIN, "--out", "run"],
        cwd=tmp_path,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "batch_size=32 cannot be shared evenly by 3 processes in 1 parts each" in done.stderr
    assert not (tmp_path / "run").exists()
