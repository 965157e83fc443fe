import dataclasses
import json
import multiprocessing
import re
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import torch
from pictures import image_folder
from runs import train
from safetensors import safe_open

from deepres import fine_tuning_recipe
from deepres.cli import batchnorm
from deepres.cli.main import main
from deepres.data.cifar10 import Cifar10
from deepres.data.folder import open_image_folder
from deepres.evaluation import evaluate
from deepres.evaluation.metrics import Evaluation, validate
from deepres.files import check_ours
from deepres.models import load_classifier, save_weights
from deepres.recipes import get_recipe
from deepres.run_folder import EXACT_BN, RunFolder
from deepres.training.batch_norm_statistics import set_exact_statistics


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, sample: Cifar10) -> Path:
    recipe = dataclasses.replace(
        get_recipe("resnet8").scaled_to(12), batch_size=16, eval_every=12, lr=0.01, lr_drops=()
    )
    folder = tmp_path_factory.mktemp("run") / "run"
    train(recipe, folder, sample, device="cpu")
    return folder


def test_the_error_before_and_after_and_weights_that_load(
    run: Path, sample: Cifar10, capsys: pytest.CaptureFixture[str]
) -> None:
    before = evaluate(load_classifier(run), sample.test).error_pct()
    assert main(["batchnorm", str(run), "--images", "250", "--device", "cpu"]) == 0
    out = capsys.readouterr().out
    weights = run / "model.batchnorm.safetensors"
    assert f"weights: {weights}" in out
    after = evaluate(load_classifier(weights), sample.test).error_pct()
    # 16 batches of 16: as many as it takes
    expected = f"{before:.2f} % before, {after:.2f} % with BN averages over 256 images"
    assert f"test error {expected}" in out

    check_ours(weights)  # so that the next may take its place
    with safe_open(weights, "pt") as archive:
        kept = json.loads(archive.metadata()["deepres"])
    result = RunFolder(run).read_result()
    assert result is not None
    assert kept.items() >= {k: v for k, v in result.items() if not k.startswith("test_")}.items()
    assert kept["test_error_pct"] == after
    assert kept["batch_norm"]["images"] == 256
    assert kept["batch_norm"]["test_error_pct_before"] == before

    old, new = (load_classifier(path).network.state_dict() for path in (run, weights))
    assert old.keys() == new.keys()
    for name in old:
        same = "running" not in name and "num_batches" not in name
        assert torch.equal(old[name], new[name]) == same, name


def test_frozen_stages_keep_their_statistics(
    tmp_path: Path, run: Path, sample: Cifar10, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = fine_tuning_recipe("resnet8", run, sample).scaled_to(1).changed(["batch_size=8"])
    for last in ("conv2_x", "conv4_x"):
        train(recipe.changed([f"freeze={last}"]), tmp_path / last, sample, weights=run)
    asked = ["--images", "8", "--device", "cpu"]
    assert main(["batchnorm", str(tmp_path / "conv2_x"), *asked]) == 0
    new = load_classifier(tmp_path / "conv2_x/model.batchnorm.safetensors").network.state_dict()
    old = load_classifier(tmp_path / "conv2_x").network.state_dict()
    stages = {name.partition(".")[0] for name in old if not torch.equal(old[name], new[name])}
    assert stages == {"layer2", "layer3"}
    assert main(["batchnorm", str(tmp_path / "conv4_x"), *asked]) == 2
    assert "has no BN that learned (freeze=conv4_x)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("processes", "changed", "parts"),
    [(1, {"accumulate": 2}, 2), (4, {"accumulate": 2}, 8), (4, {"sync_batch_norm": True}, 1)],
)
def test_batch_norm_sees_as_many_images_at_once_as_at_the_end_of_training(
    tmp_path: Path,
    run: Path,
    monkeypatch: pytest.MonkeyPatch,
    processes: int,
    changed: dict[str, Any],
    parts: int,
) -> None:
    copy = shutil.copytree(run, tmp_path / "run")
    meta = RunFolder(copy).read_meta()
    resumed = {"step": 5, **meta["provenance"], "processes": processes}
    changes = {"recipe": meta["recipe"] | changed, "resumed": [resumed]}
    RunFolder(copy).write_meta(meta | changes)
    sizes = []

    def note_sizes(network: object, batches: Iterable[torch.Tensor], *_: object) -> None:
        sizes.extend(len(images) for images in batches)

    monkeypatch.setattr(batchnorm, "set_exact_statistics", note_sizes)
    assert main(["batchnorm", str(copy), "--images", "32", "--device", "cpu"]) == 0
    assert sizes == 2 * parts * [16 // parts]


def test_statistics_of_weights_that_are_replaced_meanwhile_are_not_kept(
    tmp_path: Path, run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = shutil.copytree(run, tmp_path / "run", ignore=shutil.ignore_patterns(EXACT_BN))

    def replaced_meanwhile(*work: Any) -> None:
        set_exact_statistics(*work)
        save_weights(copy / "model.safetensors", load_classifier(run), {"steps": 24})

    monkeypatch.setattr(batchnorm, "set_exact_statistics", replaced_meanwhile)
    command = ["batchnorm", str(copy), "--images", "16", "--device", "cpu"]
    assert main(command) == 0
    out, err = capsys.readouterr()
    assert f"{copy}: its weights were replaced during the test" in err
    assert "with BN averages over 16 images" in out
    assert "weights:" not in out
    assert not (copy / EXACT_BN).exists()
    assert main([*command, "--out", str(tmp_path / "asked.safetensors")]) == 0
    assert (tmp_path / "asked.safetensors").exists()


def test_a_file_of_the_users_is_not_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    theirs = Path("resnet20-s0.model.batchnorm.safetensors")
    theirs.write_text("mine")
    assert main(["batchnorm", "resnet20-s0", "--data", "sample", "--device", "cpu"]) == 2
    assert f"{theirs} is there already, and was not written by" in capsys.readouterr().err
    assert theirs.read_text() == "mine"


def test_a_short_run_on_a_folder_can_be_averaged_over_more_images_than_it_saw(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    decoding = []

    def test_while(*arguments: Any) -> Evaluation:
        decoding.append(len(multiprocessing.active_children()))
        return validate(*arguments)

    monkeypatch.setattr(batchnorm, "validate", test_while)
    data = open_image_folder(image_folder(tmp_path / "data", train=4, val=2))
    recipe = dataclasses.replace(
        get_recipe("resnet18").scaled_to(2),
        **{"batch_size": 4, "crop": 32, "short_side": (36, 40), "mean_images": 4},
    )
    train(recipe, tmp_path / "run", data, device="cpu", workers=0)
    asked = ["--images", "20", "--device", "cpu", "--workers", "1", "--out"]
    assert main(["batchnorm", str(tmp_path / "run"), *asked, str(tmp_path / "b.safetensors")]) == 0
    assert re.search("with BN averages over 20 images", capsys.readouterr().out)
    load_classifier(tmp_path / "b.safetensors")
    assert decoding == [0, 0]  # before either test

    other = image_folder(tmp_path / "other", train=5, val=2)
    assert main(["batchnorm", str(tmp_path / "run"), *asked[2:4], "--data", str(other)]) == 2
    assert "run began with data (2 classes)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("nowhere", "nowhere: no such file or folder"),
        ("RUN/model.safetensors", "is not a run folder"),
        ("RUN --out RUN/../run/model.safetensors", "would replace the run's own weights"),
        ("RUN --workers -1", "the number of workers must be 0 or more, got -1"),
        ("RUN --images 0", "--images must be at least 1, got 0"),
    ],
)
def test_mistakes(
    run: Path, arguments: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = arguments.replace("RUN", str(run)).split()
    assert main(["batchnorm", "--device", "cpu", *words]) == 2
    assert message in capsys.readouterr().err
