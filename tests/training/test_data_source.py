import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from pictures import image_folder, save_pictures
from PIL import Image
from runs import on_cpu, train
from torchvision import transforms as reference

from deepres.data.cifar10 import Cifar10
from deepres.data.folder import ImageFolder, open_image_folder
from deepres.data.image_sizes import typical_short_side
from deepres.data.images import BadImage
from deepres.data.transforms import per_pixel_mean
from deepres.distributed import ALONE, World
from deepres.errors import UserError
from deepres.execution import Execution
from deepres.recipes import ImageNetRecipe, get_recipe
from deepres.training.classification import Classification
from deepres.training.data_source import DataSource, Preparation
from deepres.training.data_source import make_data_source as make

HERE = on_cpu(workers=0, say=lambda line: None)


def make_data_source(data, recipe, here: Execution = HERE, preparation=None) -> DataSource:
    return make(data, recipe, 0, here, preparation)


@pytest.fixture
def folder(tmp_path: Path) -> ImageFolder:
    return open_image_folder(image_folder(tmp_path, train=5, val=2))


@pytest.fixture
def recipe() -> ImageNetRecipe:
    recipe = get_recipe("resnet18").scaled_to(4)
    assert isinstance(recipe, ImageNetRecipe)
    return dataclasses.replace(recipe, crop=32, short_side=(36, 48), batch_size=4)


@pytest.mark.parametrize(
    ("count", "places"),
    [
        (1, [0]),
        (3, [0, 3, 6]),
        (5, [0, 2, 4, 6, 8]),
        (7, [0, 1, 2, 4, 5, 7, 8]),
        (10_000, range(10)),
    ],
)
def test_the_mean_is_that_of_images_from_all_over_the_set(
    folder: ImageFolder, recipe: ImageNetRecipe, count: int, places: list[int]
) -> None:
    chain = reference.Compose([reference.Resize(37), reference.CenterCrop(32)])
    names = [folder.train.root / folder.train.names[i] for i in places]
    expected = np.mean([np.asarray(chain(Image.open(name))) / 255 for name in names], axis=0)
    source = make_data_source(folder, dataclasses.replace(recipe, mean_images=count))
    assert source.mean.dtype == torch.float32
    found = source.mean.permute(1, 2, 0).double()
    torch.testing.assert_close(found, torch.from_numpy(expected), atol=1e-6, rtol=0)


def test_processes_share_the_mean(
    folder: ImageFolder, recipe: ImageNetRecipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    handed_in: list[list[torch.Tensor]] = [[], [], []]

    def note(world: World, tensor: torch.Tensor) -> torch.Tensor:
        handed_in[world.rank].append(tensor.clone())
        return tensor

    expected = make_data_source(folder, recipe).mean
    recipe = dataclasses.replace(recipe, batch_size=3)
    monkeypatch.setattr(World, "sum", note)
    for rank in range(3):
        make_data_source(folder, recipe, dataclasses.replace(HERE, world=World(rank, 3)))
    total, count = (sum(part) for part in zip(*handed_in, strict=True))
    assert count == 10
    assert torch.equal((total.double() / (255 * count)).float(), expected)


def test_a_known_mean_is_not_taken_again(folder: ImageFolder, recipe: ImageNetRecipe) -> None:
    mean = torch.rand(3, 32, 32)
    source = make_data_source(folder, recipe, preparation=Preparation(mean))
    assert source.mean is mean


def test_a_bad_image_in_the_mean_is_named_or_left_out(
    folder: ImageFolder, recipe: ImageNetRecipe
) -> None:
    whole = make_data_source(folder, recipe).mean
    (folder.train.root / folder.train.names[4]).write_bytes(b"")
    with pytest.raises(BadImage, match=r"class0/004\.jpg"):
        make_data_source(folder, recipe)
    skipping = dataclasses.replace(recipe, bad_images="skip")
    kept = make_data_source(folder, skipping).mean
    assert 0 < (kept - whole).abs().max() < 0.2
    for name in folder.train.names:
        (folder.train.root / name).write_bytes(b"")
    with pytest.raises(UserError, match="none of the 10 images for the mean can be decoded"):
        make_data_source(folder, skipping)


def test_a_folder_is_tested_on_the_centre_of_its_val(
    folder: ImageFolder, recipe: ImageNetRecipe
) -> None:
    source = make_data_source(folder, recipe)
    assert source.classes == ("class0", "class1")
    assert (source.crop, source.short_side) == (32, 37)
    assert list(source.eval_sets) == ["test"]
    ((images, labels),) = source.test.batches(9, ALONE)
    assert images.shape == (4, 3, 32, 32)
    assert labels.tolist() == [0, 0, 1, 1]
    prepared, labels = source.batches(0)
    assert (prepared.shape, labels.shape) == ((4, 3, 32, 32), (4,))


def test_cifars_feed_is_its_own(sample: Cifar10) -> None:
    recipe = dataclasses.replace(get_recipe("resnet8"), holdout=1_000)
    source = make_data_source(sample, recipe)
    assert torch.equal(source.mean, per_pixel_mean(sample.train.images[:-1_000]))
    assert (source.crop, source.short_side) == (32, 32)
    assert len(source.eval_sets["val"]) == 1_000
    assert len(source.test) == len(sample.test)


def test_a_recipe_for_other_data_is_refused(
    sample: Cifar10, folder: ImageFolder, recipe: ImageNetRecipe
) -> None:
    with pytest.raises(UserError, match=r"resnet18 is for folders of images.* but sample is not"):
        make_data_source(sample, recipe)
    with pytest.raises(UserError, match="resnet8 is for CIFAR-10, but /"):
        make_data_source(folder, get_recipe("resnet8"))


def test_a_single_class_is_refused(tmp_path: Path) -> None:
    for part in ("train", "val"):
        save_pictures(tmp_path / part / "rose", [(64, 64)])
    data = open_image_folder(tmp_path)
    with pytest.raises(UserError, match="has a single class, rose; there must be 2 or more"):
        Classification.check_learnable(get_recipe("resnet18"), data)


@pytest.mark.parametrize("label", [-1, 2])
def test_labels_are_of_the_folders_classes(
    folder: ImageFolder, recipe: ImageNetRecipe, label: int
) -> None:
    labels = (label, *folder.test.labels[1:])
    other = dataclasses.replace(folder, test=dataclasses.replace(folder.test, labels=labels))
    with pytest.raises(UserError, match=f"has the label {label}, and the network's 2 classes"):
        Classification.check_learnable(recipe, other)


def test_sizes_are_read_from_what_can_be_read(tmp_path: Path) -> None:
    for part in ("train", "val"):
        save_pictures(tmp_path / part / "a", [(20, 30), (70, 40)])
    files = open_image_folder(tmp_path).train
    assert typical_short_side(files) == 20
    (tmp_path / "train/a/000.jpg").write_bytes(b"")
    assert typical_short_side(files) == 40
    (tmp_path / "train/a/001.jpg").unlink()
    assert typical_short_side(files) is None


def test_a_run_on_small_images_leaves_no_folder(tmp_path: Path, folder: ImageFolder) -> None:
    recipe = get_recipe("resnet18").scaled_to(2)
    with pytest.raises(UserError, match="--set crop="):
        train(recipe, tmp_path / "run", folder, workers=0)
    assert not (tmp_path / "run").exists()
