from pathlib import Path

import pytest
import torch

from deepres.cli.main import main
from deepres.models import Classifier, build_network, load_classifier, save_weights


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run's folder, as far as its weights go."""
    classifier = Classifier(build_network("resnet8"), torch.rand(3, 32, 32), tuple("abcdefghij"))
    (tmp_path / "run").mkdir()
    save_weights(tmp_path / "run/model.safetensors", classifier, {})
    return tmp_path / "run"


def test_files_are_named_and_how_they_were_checked(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", str(run), "--to", "safetensors"]) == 0
    shown = capsys.readouterr()
    assert shown.out == f"{run}/resnet8.safetensors\n"
    assert shown.err == "checked: read back, all tensors are the same\n"
    assert load_classifier(run / "resnet8.safetensors").crop == 32


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--to torchvision", "torchvision has no resnet8"),
        ("--to caffe", "not for resnet8"),
        ("--to safetensors --out model.pth", "a file for safetensors ends in .safetensors"),
        ("--to safetensors --out RUN/model.safetensors", "would replace the weights themselves"),
        ("--to safetensors --out /proc/a.safetensors", "cannot write /proc/a.safetensors"),
    ],
)
def test_mistakes_are_one_line(
    run: Path, options: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", str(run), *options.replace("RUN", str(run)).split()]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("deepres: ")
    assert message in line


def test_there_must_be_weights(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", str(tmp_path), "--to", "onnx"]) == 2
    assert "is no run: it has neither recipe.json nor model.safetensors" in capsys.readouterr().err


def test_a_file_that_nobody_named_is_not_replaced(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    theirs = run / "resnet8.safetensors"
    theirs.write_text("theirs")
    command = ["export", str(run), "--to", "safetensors"]
    assert main(command) == 2
    assert f"{theirs} is there already and would be replaced" in capsys.readouterr().err
    assert theirs.read_text() == "theirs"
    assert main([*command, "--out", str(theirs)]) == 0  # it is named
    theirs.write_text("theirs")
    assert main([*command, "--force"]) == 0
    assert load_classifier(theirs).crop == 32


def test_nor_is_one_that_is_called_by_the_weights_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    theirs = Path("resnet20.safetensors")
    theirs.write_text("theirs")
    command = ["export", "resnet20", "--to", "safetensors"]
    assert main([*command]) == 2
    assert f"{theirs} is there already and would be replaced" in capsys.readouterr().err
    assert theirs.read_text() == "theirs"
    assert main([*command, "--force"]) == 0
    assert load_classifier(theirs).crop == 32


def test_nor_is_a_file_beside_the_one_that_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    network = build_network("resnet18", shortcut="B", num_classes=2)
    classifier = Classifier(network, torch.rand(3, 1, 1), ("a", "b"), crop=32)
    save_weights(tmp_path / "w.safetensors", classifier, {})
    theirs = tmp_path / "a.json"
    theirs.write_text("theirs")
    command = ["export", str(tmp_path / "w.safetensors"), "--to", "torchvision"]
    assert main([*command, "--out", str(tmp_path / "a.pth")]) == 2
    assert f"{theirs} is there already" in capsys.readouterr().err
    assert theirs.read_text() == "theirs"
    assert not (tmp_path / "a.pth").exists()
