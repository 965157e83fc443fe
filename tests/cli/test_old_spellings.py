import argparse

import pytest

from deepres.cli import running
from deepres.cli.main import main


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[argparse.Namespace]:
    seen: list[argparse.Namespace] = []
    monkeypatch.setattr(running, "run", lambda options: seen.append(options) or 0)
    return seen


@pytest.mark.parametrize(
    ("before", "now", "said"),
    [
        ("evaluate a --picture b.png", "evaluate a --out b.png", "--picture is --out now"),
        ("evaluate a --picture=b.png", "evaluate a --out=b.png", "--picture is --out now"),
        ("evaluate a --submission b", "evaluate a --save-submission b", "is --save-submission"),
        ("detect evaluate a --save-results b", "detect evaluate a --save-submission b", ""),
        ("data cifar10 --dir a", "data cifar10 --data a", "--dir is --data now"),
        ("data cifar10 --verify --dir a", "data cifar10 verify --data a", ""),
        ("data imagenet prepare a --dir b", "data imagenet prepare a --data b", ""),
        ("data imagenet verify --dir b", "data imagenet verify --data b", ""),
        ("export a --to onnx b", "export a --to onnx --out b", "--to onnx --out b now"),
        ("export --to onnx a b", "export a --to onnx --out b", "--to onnx --out b now"),
        ("export a --weights msra --to onnx b", "export a --weights msra --to onnx --out b", ""),
        ("import a --model resnet18 --from timm", "import resnet18 a --from timm", "first word"),
        ("import a --from timm --model=resnet18", "import resnet18 a --from timm", "first word"),
        ("import n a --from timm --classes c", "import n a --from timm --class-names c", ""),
        ("bench resnet20 --batch 3", "bench resnet20 --batch-size 3", ""),
        ("bench resnet20 --json a.json", "bench resnet20 --out a.json", "--json a.json is --out"),
        ("train resnet20 --no-graph", "train resnet20 --no-fused-kernels", ""),
        ("--debug train a --no-graph", "--debug train a --no-fused-kernels", ""),
        ("detect evaluate a --bad-boxes drop", "detect evaluate a --bad-boxes skip", ""),
        ("detect train a --set bad_boxes=drop", "detect train a --set bad_boxes=skip", ""),
        ("train a --set=shorter_side=1,2", "train a --set=short_side=1,2", "--set short_side=1,2"),
    ],
)
def test_they_are_understood_and_said(
    before: str,
    now: str,
    said: str,
    parsed: list[argparse.Namespace],
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(before.split()) == main(now.split()) == 0
    assert parsed[0] == parsed[1]
    lines = capsys.readouterr().err.splitlines()
    options = [word for word in before.split() if word.startswith("--")]
    assert 1 <= len(lines) <= len(options)
    assert all(line.startswith("deepres: ") for line in lines)
    assert said in lines[0]


@pytest.mark.parametrize(
    "command",
    [
        "export --to onnx a",
        "export a --to onnx --out b",
        "bench --json resnet20",
        "bench resnet20 --json --out a.json",
        "evaluate --picture-book",
        "evaluate -- --picture",
        "train resnet20 --set lr=1",
        "train a --set lr_drops=",
        "data cifar10",
    ],
)
def test_todays_are_left_alone(
    command: str, parsed: list[argparse.Namespace], capsys: pytest.CaptureFixture[str]
) -> None:
    if "book" in command:
        with pytest.raises(SystemExit, match="2"):
            main(command.split())
        assert "unrecognized arguments: --picture-book" in capsys.readouterr().err
    else:
        assert main(command.split()) == 0
        assert capsys.readouterr().err == ""


def test_of_several_processes_one_says_so(
    parsed: list[argparse.Namespace],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.setenv("RANK", "3")
    assert main(["train", "resnet20", "--no-graph"]) == 0
    assert parsed[0].no_fused_kernels
    assert capsys.readouterr().err == ""
