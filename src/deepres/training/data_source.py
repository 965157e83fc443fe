"""What a data set gives to a run: batches to train on, images to test on, and the mean."""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from deepres.data.batches import Batches
from deepres.data.cifar10 import Cifar10
from deepres.data.folder import ImageFiles, ImageFolder
from deepres.data.loading import CentreCrops
from deepres.data.stream import StreamedBatches
from deepres.data.transforms import per_pixel_mean
from deepres.distributed import World
from deepres.errors import UserError
from deepres.evaluation.metrics import TestImages
from deepres.execution import Execution
from deepres.recipes import CifarRecipe, ClassificationRecipe, ImageNetRecipe

TEST_BATCH = 250
"""Small enough for a CPU's caches; of large images, large enough for any device."""
TEST_BATCH_ON_CUDA = 2_500
"""Of CIFAR-10's images a GPU needs that many at a time."""


class TrainingBatches(Protocol):
    """Maps a step's number to this process's share of its batch."""

    bad: list[str]
    """A line on each image of the last batch that was left out."""

    def take(self, step: int) -> tuple[Tensor, ...]:
        """Return what makes up the batch, on the device: the host's part."""

    def prepare(self, taken: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        """Return prepared images (B, C, H, W) float32 and labels (B,) int64: the device's part."""

    def __call__(self, step: int) -> tuple[Tensor, Tensor]:
        """Return both in one."""

    def close(self) -> None:
        """End the processes that decode images, if there are any."""


class Preparation(NamedTuple):
    """What is done to the input's pixels in [0, 1]."""

    mean: Tensor
    """What is subtracted: an image (C, H, W), or a value for each channel (C, 1, 1)."""
    std: Tensor | None = None
    """What divides after that, (C, 1, 1); None: nothing, as in the paper."""


@dataclass(frozen=True)
class DataSource:
    """A data set as one run sees it."""

    classes: tuple[str, ...]
    mean: Tensor
    """The mean image of the training images, (C, H, W), in [0, 1]; or what was given as it."""
    std: Tensor | None
    crop: int
    short_side: int
    """Sides in pixels, for testing."""
    batches: TrainingBatches
    eval_sets: dict[str, TestImages]
    """What is evaluated along the way: the test images, or those held out for validation."""
    test: TestImages
    test_batch: int
    """Images that are tested at a time."""


def make_data_source(
    data: Cifar10 | ImageFolder,
    recipe: ClassificationRecipe,
    seed: int,
    execution: Execution,
    preparation: Preparation | None = None,
) -> DataSource:
    """Return what ``data`` give to a run of ``recipe``.

    Args:
        data: as the recipe wants them.
        recipe: the run's.
        seed: the run's.
        execution: where and how.
        preparation: what is done to the input; None: the training images' mean is subtracted.

    Raises:
        UserError: the recipe is for data of another kind.
        BadImage: a file cannot be decoded, and the recipe does not say to skip such.
    """
    if isinstance(data, Cifar10) and isinstance(recipe, CifarRecipe):
        return _cifar_source(data, recipe, seed, execution, preparation)
    if isinstance(data, ImageFolder) and isinstance(recipe, ImageNetRecipe):
        return _folder_source(data, recipe, seed, execution, preparation)
    its = "CIFAR-10" if isinstance(recipe, CifarRecipe) else "folders of images, as ImageNet"
    raise UserError(
        f"the recipe of {recipe.model} is for {its}, but {data.location} is not; "
        "give other --data, or another network"
    )


def _cifar_source(
    data: Cifar10,
    recipe: CifarRecipe,
    seed: int,
    execution: Execution,
    preparation: Preparation | None,
) -> DataSource:
    train, held_out = data.split(recipe.holdout)
    size = train.images.shape[-2:]
    mean, std = fitting(preparation or Preparation(per_pixel_mean(train.images)), size)
    batches = Batches(train, mean.expand(-1, *size), recipe, seed, execution, std)
    device = execution.device
    test = data.test.to(device)
    eval_sets: dict[str, TestImages]
    eval_sets = {"val": held_out.to(device)} if recipe.holdout else {"test": test}
    side = size[-1]
    test_batch = TEST_BATCH_ON_CUDA if device.type == "cuda" else TEST_BATCH
    return DataSource(data.classes, mean, std, side, side, batches, eval_sets, test, test_batch)


def _folder_source(
    data: ImageFolder,
    recipe: ImageNetRecipe,
    seed: int,
    execution: Execution,
    preparation: Preparation | None,
) -> DataSource:
    side = recipe.test_short_side

    def centres(files: ImageFiles) -> CentreCrops:
        skip = recipe.bad_images == "skip"
        return CentreCrops(files, recipe.crop, side, execution, skip_bad=skip)

    if preparation is None:
        execution.say("taking the mean of the training images")
        chosen = centres(data.train.spread(recipe.mean_images))
        preparation = Preparation(_mean_image(chosen, recipe.crop, execution.world))
    mean, std = fitting(preparation, (recipe.crop, recipe.crop))
    batches = StreamedBatches(data.train, mean, recipe, seed, execution, std)
    test = centres(data.test)
    return DataSource(
        data.classes, mean, std, recipe.crop, side, batches, {"test": test}, test, TEST_BATCH
    )


def fitting(preparation: Preparation, size: Sequence[int]) -> Preparation:
    """Return the preparation of images of ``size``; of a mean image of another, its own mean."""
    mean, std = preparation
    if mean.shape[1:] not in (torch.Size(size), (1, 1)):
        mean = mean.mean((1, 2), keepdim=True)
    divides = std is not None and bool((std != 1).any())
    return Preparation(mean, std if divides else None)


def _mean_image(images: CentreCrops, crop: int, world: World) -> Tensor:
    total = torch.zeros(3, crop, crop, dtype=torch.int64)
    count = torch.zeros((), dtype=torch.int64)
    with closing(images.batches(100, world, name_bad=False)) as batches:
        for batch, labels in batches:
            total += batch.sum(0, dtype=torch.int64).cpu()  # exact
            count += len(labels)
    total, count = world.sum(total), world.sum(count)
    if not count:
        raise UserError(f"none of the {len(images)} images for the mean can be decoded")
    return (total.double() / (255 * count)).float()
