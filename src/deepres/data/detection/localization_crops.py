"""Random crops of images with boxes (the paper's appendix C)."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from deepres.data.crops import colour_shifts, crop_corner, crop_of_scaled, scaled_size
from deepres.data.detection.boxed_images import BoxedImages
from deepres.data.detection.square_batches import SquareBatches
from deepres.data.images import open_image
from deepres.data.sampling import CropSampler
from deepres.execution import Execution
from deepres.recipes.localization import LocalizationRecipe

LEAST_SHARE = 0.1
"""The share of a box that a crop must show for the object to count as being in it."""


def boxes_in_crop(
    boxes: Tensor, size: tuple[int, int], corner: tuple[int, int], crop: int, mirror: bool
) -> Tensor:
    """Return the boxes of the objects that a square crop shows, cut off at its edges.

    Args:
        boxes: (n, 4), as shares of the image's width and height.
        size: width and height of the scaled image, in pixels.
        corner: where the crop begins in it, (x, y).
        crop: its side.
        mirror: whether its left and right change places.

    Returns:
        (up to n, 4), in pixels of the crop.
    """
    shift = torch.tensor([*corner, *corner])
    placed = boxes * torch.tensor([*size, *size]) - shift
    cut = placed.clamp(0, crop)
    shown = _area(cut) / _area(placed)
    cut = cut[shown >= LEAST_SHARE]
    return (
        torch.stack([crop - cut[:, 2], cut[:, 1], crop - cut[:, 0], cut[:, 3]], 1)
        if mirror
        else cut
    )


def _area(boxes: Tensor) -> Tensor:
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])


class BoxedCrops(NamedTuple):
    """A process's share of a batch."""

    images: Tensor
    """(B, crop, crop, 3) uint8 from a worker, (B, 3, crop, crop) float32 once prepared."""
    classes: Tensor
    """(B,) int64, from 0."""
    shifts: Tensor
    """(B, 3) float32: what the colour augmentation adds, in [0, 1]."""
    boxes: Tensor
    """(M, 4) float32, of all crops in turn."""
    counts: Tensor
    """(B,) int64: how many boxes each has; none where the crop misses the object."""


class BoxedCropStream(Dataset[BoxedCrops]):
    """Maps a step's number to the random crops of its batch."""

    def __init__(
        self, images: BoxedImages, recipe: LocalizationRecipe, seed: int, shard: slice
    ) -> None:
        self._images, self._recipe, self._shard = images, recipe, shard
        self._sampler = CropSampler(
            len(images), recipe.batch_size, recipe.short_side, recipe.flip, seed
        )

    def __getitem__(self, step: int) -> BoxedCrops:
        draws = [column[self._shard] for column in self._sampler.batch(step)]
        indices, *_, colours = draws
        crop = self._recipe.crop
        pixels, boxes = [], []
        for i, side, top, left, flip in zip(*(c.tolist() for c in draws[:-1]), strict=True):
            image = open_image(self._images.paths[i])
            pixels.append(crop_of_scaled(image, side, top, left, crop, flip))
            size = scaled_size(image.size, side)
            corner = crop_corner(size, top, left, crop)
            boxes.append(boxes_in_crop(self._images.boxes_of(i), size, corner, crop, flip))
        return BoxedCrops(
            torch.from_numpy(np.stack(pixels)),
            self._images.classes[indices],
            colour_shifts(colours, self._recipe.colour_std),
            torch.cat(boxes),
            torch.tensor([len(each) for each in boxes]),
        )


class CropBatches(SquareBatches[BoxedCrops]):
    """Random crops, their colours shifted.

    Args:
        images: the training images.
        recipe: how they are augmented.
        mean: what is subtracted from pixels in [0, 1], (3, 1, 1).
        std: what they are divided by after that.
        seed: of the run.
        execution: where batches are wanted, and which processes decode and share them.
    """

    def __init__(
        self,
        images: BoxedImages,
        recipe: LocalizationRecipe,
        mean: Tensor,
        std: Tensor,
        seed: int,
        execution: Execution,
    ) -> None:
        crops = BoxedCropStream(images, recipe, seed, execution.world.shard(recipe.batch_size))
        super().__init__(crops, recipe.steps, mean, std, execution)

    def __call__(self, step: int) -> BoxedCrops:
        """Return this process's share of the batch of ``step``, prepared, on the device.

        Raises:
            BadImage: a file cannot be decoded.
        """
        crops = super().__call__(step)
        crops.images.add_(crops.shifts[:, :, None, None] / self._std)
        return crops
