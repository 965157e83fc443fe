"""What a localization network sees of a test image, and where in the image that is."""

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from deepres.data.crops import check_length, scaled_size
from deepres.data.detection.boxed_images import BoxedImages
from deepres.data.images import BadImage, open_image
from deepres.data.loading import in_parts
from deepres.data.views import SCALES
from deepres.errors import unknown_name
from deepres.recipes.crop import in_proportion

PIXELS_AT_ONCE = 128 * 256 * 256
"""In a batch."""


class View(NamedTuple):
    """A way to look at an image."""

    short_side: int
    """What the image's shorter side is scaled to, in pixels."""
    crop: int | None
    """The side of the square that is cut out of its centre; None: the whole image is seen."""

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Return the (width, height) of what is seen of an image of that size."""
        return (
            (self.crop, self.crop) if self.crop else scaled_size((width, height), self.short_side)
        )

    def window(self, width: int, height: int) -> tuple[float, float, float, float]:
        """Return the (x1, y1, x2, y2) of what is seen, in pixels of the unscaled image."""
        scaled = scaled_size((width, height), self.short_side)
        seen = self.size(width, height)
        corner = [round((whole - part) / 2) for whole, part in zip(scaled, seen, strict=True)]
        across, down = width / scaled[0], height / scaled[1]
        return (
            corner[0] * across,
            corner[1] * down,
            (corner[0] + seen[0]) * across,
            (corner[1] + seen[1]) * down,
        )


LOCALIZATION_VIEWS = ("1-crop", "single-scale", "multi-scale")


def views_called(name: str, crop: int, short_side: int) -> tuple[View, ...]:
    """Return the views of a test by that name.

    Args:
        name: ``1-crop``, the centre; ``single-scale``, the whole image, fully convolutionally; or
            ``multi-scale``, that at the five scales of the classification test (§3.4).
        crop: the side of the square that the network was trained on.
        short_side: what the shorter side is scaled to for the first two.

    Raises:
        UserError: there is no such test.
    """
    if name == "1-crop":
        return (View(short_side, crop),)
    if name == "single-scale":
        return (View(short_side, None),)
    if name == "multi-scale":
        return tuple(View(in_proportion(side, crop), None) for side in SCALES)
    raise unknown_name("view", name, LOCALIZATION_VIEWS)


class Seen(NamedTuple):
    """Some images of one size, as a network sees them."""

    indices: Tensor
    """(B,) int64: which images these are."""
    views: list[Tensor]
    """(B, H, W, 3) uint8 for each view."""


class SeenImages(Dataset[Seen]):
    """Maps the number of a batch to the views of its images.

    An image is scaled from its annotated size, should its file have another.
    """

    def __init__(
        self, images: BoxedImages, batches: Sequence[Sequence[int]], views: Sequence[View]
    ) -> None:
        self._images, self._batches, self._views = images, batches, views

    def __getitem__(self, number: int) -> Seen:
        indices = self._batches[number]
        pixels: list[list[np.ndarray[tuple[int, ...], np.dtype[np.uint8]]]] = []
        for i in indices:
            width, height = self._images.sizes[i].tolist()
            image = open_image(self._images.paths[i])
            for view in self._views:
                if view.crop is None:
                    _check_length(self._images.paths[i], (width, height), view.short_side)
            across, down = image.width / width, image.height / height
            row = []
            for view in self._views:
                x1, y1, x2, y2 = view.window(width, height)
                box = (x1 * across, y1 * down, x2 * across, y2 * down)
                seen = image.resize(view.size(width, height), Image.Resampling.BILINEAR, box=box)
                row.append(np.asarray(seen))
            pixels.append(row)
        of_views = [torch.from_numpy(np.stack(column)) for column in zip(*pixels, strict=True)]
        return Seen(torch.tensor(indices), of_views)


def _check_length(path: Path, size: tuple[int, int], short_side: int) -> None:
    """Check as ``check_length`` does, and name the file."""
    try:
        check_length(size, short_side)
    except BadImage as error:
        raise BadImage(f"{path}: {error}") from error


def batches_of_one_size(
    images: BoxedImages, indices: Sequence[int], views: Sequence[View]
) -> list[list[int]]:
    """Put ``indices`` into batches of images of the same size, no larger than memory allows."""

    def size(place: int) -> list[int]:
        sides: list[int] = images.sizes[place].tolist()
        return sides

    batches = []
    for _, same in groupby(sorted(indices, key=size), key=size):
        run = list(same)
        width, height = images.sizes[run[0]].tolist()
        largest = max(a * b for a, b in (view.size(width, height) for view in views))
        parts = in_parts(range(len(run)), max(1, PIXELS_AT_ONCE // largest))
        batches += [[run[k] for k in part] for part in parts]
    return batches
