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
from deepres.models import load_model
from deepres.recipes import get_recipe
from deepres.run_folder import RunFolder
from deepres.runtime import make_repeatable

pytestmark = pytest.mark.gpu

SHORT = dataclasses.replace(
    get_recipe("resnet18").scaled_to(6),
    batch_size=8,
    crop=32,
    short_side=(36, 48),
    mean_images=8,
    log_every=2,
    eval_every=6,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return image_folder(tmp_path)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_run_from_image_files(folder: Path, precision: str) -> None:
    data = open_image_folder(folder)
    recipe = dataclasses.replace(SHORT, precision=precision, accumulate=2, log_every=1)
    losses = {}
    for device in ("cuda", "cpu"):
        train(recipe, folder / device, data, device=device, workers=1)
        events = RunFolder(folder / device).read_events()
        losses[device] = [event["loss"] for event in events if event["split"] == "train"]
    # BN over 8 values at the end turns bf16's rounding into some per cent of the very first loss
    near = {"fp32": 0.01, "bf16": 0.15}[precision]
    assert losses["cuda"][0] == pytest.approx(losses["cpu"][0], rel=near)


@pytest.mark.parametrize("views", ["1-crop", "10-crop", "multi-scale"])
def test_scores_are_those_of_the_cpu(folder: Path, views: str) -> None:
    data = open_image_folder(folder)
    train(SHORT, folder / "run", data, device="cpu", workers=0)
    make_repeatable(torch.device("cuda"))  # no TF32
    scores = []
    for device in (torch.device("cuda"), torch.device("cpu")):
        classifier = load_model(folder / "run", device)
        scores.append(class_scores(classifier, data.test, views, Execution(device)).probabilities)
    torch.testing.assert_close(scores[0], scores[1], atol=2e-3, rtol=0)
