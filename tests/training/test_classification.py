from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pictures import image_folder
from runs import assert_near, on_cpu, train

from deepres.data.cifar10 import Cifar10
from deepres.data.folder import ImageFolder, open_image_folder
from deepres.errors import UserError
from deepres.models.stages import StagedNetwork
from deepres.recipes import ClassificationRecipe, get_recipe
from deepres.run_folder import RunFolder
from deepres.training import classification
from deepres.training.batch_parts import smallest_part
from deepres.training.classification import Classification


def small_photographs(folder: Path, *settings: str) -> tuple[ImageFolder, ClassificationRecipe]:
    recipe = get_recipe("resnet18").scaled_to(3)
    fitting = ("crop=32", "short_side=36,40", "mean_images=2", *settings)
    return open_image_folder(image_folder(folder, train=4, val=1)), recipe.changed(list(fitting))


@pytest.mark.parametrize(
    ("settings", "fits"),
    [
        (["batch_size=1"], False),
        (["batch_size=4", "accumulate=4"], False),
        (["batch_size=4", "accumulate=2"], True),
        (["batch_size=1", "crop=64", "short_side=64,64"], True),  # a map of 2 × 2 values
    ],
)
def test_bn_is_given_more_than_one_value(tmp_path: Path, settings: list[str], fits: bool) -> None:
    data, recipe = small_photographs(tmp_path / "data", *settings)
    if fits:
        task = Classification(recipe, data, 0, on_cpu(workers=0))
        assert task.step(0).isfinite().all()
        return
    with pytest.raises(UserError, match=r"batch_size=\d leaves a single image to a part"):
        train(recipe, tmp_path / "run", data, workers=0)
    assert not (tmp_path / "run").exists()


def test_what_bad_images_leave_of_a_part_is_enough_for_bn_or_is_said(tmp_path: Path) -> None:
    settings = ["batch_size=4", "accumulate=2", "bad_images=skip", "mean_images=8"]
    data, recipe = small_photographs(tmp_path / "data", *settings)
    for path in data.train.paths()[:5]:
        path.write_bytes(b"")
    with pytest.raises(UserError, match=r"a single image is left in a part, .* mend .*\.jpg"):
        train(recipe, tmp_path / "run", data, workers=0)


@given(st.integers(1, 50), st.integers(1, 9))
def test_parts_are_torchs_chunks(images: int, parts: int) -> None:
    chunks = torch.zeros(images).chunk(parts)
    assert smallest_part(images, parts) == min(map(len, chunks))


def test_noise_of_rounding_moves_ten_losses_by_less_than_a_gpu_may(
    tmp_path: Path, sample: Cifar10, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the bound that tests on a GPU compare other orders of summation with."""
    settings = ["lr=0.01", "lr_drops=", "log_every=1", "precision=fp32"]
    recipe = get_recipe("resnet20").scaled_to(10).changed(settings)
    initial_network = classification.initial_network

    def noisy(*arguments: Any) -> StagedNetwork:
        network = initial_network(*arguments)
        torch.manual_seed(0)
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.mul_(1 + 1e-7 * torch.randn_like(parameter))
        return network

    train(recipe, tmp_path / "plain", sample)
    monkeypatch.setattr(classification, "initial_network", noisy)
    train(recipe, tmp_path / "noisy", sample)
    tenth = {RunFolder(tmp_path / name).read_events()[9]["loss"] for name in ("plain", "noisy")}
    assert len(tenth) == 2
    assert_near(tmp_path / "plain", tmp_path / "noisy", until=10)
