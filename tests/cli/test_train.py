import dataclasses
from pathlib import Path

import pytest

from deepres.cli import train
from deepres.cli.main import main
from deepres.data.cifar10 import Cifar10

OPTIONS = ["--steps", "2", "--set", "batch_size=8", "--device", "cpu"]


def test_networks_and_seeds_at_once(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    sample: Cifar10,
) -> None:
    few = dataclasses.replace(sample, test=sample.test.subset(slice(20)))
    monkeypatch.setattr(train, "open_data", lambda *_: few)
    monkeypatch.chdir(tmp_path)
    assert main(["train", "resnet8", "plain8", "--seeds", "2", "--out", "new", *OPTIONS]) == 0
    names = ["plain8-2steps-s0", "plain8-2steps-s1", "resnet8-2steps-s0", "resnet8-2steps-s1"]
    assert sorted(path.name for path in Path("new").iterdir()) == names
    assert all((Path("new") / name / "result.json").exists() for name in names)
    printed = capsys.readouterr().out
    assert printed.count("2 runs: test error ") == 2
    assert main(["train", "resnet8", "--out", "alone", *OPTIONS]) == 0
    assert Path("alone/result.json").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "name either a network, e.g. deepres train resnet20, or a run to --resume"),
        (["resnet8", "--resume", "x"], "name either a network"),
        (["resnet8", "resnet18"], "are all of CIFAR-10 or all of ImageNet"),
        (["resnet8", "--seeds", "0"], "1 or more, got 0"),
    ],
)
def test_mistakes(
    arguments: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)  # where a mistake that goes unseen may train
    assert main(["train", *arguments]) == 2
    assert message in capsys.readouterr().err
