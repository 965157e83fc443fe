"""What runs on a GPU from image files to scores, against the CPU."""

import dataclasses
from pathlib import Path

import pytest
import torch
from pictures import image_folder
from runs import train

from deepres.data.folder import open_image_folder
from deepres.evaluation.scores import class_scores
from deepres.execution import Execution
from deepres.models import load_classifier
from deepres.recipes import ImageNetRecipe, get_recipe
from deepres.run_folder import RunFolder
from deepres.runtime import make_repeatable

SHORT = dataclasses.replace(
    get_recipe("resnet18").scaled_to(6),
    batch_size=8,
    crop=32,
    short_side=(36, 48),
    mean_images=8,
    log_every=2,
    eval_every=6,
)


# How near a GPU's first loss is to the CPU's, relative to it: BN over 8 values at the end turns
# bf16's rounding into some per cent.
NEAR = {"fp32": 0.01, "bf16": 0.15}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return image_folder(tmp_path)


def first_loss(folder: Path, recipe: ImageNetRecipe, device: str, workers: int) -> float:
    run = folder / f"{device}-{recipe.precision}"
    train(recipe, run, open_image_folder(folder), device=device, workers=workers)
    events = RunFolder(run).read_events()
    return next(event["loss"] for event in events if event["split"] == "train")


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_run_from_image_files(folder: Path, precision: str) -> None:
    recipe = dataclasses.replace(SHORT, precision=precision, accumulate=2, log_every=1)
    losses = [first_loss(folder, recipe, device, workers=1) for device in ("cuda", "cpu")]
    assert losses[0] == pytest.approx(losses[1], rel=NEAR[precision])


def test_bf16_alone_moves_the_first_loss_by_less_than_a_gpu_may(folder: Path) -> None:
    one_step = dataclasses.replace(SHORT, steps=1, lr_drops=(), accumulate=2, log_every=1)
    losses = [
        first_loss(folder, dataclasses.replace(one_step, precision=precision), "cpu", workers=0)
        for precision in ("fp32", "bf16")
    ]
    assert losses[0] == pytest.approx(losses[1], rel=NEAR["bf16"])


@pytest.mark.gpu
@pytest.mark.parametrize("views", ["1-crop", "10-crop", "multi-scale"])
def test_scores_are_those_of_the_cpu(folder: Path, views: str) -> None:
    data = open_image_folder(folder)
    train(SHORT, folder / "run", data, device="cpu", workers=0)
    make_repeatable(torch.device("cuda"))  # no TF32
    scores = []
    for device in (torch.device("cuda"), torch.device("cpu")):
        classifier = load_classifier(folder / "run", device)
        scores.append(class_scores(classifier, data.test, views, Execution(device)).probabilities)
    torch.testing.assert_close(scores[0], scores[1], atol=2e-3, rtol=0)
