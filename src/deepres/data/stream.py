"""The augmented batches of a run from image files, decoded by worker processes (§3.4)."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from deepres.data.crops import colour_shifts, crop_of_scaled
from deepres.data.folder import ImageFiles
from deepres.data.images import BadImage
from deepres.data.loading import StepStream
from deepres.data.sampling import CropSampler
from deepres.data.transforms import prepare
from deepres.execution import Execution
from deepres.recipes import ImageNetRecipe


class Crops(NamedTuple):
    """A process's share of a batch, as it comes from a worker."""

    images: Tensor
    """(B, crop, crop, 3) uint8."""
    labels: Tensor
    """(B,) int64."""
    shifts: Tensor
    """(B, 3) float32: what the colour augmentation adds, in [0, 1]."""
    bad: list[str]
    """A line on each file that could not be decoded."""


class CropStream(Dataset[Crops]):
    """Maps a step's number to the random crops of its batch."""

    def __init__(self, files: ImageFiles, recipe: ImageNetRecipe, seed: int, shard: slice) -> None:
        self._files, self._recipe, self._shard = files, recipe, shard
        self._sampler = CropSampler(
            len(files), recipe.batch_size, recipe.short_side, recipe.flip, seed
        )

    def __getitem__(self, step: int) -> Crops:
        draws = [column[self._shard] for column in self._sampler.batch(step)]
        crops, labels, shifts, bad = [], [], [], []
        for i, side, top, left, flip, colour in zip(*(c.tolist() for c in draws), strict=True):
            try:
                image = self._files.image(i)
            except BadImage as error:
                bad.append(str(error))
                continue
            crops.append(crop_of_scaled(image, side, top, left, self._recipe.crop, flip))
            labels.append(self._files.labels[i])
            shifts.append(colour)
        side = self._recipe.crop
        return Crops(
            torch.from_numpy(np.array(crops, np.uint8).reshape(-1, side, side, 3)),
            torch.tensor(labels, dtype=torch.int64),
            colour_shifts(torch.tensor(shifts).view(-1, 3), self._recipe.colour_std),
            bad,
        )


class StreamedBatches:
    """Maps a step's number to its batch; fast for steps in order, right for any.

    ``take`` is the host's part of that, and ``prepare`` the device's.

    Args:
        files: the training images.
        mean: what is subtracted from them, (3, crop, crop) or (3, 1, 1) float32 in [0, 1].
        recipe: how they are augmented.
        seed: of the run.
        execution: where batches are wanted, and which processes decode and share them.
        std: what divides the images after all that, (3, 1, 1); None: nothing.
    """

    def __init__(
        self,
        files: ImageFiles,
        mean: Tensor,
        recipe: ImageNetRecipe,
        seed: int,
        execution: Execution,
        std: Tensor | None = None,
    ) -> None:
        crops = CropStream(files, recipe, seed, execution.world.shard(recipe.batch_size))
        self._stream = StepStream(crops, recipe.steps, execution)
        self._recipe, self._device = recipe, execution.device
        # as crops come
        self._mean = mean[None].to(self._device, memory_format=torch.channels_last)
        self._std = None if std is None else std.to(self._device)
        self.bad: list[str] = []
        """A line on each image of the last batch that could not be decoded and was left out."""

    def take(self, step: int) -> tuple[Tensor, ...]:
        """Return this process's crops of ``step``, as they come from the workers, on the device.

        Raises:
            BadImage: a file cannot be decoded, and the recipe does not say to skip such.
        """
        crops = self._stream(step)
        if crops.bad and self._recipe.bad_images == "fail":
            raise BadImage(
                f"{crops.bad[0]}; leave such images out: --bad-images skip, with --resume too"
            )
        if not len(crops.labels):
            others = f"all other images that this process has of step {step + 1:,}"
            raise BadImage(f"{crops.bad[0]}; and so it is with {others}")
        self.bad = crops.bad
        parts = (crops.images, crops.labels, crops.shifts)
        return tuple(part.to(self._device, non_blocking=True) for part in parts)

    def prepare(self, taken: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        """Return the images (B, 3, crop, crop) float32 and labels (B,) int64 of what was taken."""
        crops, labels, shifts = taken
        images = prepare(crops.permute(0, 3, 1, 2), self._mean)
        images.add_(shifts[:, :, None, None])
        return images if self._std is None else images.div_(self._std), labels

    def __call__(self, step: int) -> tuple[Tensor, Tensor]:
        """Return this process's images (B, 3, crop, crop) float32 and labels (B,) of ``step``.

        Raises:
            BadImage: as in ``take``.
        """
        return self.prepare(self.take(step))

    def close(self) -> None:
        """End the processes that decode."""
        self._stream.close()
