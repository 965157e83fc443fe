"""The batches of regions that localization's R-CNN is trained on (the paper's appendix C).

They are drawn from all regions of all images alike, not image by image: those of one image show
much the same.
"""

from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
import torch
from torch import Generator, Tensor
from torch.utils.data import Dataset
from torchvision.ops import box_iou

from deepres.data.detection.boxed_images import BoxedImages
from deepres.data.detection.square_batches import SquareBatches
from deepres.data.detection.warped_regions import Proposals, Warp, warped
from deepres.data.images import open_image
from deepres.errors import UserError
from deepres.execution import Execution
from deepres.recipes.localization_rcnn import LocalizationRCNNRecipe
from deepres.runtime import derive_seed


@dataclass(frozen=True)
class RegionPool:
    """All regions that can be drawn; boxes are shares of the images' widths and heights."""

    images: BoxedImages
    boxes: Tensor
    """(R, 4) float32, of all images in turn."""
    image: Tensor
    """(R,) int64: which image each is of."""
    objects: Tensor
    """Which of the R overlap an object enough, int64."""
    background: Tensor
    """The others."""

    @classmethod
    def of(cls, images: BoxedImages, proposals: Proposals, foreground_iou: float) -> Self:
        """Gather the regions that were proposed for each image's own class, K = 1.

        Raises:
            UserError: no region overlaps an object enough, or every one does.
        """
        count = proposals.boxes.shape[2]
        there = torch.arange(count) < proposals.counts  # (N, P)
        shares = proposals.boxes[:, 0] / images.sizes.repeat(1, 2)[:, None]
        overlaps = torch.stack(
            [box_iou(images.boxes_of(i), shares[i]).amax(0) for i in range(len(images))]
        )
        (objects,) = (overlaps[there] >= foreground_iou).nonzero(as_tuple=True)
        (background,) = (overlaps[there] < foreground_iou).nonzero(as_tuple=True)
        for found, what in ((objects, "an object"), (background, "background")):
            if not len(found):
                raise UserError(
                    f"of the {int(there.sum()):,} regions that the RPN proposes none is {what}; "
                    "train it longer, or on other data"
                )
        return cls(images, shares[there], there.nonzero()[:, 0], objects, background)


class Regions(NamedTuple):
    """A process's share of a batch."""

    images: Tensor
    """(B, crop, crop, 3) uint8 from a worker, (B, 3, crop, crop) float32 once prepared."""
    classes: Tensor
    """(B,) int64, from 0."""
    labels: Tensor
    """(B,) float32: 1 for an object of the class, 0 for background."""
    boxes: Tensor
    """(B, 4) float32: the regions, as shares of their images, mirrored with them."""
    matched: Tensor
    """(B, 4) float32: the object that each overlaps most."""


class RegionStream(Dataset[Regions]):
    """Maps a step's number to the regions of its batch, a function of (seed, step)."""

    def __init__(
        self, pool: RegionPool, recipe: LocalizationRCNNRecipe, warp: Warp, seed: int, shard: slice
    ) -> None:
        self._pool, self._recipe, self._warp = pool, recipe, warp
        self._seed, self._shard = seed, shard

    def draw(self, step: int) -> tuple[Tensor, Tensor]:
        """Return which regions make up the batch (batch_size,), and whether each is mirrored."""
        generator = Generator().manual_seed(derive_seed(self._seed, "regions", step))
        size, objects = self._recipe.batch_size, self._recipe.foregrounds
        drawn = [
            of[torch.randint(len(of), (count,), generator=generator)]
            for of, count in (
                (self._pool.objects, objects),
                (self._pool.background, size - objects),
            )
        ]
        mirrored = torch.randint(2, (size,), generator=generator).bool() & self._recipe.flip
        return torch.cat(drawn), mirrored

    def __getitem__(self, step: int) -> Regions:
        regions, mirrored = (column[self._shard] for column in self.draw(step))
        images = self._pool.images
        squares, boxes, matched = [], [], []
        for r, mirror in zip(regions.tolist(), mirrored.tolist(), strict=True):
            i, own = int(self._pool.image[r]), self._pool.boxes[r]
            image = open_image(images.paths[i])
            squares.append(warped(image, own.tolist(), self._warp, mirror))
            overlapped = images.boxes_of(i)
            matched.append(overlapped[box_iou(own[None], overlapped).argmax()])
            boxes.append(own)
        objects = torch.arange(self._recipe.batch_size) < self._recipe.foregrounds
        return Regions(
            torch.from_numpy(np.stack(squares)),
            images.classes[self._pool.image[regions]],
            objects[self._shard].float(),
            mirror_boxes(torch.stack(boxes), mirrored),
            mirror_boxes(torch.stack(matched), mirrored),
        )


def mirror_boxes(boxes: Tensor, mirrored: Tensor) -> Tensor:
    """Return boxes (B, 4) in shares, left and right exchanged where ``mirrored`` (B,) says so."""
    x1, y1, x2, y2 = boxes.unbind(1)
    return torch.where(mirrored[:, None], torch.stack([1 - x2, y1, 1 - x1, y2], 1), boxes)


class RegionBatches(SquareBatches[Regions]):
    """Warped regions.

    Args:
        pool: what the regions are drawn from.
        recipe: how.
        warp: how they are seen.
        mean: what is subtracted from pixels in [0, 1], (3, 1, 1).
        std: what they are divided by after that.
        seed: of the run.
        execution: where batches are wanted, and which processes decode and share them.
    """

    def __init__(
        self,
        pool: RegionPool,
        recipe: LocalizationRCNNRecipe,
        warp: Warp,
        mean: Tensor,
        std: Tensor,
        seed: int,
        execution: Execution,
    ) -> None:
        shard = execution.world.shard(recipe.batch_size)
        regions = RegionStream(pool, recipe, warp, seed, shard)
        super().__init__(regions, recipe.steps, mean, std, execution)
