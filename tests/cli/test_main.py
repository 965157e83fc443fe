import argparse
import errno
import importlib.metadata
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import pytest
import torch
from json_keys import assert_documented
from made_up_runs import make_run

from deepres.cli import running
from deepres.cli.main import main
from deepres.cli.terminal import print_json, print_table
from deepres.errors import UserError
from deepres.run_folder import RunFolder
from deepres.visible import visible


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("models resnet33", "no network resnet33: "),
        ("models x*", "unknown network 'x*'"),
        ("models resnet18 --input-size 0", "at least 1 pixel, got 0"),
        ("train", "name either a network, e.g. deepres train resnet20, or a run to --resume"),
        ("train resnet20 --resume run", "name either a network"),
        ("train ResNet-26", "no recipe 'ResNet-26'; did you mean resnet26?"),
        ("models ResNet_50", "unknown network 'ResNet_50'; did you mean resnet50?"),
        ("models resnet-26", "unknown network 'resnet-26'; did you mean resnet26?"),
        ("predict resent50 a.png", "resent50: no such file, folder or network; did you mean res"),
        ("train resnet20 --set learning_rate=1", "unknown recipe field 'learning_rate'; did you"),
        ("detect train resnet18 --on coco --set amp=1", "--set amp: runs of this kind compute in "),
        ("train resnet20 --set epochs=1", "unknown recipe field 'epochs'; did you mean --steps?"),
        ("train resnet20 --data sample --threads 0", "--threads must be at least 1, got 0"),
        ("train resnet21", "no recipe 'resnet21'; did you mean resnet20 or"),
        ("train resnet20 --seeds 0", "--seeds is how many runs to train at once, 1 or more, got 0"),
        ("train resnet20 --data sample --set lr=-1", "lr must be above 0, got -1.0"),
        ("train resnet20 --data sample --steps 0", "a run has 1 step or more, got 0"),
        ("train resnet20 --data sample --device warp", "device 'warp' is not available here"),
        ("train resnet20 --data sample --set holdout=5000", "leaves nothing to train on"),
        ("train resnet20 --data sample --save-every nan", "must be 0 s or more, got nan"),
        ("train resnet20 --data sample --device meta", "device 'meta' is not available here"),
        ("evaluate run --out a.xyz", "--out must end in .png or .svg or .pdf"),
        ("data cifar10 --data /proc/nowhere", "cannot write /proc/nowhere"),
        ("train --resume nowhere", "nowhere: no such run folder"),
        (
            "train --resume nowhere --seed 1",
            "--seed is for new runs: --resume keeps recipe",
        ),
        ("evaluate nowhere --data sample", "nowhere: no such file or folder"),
        ("predict nowhere a.png", "nowhere: no such file or folder"),
        ("predict runs/resnet20-s9 a.png", "resnet20-s9: no such file or folder; give a run"),
        ("predict nowhere a.png --top 0", "--top must be at least 1, got 0"),
        ("train resnet20 --data sample --workers -1", "workers must be 0 or more, got -1"),
        ("signals resnet8 --data sample --workers -1", "workers must be 0 or more, got -1"),
        ("data cifar10 verify --data nowhere", "6 of 6 files are missing or damaged"),
        ("train resnet20 --data nowhere", "nowhere: no such folder; run: deepres data cifar10"),
        ("train resnet20 --steps 9999999999999999999", "steps must be at most 9,007,199,254,740,9"),
        ("data cifar10 --data nowhere verify", "deepres data cifar10 --data nowhere"),
        ("data imagenet prepare nowhere", "nowhere: no such folder; name the one that holds"),
        ("data imagenet verify", "not ImageNet as it should be, for the 3 reasons above"),
        ("data imagenet verify --decode", "for the 3 reasons above"),
    ],
)
def test_mistakes_are_one_line_and_status_2(
    arguments: str,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments.split()) == 2
    (line,) = [li for li in capsys.readouterr().err.splitlines() if li.startswith("deepres: ")]
    assert message in line
    assert not list(tmp_path.rglob("*"))  # a mistake leaves nothing behind
    with pytest.raises(UserError):
        main(["--debug", *arguments.split()])


def test_a_working_folder_that_is_gone_is_said_to_be(tmp_path: Path) -> None:
    command = f"rmdir {tmp_path} && {sys.executable} -m deepres models resnet20"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    pipes = {"capture_output": True, "text": True, "check": False}
    done = subprocess.run(command, shell=True, cwd=tmp_path, env=environment, **pipes)
    said = "deepres: the folder that you are in is gone; go to one that is there, by cd (No such"
    assert done.returncode == 2
    assert done.stderr.startswith(said)
    assert done.stderr.count("\n") == 1


def test_a_name_that_is_too_long_is_said_to_be(capsys: pytest.CaptureFixture[str]) -> None:
    name = "x" * 300
    assert main(["evaluate", name]) == 2
    said = f"deepres: {name}: no file or folder can have so long a name; give one that is there"
    assert capsys.readouterr().err.startswith(said)


def test_what_may_not_be_looked_into_is_told_with_what_to_do(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(options: object) -> int:
        raise PermissionError(errno.EACCES, "Permission denied", "runs/a")

    monkeypatch.setattr("deepres.cli.evaluate.call", denied)
    assert main(["evaluate", "runs/a"]) == 2
    said = "deepres: runs/a: Permission denied; mend its permissions, and those of the folders"
    assert capsys.readouterr().err.startswith(said)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--debug"],
        ["trian"],
        ["train", "resnet20", "--stpes", "3"],
        ["data", "cifar1"],
        ["data", "imagenet"],
    ],
)
def test_unknown_words_point_to_the_manual(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(arguments)
    assert re.fullmatch(r"deepres: .*; see: deepres.* --help\n", capsys.readouterr().err)


def test_without_a_command_each_is_shown_with_an_example_that_works(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit, match="2"):
        main([])
    shown = capsys.readouterr().err
    assert re.findall(r"^(\w+):$", shown, re.MULTILINE) == ["train", "test", "use", "reproduce"]
    assert max(map(len, shown.splitlines())) <= 80
    examples = re.findall(r"^  deepres (.*)\n {6}\S", shown, re.MULTILINE)
    monkeypatch.setattr(running, "run", lambda options: 0)
    for example in examples:
        assert main(example.split()) == 0, example
    with pytest.raises(SystemExit, match="2"):
        main(["xyz"])
    # Python quotes the choices up to 3.12
    known = re.findall(
        r"\b([a-z]+)\b", capsys.readouterr().err.partition("choose from")[2].split(")")[0]
    )
    assert [example.split()[0] for example in examples] == known
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    assert shown in capsys.readouterr().out


@pytest.mark.parametrize(
    ("command", "promise"),
    [
        ("train resnet20", "; a run goes on from its last checkpoint by --resume"),
        ("reproduce table1", "; the same command goes on from the last checkpoint"),
        ("predict run a.png", ""),
    ],
)
def test_what_is_interrupted_at_once_is_taken_up_again_only_where_that_can_be(
    command: str,
    promise: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def interrupted(options: argparse.Namespace) -> int:
        raise KeyboardInterrupt

    module = importlib.import_module(f"deepres.cli.{command.split()[0]}")
    monkeypatch.setattr(module, "call", interrupted)
    assert main(command.split()) == 130
    assert capsys.readouterr().err == f"deepres: interrupted at once{promise}\n"


def test_what_is_interrupted_before_it_begins_gets_a_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted() -> NoReturn:
        raise KeyboardInterrupt

    monkeypatch.setattr("deepres.cli.main.make_parser", interrupted)
    assert main(["train", "resnet20"]) == 130
    assert capsys.readouterr().err == "deepres: interrupted at once\n"


def test_a_checkout_that_is_not_installed_runs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def absent(name: str) -> NoReturn:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "distribution", absent)
    assert main(["models", "resnet20"]) == 0
    with pytest.raises(SystemExit, match="0"):
        main(["--version"])
    assert capsys.readouterr().out.endswith("deepres not installed\n")


def test_a_narrow_terminal_folds_text_and_cuts_no_number(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert main(["models", "resnet152"]) == 0
    shown = re.sub(r"\x1b\[\d+m", "", capsys.readouterr().out)  # bold
    assert max(map(len, shown.splitlines())) <= 80
    for whole in ("60,192,808", "11,282,415,616", "[1×1, 256; 3×3, 256;", "1×1, 1024]×36"):
        assert whole in shown
    assert "…" not in shown

    row = ["a/long/name/of/a/run/and/more", *(f"{i}234567" for i in range(1, 10))]
    print_table("", ["run", *"abcdefghi"], [row])
    shown = capsys.readouterr().out
    assert all(number in shown for number in row[1:])

    title = "flowers/val/n01443537/n01443537_92.JPEG"  # wider than its table
    print_table(title, ["class", "n"], [["cat", "1"]])
    assert title in capsys.readouterr().out


def test_models_lists_all_beside_the_papers_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models"]) == 0
    lines = capsys.readouterr().out.splitlines()
    row = next(line for line in lines if line.startswith("resnet50"))
    assert re.fullmatch(r"resnet50 +50 +224×224 +25.56 M +– +3.858 G +3.8 G *", row)
    row = next(line for line in lines if line.startswith("resnet1202"))
    assert row.split() == [
        "resnet1202",
        "1202",
        "32×32",
        "19.42",
        "M",
        "19.4",
        "M",
        "2.829",
        "G",
        "–",
    ]


def test_models_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "resnet5*", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert_documented(found)
    resnet50, resnet56 = found["networks"]
    assert resnet50["parameters"] == 25_557_032  # as torchvision's
    assert round(resnet50["multiply_adds"] / 1e9, 3) == 3.858
    assert (resnet50["papers_parameters_m"], resnet50["papers_multiply_adds_g"]) == (None, 3.8)
    assert (resnet56["network"], resnet56["papers_parameters_m"]) == ("resnet56", 0.85)
    assert main(["models", "resnet34", "--input-size", "112", "--json"]) == 0
    network = json.loads(capsys.readouterr().out)
    assert (network["network"], network["layers"], network["input_size"]) == ("resnet34", 34, 112)
    conv4 = network["stages"][3]
    assert (conv4["stage"], conv4["output"], conv4["layers"]) == ("conv4_x", [256, 7, 7], 12)
    assert conv4["composition"] == "[3×3, 256; 3×3, 256]×6"
    assert_documented(network)
    assert sum(stage["parameters"] for stage in network["stages"]) == network["parameters"]


def test_json_is_text_that_does_nothing_to_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"a\x9b": ["\x1b[2J", "猫", float("nan")]})
    out = capsys.readouterr().out
    assert out.isascii()
    assert out.replace("\n", "").isprintable()
    assert json.loads(out) == {"a\x9b": ["\x1b[2J", "猫", None]}


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("train --epochs 90", "--epochs: the paper's recipe decides, and counts in steps; for "),
        ("detect train resnet18 --precision bf16", "--precision: detectors and localizers compute"),
        ("localize evaluate run --precision auto", "in fp32 alone, in training and in tests; "),
        ("train resnet20 --lr 0.01", "--lr: the paper's recipe decides; to depart from it: --set"),
        ("train resnet20 --learning-rate=0.01", "to depart from it: --set lr=0.01; see: deepres t"),
        ("train --batch-size 64 resnet20", "to depart from it: --set batch_size=64;"),
        ("detect train resnet101 --wd 1e-4", "--set weight_decay=1e-4; see: deepres detect train"),
        ("localize train resnet101 --momentum", "--set momentum=VALUE;"),
        ("train resnet20 --gpus 4", "several by torchrun --nproc-per-node N -m deepres"),
        ("predict a b --gpu 1", "--gpu: one GPU is taken if there is any; another by --device"),
        ("trian", "argument COMMAND: no 'trian'; did you mean train?; see: deepres --help"),
        ("detect evalute", "no 'evalute'; did you mean evaluate?; see: deepres detect --help"),
        ("--hlep", "unrecognized arguments: --hlep; did you mean --help?; see: deepres --help"),
        ("train resnet20 --stpes 3", "--stpes; did you mean --steps or --"),
        ("train --stpes=3", "--stpes; did you mean --steps or --"),
        ("import a b --form timm", "--form; did you mean --from or --force?"),  # before --from
        ("evaluate a --views 10crop", "argument --views: no '10crop'; did you mean 10-crop?"),
        ("export resnet20 --to caffe2", "argument --to: no 'caffe2'; did you mean caffe?"),
        ("evaluate a --views blurred", "(choose from 1-crop, 10-crop, multi-scale)"),
        ("export resnet20 --to caffe a b", "unrecognized arguments: a b; see: deepres export"),
        ("export --to caffe", "the following arguments are required: WEIGHTS"),
        ("train resnet20 --debug", "--debug, which comes before the command: deepres --debug"),
    ],
)
def test_what_was_meant_is_said_where_it_is_typed(
    command: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(command.split())
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("deepres: ")
    assert said in line or said in line.replace("'", "")  # Python quotes choices up to 3.12


@pytest.mark.parametrize(
    ("command", "option"),
    [
        (["train", "resnet20", "--data", ""], "--data"),
        (["train", "resnet20", "--out="], "--out"),
        (["report", "--runs", ""], "--runs"),
        (["evaluate", "runs/a", ""], "WEIGHTS"),
        (["detect", "evaluate", "--results", ""], "--results"),
        (["detect", "train", "resnet18", "--weights", ""], "--weights"),
    ],
)
def test_what_is_empty_is_not_taken_for_what_is_left_out(
    command: list[str], option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(command)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"deepres: argument {option}: is empty, as of a variable that is not")


def test_threads_are_those_that_are_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    command = ["train", "resnet8", "--data", "sample", "--steps", "1", "--device", "cpu"]
    command += ["--set", "batch_size=2", "--out", "run", "--threads"]
    before = torch.get_num_threads()
    try:
        assert main([*command, "2"]) == 0
    finally:
        torch.set_num_threads(before)
    assert RunFolder(Path("run")).read_meta()["provenance"]["hardware"].endswith(", 2 threads")
    assert main([*command, "0"]) == 2
    assert "--threads must be at least 1, got 0" in capsys.readouterr().err


def test_a_networks_own_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "resnet34"]) == 0
    shown = capsys.readouterr().out
    assert re.search(r"conv4_x +14×14×256 +\[3×3, 256; 3×3, 256\]×6 +12 +6,789,120", shown)
    assert re.search(r"conv1 +112×112×64 +7×7, 64, stride 2 ", shown)
    assert re.search(r"total .* 34 +21,623,848 +3,644,493,824", shown)


def test_another_input_size(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "resnet20", "--input-size", "64"]) == 0
    assert "64×64×16" in capsys.readouterr().out


def test_no_name_sends_commands_to_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert visible("a\x1b]0;b\x07\x9bé\n") == r"a\x1b]0;b\x07\x9bé" + "\n"
    print_table("\x1b[2J", ["class"], [["\x1b[31mcat"]])
    assert main(["predict", "\x1b[31m", "a.png"]) == 2
    shown = capsys.readouterr()
    assert "\x1b" not in shown.out + shown.err
    assert r"\x1b[31mcat" in shown.out
    assert r"deepres: \x1b[31m: no such file" in shown.err


def test_commands_that_are_advised_can_be_pasted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = "a b; $(touch c)"
    make_run(tmp_path / folder, stopped_at=0)
    for command in (["evaluate", folder], ["data", "cifar10", "verify", "--data", folder]):
        assert main(command) == 2
        *_, line = capsys.readouterr().err.splitlines()
        assert folder in shlex.split(line.partition(": deepres ")[2])


@pytest.mark.parametrize("size", [None, "", "1", "none"])
def test_a_clusters_own_variables_silence_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], size: str | None
) -> None:
    monkeypatch.setenv("RANK", "1")
    if size is not None:
        monkeypatch.setenv("WORLD_SIZE", size)
    assert main(["models", "resnet20"]) == 0
    assert "resnet20" in capsys.readouterr().out


def test_processes_without_torchrun_are_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert main(["train", "resnet8", "--data", "sample", "--device", "cpu"]) == 2
    assert "WORLD_SIZE is 2, but RANK is not set; start" in capsys.readouterr().err
