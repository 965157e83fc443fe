import dataclasses
from pathlib import Path

import pytest
import torch
from made_up_runs import make_fine_tuned_run
from pictures import image_folder

from deepres.cli import train
from deepres.cli.main import main
from deepres.data.cifar10 import Cifar10
from deepres.errors import UserError
from deepres.models import Classifier, build_network, load_classifier, save_weights
from deepres.run_folder import RunFolder
from deepres.run_places import results_folder

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
    names = [f"{n}8-batch_size=8-2steps-s{seed}" for n in ("plain", "resnet") for seed in (0, 1)]
    assert sorted(path.name for path in Path("new").iterdir()) == names
    assert all((Path("new") / name / "result.json").exists() for name in names)
    printed = capsys.readouterr().out
    assert printed.count("2 runs: test error ") == 2
    assert main(["train", "resnet8", "--out", "alone", *OPTIONS]) == 0
    assert Path("alone/result.json").exists()
    for others in ([], ["--set", "residual_layers=1", "--precision", "fp32"]):
        assert main(["train", "resnet8", *OPTIONS, *others]) == 0
    names = ["resnet8-batch_size=8-2steps-s0", "resnet8-batch_size=8-residual_layers=1-2steps-s0"]
    assert sorted(path.name for path in Path("runs").iterdir()) == names


def test_curves_take_no_other_pictures_place(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    theirs = Path("run/curves.png")
    theirs.parent.mkdir()
    theirs.write_text("theirs")
    new = ["resnet8", "--data", "sample", "--steps", "1", "--device", "cpu", "--out", "run"]
    assert main(["train", *new]) == 2
    assert f"{theirs} is there already, and was not written by" in capsys.readouterr().err
    assert list(theirs.parent.iterdir()) == [theirs]
    theirs.unlink()
    assert main(["train", *new]) == 0
    again = ["train", "--resume", "run", "--steps", "2", "--device", "cpu"]
    theirs.write_text("theirs")
    assert main(again) == 2
    assert f"{theirs} is there already, and was not written by" in capsys.readouterr().err
    assert theirs.read_text() == "theirs"
    theirs.unlink()
    assert [main(again), main(again)] == [0, 0]  # what is there the second time is ours


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "name either a network, e.g. deepres train resnet20, or a run to --resume"),
        (["resnet8", "--resume", "x"], "name either a network"),
        (["resnet8", "resnet18"], "are all of CIFAR-10 or all of ImageNet"),
        (["resnet8", "--seeds", "0"], "1 or more, got 0"),
        (["resnet8", "--seed", str(2**64 - 1)], "the seed must be from -2^63 to 2^63"),
        (["resnet8", "--seed", str(2**63), "--seeds", "2"], "the seed must be from -2^63 to 2^63"),
        (["resnet18"], "run: deepres data imagenet prepare"),
        (["resnet18", "--data", "sample"], "--data sample is CIFAR-10"),
        (["resnet18", "--data", "cifar"], "--data cifar is CIFAR-10"),
        (["resnet8", "--data", "cifar"], "is missing; run: deepres data cifar10 --data cifar"),
        (["resnet8", "--data", "photos"], "a network for such folders, e.g. resnet18"),
        (["resnet8", "--data", "photos/val"], "photos/val holds none of CIFAR-10's files"),
        (["resnet8", "--freeze", "conv1"], "freeze=conv1 is for given weights; add --weights"),
        (["resnet20", "--weights", "resnet32"], "is of resnet32, not of resnet20"),
        (["resnet20", "--weights", "deepres", "--freeze", "conv5_x"], "freeze must be one of"),
        (["resnet8", "--set", "holdout=50000"], "holdout must be below CIFAR-10's 50,000 images"),
        (["resnet8", "--out", "/proc/nowhere/run"], "cannot write /proc/nowhere/run"),
        (["resnet8", "--out", "cifar/test_batch.bin/run"], "what should be its folder is a file"),
        (["resnet8", "--workers", "-1"], "the number of workers must be 0 or more, got -1"),
        (["resnet8", "--save-every", "-1"], "between checkpoints must be 0 s or more, got -1.0"),
        (["resnet8", "--accumulate", "3"], "batch_size=128 cannot be shared evenly by 1 processes"),
        (["--resume", "x", "--weights", "deepres"], "--weights is for new runs"),
        (["--recipe", "x.json", "--seed", "0"], "leave out --seed"),
        (["--recipe", "x.json", "--no-fused-kernels"], "leave out --no-fused-kernels"),
        (["--recipe", "x.json", "--bad-images", "skip"], "leave out --bad-images"),
        (["--recipe", "x.json", "resnet8"], "leave out a network"),
        (["--recipe", "x.json", "--resume", "x"], "leave out --resume"),
        (["--recipe", "x.json"], "cannot read x.json"),
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
    monkeypatch.setattr("deepres.data.fetch.fetch_cifar10", lambda *_: pytest.fail("it fetches"))
    image_folder(Path("photos"), train=1, val=1)
    Path("cifar").mkdir()
    Path("cifar/test_batch.bin").touch()
    assert main(["train", *arguments]) == 2
    [line] = capsys.readouterr().err.splitlines()[-1:]
    assert message in line


@pytest.mark.parametrize(
    ("arguments", "refused"),
    [
        ("resnet18 --data photos", "are small"),
        ("resnet8 --data sample --set holdout=5000", "leaves nothing to train on"),
    ],
)
def test_a_run_is_announced_only_if_its_data_suit_it(
    arguments: str,
    refused: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    image_folder(Path("photos"), train=1, val=1)
    assert main(["train", *arguments.split()]) == 2
    said = capsys.readouterr().err
    assert refused in said
    assert "training resnet" not in said


def test_a_run_that_came_along_is_repeated_on_the_usual_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    command = ["train", "--recipe", str(results_folder() / "plain20-2000steps-s0")]
    assert main([*command, "--data", "sample"]) == 2
    assert "began with CIFAR-10 (" in capsys.readouterr().err

    def no_source(*_: object) -> None:
        raise UserError("it would be fetched")

    monkeypatch.setattr("deepres.data.fetch.fetch_cifar10", no_source)
    assert main(command) == 2
    assert "it would be fetched" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("mistake", "message"),
    [
        ("--steps -1", "a run has 1 step or more, got -1"),
        ("--set lr=abc", "--set lr: expected a number, got 'abc'"),
        ("--freeze nonsense", "freeze must be one of conv1, conv2_x"),
        ("--workers -1", "the number of workers must be 0 or more, got -1"),
        ("--accumulate 3", "batch_size=64 cannot be shared evenly"),
        ("--out run", "run already holds a run"),
        ("resnet18", "are all of CIFAR-10 or all of ImageNet"),
    ],
)
def test_mistakes_are_told_before_weights_are_fetched(
    mistake: str,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    make_fine_tuned_run(Path("run"))
    monkeypatch.setattr("deepres.cli.train.weights_for", lambda *_: pytest.fail("it fetches"))
    command = ["train", "resnet20", *mistake.split(), "--weights", "hf:somebody/resnet20"]
    assert main([*command, "--device", "cpu"]) == 2
    assert message in capsys.readouterr().err


def test_sizes_that_suit_the_weights_crop_are_not_judged_by_the_usual_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    image_folder(Path("data"), train=4, val=2)
    network = build_network("resnet18", num_classes=2)
    for name, buffer in network.named_buffers():
        if name.endswith("running_var"):
            buffer += 0.1  # as if it had learned
    mean, sides = torch.zeros(3, 1, 1), {"crop": 32, "short_side": 36}
    small = Classifier(network, mean, ("class0", "class1"), **sides)
    save_weights(Path("small.safetensors"), small, {})
    few = "--set batch_size=4 --set short_side=32,40 --steps 1 --device cpu --workers 0 --out run"
    given = ["--weights", "small.safetensors", "--data", "data"]
    assert main(["train", "resnet18", *given, *few.split()]) == 0
    recipe = RunFolder(Path("run")).read_meta()["recipe"]
    assert (recipe["crop"], recipe["short_side"]) == (32, [32, 40])


@pytest.mark.parametrize("start", [["resnet20"], ["--recipe", "run"]])
def test_the_device_is_looked_for_before_weights_are_fetched(
    start: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    make_fine_tuned_run(Path("run"))
    Path("data").mkdir()
    for module in ("train", "train_command"):
        monkeypatch.setattr(
            f"deepres.cli.{module}.weights_for", lambda *_: pytest.fail("it fetches")
        )
    assert main(["train", *start, "--weights", "deepres", "--device", "cuda:99"]) == 2
    assert "device 'cuda:99' is not available here" in capsys.readouterr().err


def test_a_folder_is_fine_tuned_on_and_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    image_folder(Path("flowers"), train=4, val=2)
    few = ["--set", "batch_size=4", "--steps", "2", "--device", "cpu", "--workers", "0"]
    command = ["train", "resnet20", "--weights", "deepres", "--data", "flowers", *few]
    assert main([*command, "--freeze", "conv3_x"]) == 0
    shown = capsys.readouterr()
    run = Path("runs/resnet20-fine-tuned-freeze=conv3_x-batch_size=4-2steps-s0")
    assert "resnet20: the run resnet20-s0: 64,000 steps" in shown.err
    assert "fine-tuning, which is no recipe of the paper: begun from " in shown.err
    assert "not the paper's: batches of 4, 2 steps, learning rate 0.01" in shown.out
    assert "pretrained=true, freeze=conv3_x" in shown.out
    assert load_classifier(run).classes == ("class0", "class1")

    assert main(["predict", str(run), "flowers/val/class1/000.jpg", "--device", "cpu"]) == 0
    assert "class1" in capsys.readouterr().out
    assert main(["evaluate", str(run), "--device", "cpu", "--workers", "0"]) == 0
    assert f"{run}" in capsys.readouterr().out

    assert main(["train", "--recipe", str(run / "recipe.json"), *few[-4:]]) == 0
    again = "runs/resnet20-repeated-2steps-s0/model.safetensors"
    assert f"{again}: the same bits as {run}/model.safetensors" in capsys.readouterr().out
    assert main(["train", "--recipe", str(run), "--data", "nowhere", "--out", "new"]) == 2
    assert "nowhere: no such folder" in capsys.readouterr().err
    Path("flowers").rename("moved")
    assert main(["train", "--recipe", str(run), "--out", "new"]) == 2
    said = capsys.readouterr().err
    assert "was trained on flowers (2 classes), which is not here: " in said
    assert said.endswith("flowers; say where it is by --data\n")


def test_cifars_networks_are_fine_tuned_on_cifar(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    sample: Cifar10,
) -> None:
    few = dataclasses.replace(sample, test=sample.test.subset(slice(20)))
    monkeypatch.setattr(train, "open_data", lambda *_: few)
    monkeypatch.chdir(tmp_path)
    command = ["train", "resnet20", "--weights", "resnet20", "--data", "sample", "--out", "run"]
    assert main([*command, *OPTIONS]) == 0
    assert "frozen" not in capsys.readouterr().err
    meta = RunFolder(Path("run")).read_meta()
    assert (meta["recipe"]["kind"], meta["initial_weights"]["new"]) == ("cifar10", [])
