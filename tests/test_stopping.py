"""Training from image files ends when it is stopped: no process waits for those that decode."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from pictures import image_folder
from small_detection import TINY, tiny_voc
from small_localization import SETTINGS, tiny_weights, two_classes

from deepres.checkpoint import load_checkpoint

pytestmark = pytest.mark.slow

AT_ONCE = 180
"""Seconds: far more than any end takes, and a worker that is waited for never ends."""
NARROW = """
import sys
from small_detection import narrow_networks
from deepres.cli.main import main
if __name__ == "__main__":
    with narrow_networks():
        sys.exit(main(sys.argv[1:]))
"""
LONG = ["--steps", "5000", "--device", "cpu", "--workers", "2", "--set", "log_every=3"]


def command(kind: str, folder: Path, *settings: str) -> list[str]:
    """A long run of each kind, into run, and what it needs."""
    if kind == "detection":
        (folder / "narrow.py").write_text(NARROW)
        tiny_voc(folder / "data")
        call, own = ["narrow.py", "detect", "train", "resnet18", "--on", "data"], TINY
    elif kind == "localization":
        two_classes(folder / "data")
        tiny_weights(folder / "weights.safetensors")
        call = ["-m", "deepres", "localize", "train", "resnet8", "--data", "data"]
        call, own = [*call, "--weights", "weights.safetensors"], SETTINGS
    else:
        image_folder(folder / "data")
        call = ["-m", "deepres", "train", "resnet18", "--data", "data"]
        own = ["crop=32", "short_side=36,48", "batch_size=8", "mean_images=8"]
    given = [part for setting in (*own, *settings) for part in ("--set", setting)]
    return [sys.executable, *call, *LONG, "--out", "run", *given]


def start(folder: Path, call: list[str]) -> subprocess.Popen[str]:
    path = os.pathsep.join([str(Path(__file__).parent), *filter(None, sys.path)])
    environment = {**os.environ, "PYTHONPATH": path, "MPLCONFIGDIR": str(folder)}
    pipe = subprocess.PIPE
    return subprocess.Popen(call, cwd=folder, env=environment, stdout=pipe, stderr=pipe, text=True)


def end_of(process: subprocess.Popen[str]) -> str:
    """Wait for the end, and return what was said."""
    try:
        return process.communicate(timeout=AT_ONCE)[1]
    finally:
        process.kill()


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    until = time.monotonic() + AT_ONCE
    while not path.exists():
        if time.monotonic() > until:
            process.kill()
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("kind", ["classification", "detection", "localization"])
def test_a_signal_ends_it_and_its_state_is_saved(
    tmp_path: Path, kind: str, number: signal.Signals
) -> None:
    process = start(tmp_path, command(kind, tmp_path))
    wait_for(tmp_path / "run" / "metrics.jsonl", process)
    process.send_signal(number)
    said = end_of(process)
    assert process.returncode == 128 + number, said
    stopped = re.search(r"stopped at step (\d+); go on with: ", said)
    assert stopped, said
    assert load_checkpoint(tmp_path / "run" / "checkpoint.pt")["step"] == int(stopped[1])


@pytest.mark.parametrize("kind", ["classification", "detection", "localization"])
def test_a_second_signal_ends_it_at_once(tmp_path: Path, kind: str) -> None:
    process = start(tmp_path, command(kind, tmp_path))
    wait_for(tmp_path / "run" / "metrics.jsonl", process)
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGINT)
    said = end_of(process)
    assert process.returncode == 130, said
    assert re.search("interrupted at once|stopped at step", said)


@pytest.mark.parametrize("kind", ["classification", "detection", "localization"])
def test_a_divergence_ends_it(tmp_path: Path, kind: str) -> None:
    process = start(tmp_path, command(kind, tmp_path, "lr=1e30"))
    said = end_of(process)
    assert process.returncode == 2, said
    assert "training diverged" in said


def test_several_runs_at_once_end_too(tmp_path: Path) -> None:
    process = start(tmp_path, [*command("classification", tmp_path), "--seeds", "2"])
    fields = "log_every=3-crop=32-short_side=36,48-batch_size=8-mean_images=8"
    names = [f"run/resnet18-{fields}-5000steps-s{seed}" for seed in (0, 1)]
    wait_for(tmp_path / names[1] / "metrics.jsonl", process)
    process.send_signal(signal.SIGTERM)
    said = end_of(process)
    assert process.returncode == 143, said
    assert f"--resume {names[0]} {names[1]}" in said
    recipes = [json.loads((tmp_path / name / "recipe.json").read_text()) for name in names]
    assert [recipe["seed"] for recipe in recipes] == [0, 1]


def test_a_stream_that_nobody_closed_does_not_keep_its_program(tmp_path: Path) -> None:
    image_folder(tmp_path / "data")
    (tmp_path / "program.py").write_text(
        """
import torch
from pathlib import Path
from deepres.data.folder import open_image_folder
from deepres.data.loading import CentreCrops
from deepres.execution import Execution
if __name__ == "__main__":
    files = open_image_folder(Path("data")).train
    two = Execution(torch.device("cpu"), workers=2)
    batches = CentreCrops(files, 32, 37, two, skip_bad=False).batches(4)
    next(batches)
"""
    )
    process = start(tmp_path, [sys.executable, "program.py"])
    said = end_of(process)
    assert process.returncode == 0, said
