import dataclasses
import json
import multiprocessing
from pathlib import Path
from typing import Any

import pytest
from pictures import image_folder
from runs import train

from deepres.cli import signals
from deepres.cli.main import main
from deepres.data.cifar10 import Cifar10
from deepres.data.folder import open_image_folder
from deepres.evaluation.signals import Signals, measure_signals
from deepres.recipes import get_recipe

ASKED = ["--data", "sample", "--device", "cpu", "--images", "16"]


def test_networks_at_initialisation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["signals", "plain8", "resnet8", *ASKED]) == 0
    shown = capsys.readouterr().out
    for name in ("plain8", "resnet8"):
        assert f"{name}: neither forward nor backward signals vanish" in shown
        written = json.loads((tmp_path / f"runs/signals-{name}-s0.json").read_text())
        assert (written["model"], written["steps"], written["seed"]) == (name, 0, 0)
        assert written["data"] == "16 training images of the embedded sample of CIFAR-10"
        assert len(written["layers"]) == len(written["forward_std"]) == 7
        assert min(written["gradient_norm"]) > 0
        assert (written["vanish"], written["explode"]) == ([], [])
        assert "1/1000" in written["rule"]
    assert main(["signals", "plain8", *ASKED, "--seed", "1", "--out", "elsewhere"]) == 0
    other = json.loads((tmp_path / "elsewhere/signals-plain8-s1.json").read_text())
    assert other["seed"] == 1


def test_a_run(tmp_path: Path, sample: Cifar10, capsys: pytest.CaptureFixture[str]) -> None:
    """Its weights before the first step are those of the name and the seed."""
    recipe = dataclasses.replace(get_recipe("resnet8").scaled_to(1), batch_size=16, lr=1e-30)
    run = tmp_path / "run"
    train(recipe, run, sample, device="cpu", seed=3)
    assert main(["signals", str(run), *ASKED[2:]]) == 0
    assert main(["signals", "resnet8", *ASKED, "--seed", "3", "--out", str(tmp_path)]) == 0
    trained = json.loads((run / "signals.json").read_text())
    initial = json.loads((tmp_path / "signals-resnet8-s3.json").read_text())
    assert (trained["steps"], trained["seed"]) == (1, 3)
    assert trained["gradient_norm"] == pytest.approx(initial["gradient_norm"], rel=1e-4)


def test_no_process_goes_on_decoding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = open_image_folder(image_folder(tmp_path / "data", train=4, val=2))
    small = {"batch_size": 2, "crop": 32, "short_side": (36, 40), "mean_images": 4}
    recipe = dataclasses.replace(get_recipe("resnet18").scaled_to(2), **small)
    run = tmp_path / "run"
    train(recipe, run, data, device="cpu", workers=0)
    decoding = []

    def measure_while(*arguments: Any) -> Signals:
        decoding.append(len(multiprocessing.active_children()))
        return measure_signals(*arguments)

    monkeypatch.setattr(signals, "measure_signals", measure_while)
    assert main(["signals", str(run), "--device", "cpu", "--workers", "1"]) == 0
    assert decoding == [0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("resnet21 --data sample", "no recipe 'resnet21'"),
        ("runs/nothing", "runs/nothing: no such file or folder"),
        (f"resnet8 --data nowhere --seed {2**64}", "the seed must be from -2^63 to 2^63, got"),
        ("resnet8 --images 1", "--images must be at least 2 for BN, got 1"),
    ],
)
def test_mistakes(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: str,
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["signals", "--device", "cpu", *arguments.split()]) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
