"""Regions of images, cut out and warped to squares as in R-CNN (the paper's appendix C)."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from deepres.data.detection.boxed_images import BoxedImages
from deepres.data.images import open_image

Colour = tuple[int, int, int]


class Proposals(NamedTuple):
    """The boxes that may hold the object of a class, for images and classes of each."""

    boxes: Tensor
    """(N, K, P, 4), the surest first, in pixels of the image as annotated."""
    counts: Tensor
    """(N, K) int64: how many of the P there are."""

    def of(self, i: int, k: int) -> Tensor:
        """Return those for one class of an image, (up to P, 4)."""
        return self.boxes[i, k, : self.counts[i, k]]


class Warp(NamedTuple):
    """How a network sees a region."""

    crop: int
    """The side of the square that it is warped to, in pixels."""
    context: int
    """How many of these, on each side, show what is around it."""
    fill: Colour
    """What is there beyond the image's edge."""


def warped(
    image: Image.Image, box: Sequence[float], warp: Warp, mirror: bool = False
) -> NDArray[np.uint8]:
    """Return a region as a square, whatever its shape, (crop, crop, 3).

    Args:
        image: an RGB image.
        box: x1, y1, x2, y2 as shares of the image's width and height.
        warp: how it is seen.
        mirror: whether left and right of the square change places.
    """
    inner = warp.crop - 2 * warp.context
    sides, places = [], []
    for low, high, length in zip(box[:2], box[2:], image.size, strict=True):
        side = max(1.0, (high - low) * length)  # a box cut off by the image's edge may have none
        scale = inner / side
        first = min(low * length, length - 1) - warp.context / scale
        seen = max(0.0, first), min(float(length), first + warp.crop / scale)
        start, end = (round((edge - first) * scale) for edge in seen)
        sides.append(seen)
        places.append((start, max(1, end - start)))
    (left, right), (top, bottom) = sides
    (x, width), (y, height) = places
    part = image.resize((width, height), Image.Resampling.BILINEAR, box=(left, top, right, bottom))
    square = Image.new("RGB", (warp.crop, warp.crop), warp.fill)
    square.paste(part, (x, y))
    if mirror:
        square = square.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return np.asarray(square)


class SeenRegions(NamedTuple):
    """The regions of one class in one image, as networks see them."""

    place: tuple[int, int]
    """Which image, and which of its classes."""
    boxes: Tensor
    """(P, 4) float32, in pixels of the image as annotated."""
    squares: list[Tensor]
    """(P, crop, crop, 3) uint8 for each warp."""


class ProposedRegions(Dataset[SeenRegions]):
    """Maps a number to the regions of one class in one image.

    Args:
        images: N of them.
        proposals: of K classes for each; if there are several, their union counts.
        warps: how the networks see a region.
        places: which image and class each number means.
    """

    def __init__(
        self,
        images: BoxedImages,
        proposals: Sequence[Proposals],
        warps: Sequence[Warp],
        places: Sequence[tuple[int, int]],
    ) -> None:
        self._images, self._proposals = images, proposals
        self._warps, self._places = warps, places

    def __getitem__(self, number: int) -> SeenRegions:
        i, k = self._places[number]
        image = open_image(self._images.paths[i])
        boxes = torch.cat([proposed.of(i, k) for proposed in self._proposals])
        shares = (boxes / self._images.sizes[i].repeat(2)).tolist()
        squares = [
            torch.from_numpy(np.stack([warped(image, box, warp) for box in shares]))
            for warp in self._warps
        ]
        return SeenRegions((i, k), boxes, squares)
