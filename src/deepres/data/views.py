"""The paper's views of a test image: the centre, 10 crops, or whole at several scales (§3.4)."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from deepres.data.crops import crops_of_scaled, scale, scaled_size
from deepres.recipes.crop import SHORT_SIDES, in_proportion

Pixels = NDArray[np.uint8]
MakeViews = Callable[[Image.Image, int, int], list[Pixels]]
"""Maps an RGB image, the crop's side and the shorter side to arrays (V, H, W, 3), one for each size
of image: its V views of that size."""

SCALES = (224, 256, 384, 480, 640)
"""Shorter sides of the multi-scale test, for a network that was trained on crops of 224."""


def one_crop(image: Image.Image, crop: int, short_side: int) -> list[Pixels]:
    """Cut the centre out: one view."""
    centre = _centre(scaled_size(image.size, short_side), crop)
    return [crops_of_scaled(image, short_side, [centre], crop)]


def ten_crop(image: Image.Image, crop: int, short_side: int) -> list[Pixels]:
    """Cut the four corners and the centre out of the image and of its mirror image (AlexNet).

    The shorter side is at least 256 for crops of 224, and in proportion, so that there is a border
    to crop from: crops of 288 come from 329 pixels where 303 are given, and from 352 where 352 are.
    """
    short_side = max(short_side, in_proportion(SHORT_SIDES[0], crop))
    width, height = scaled_size(image.size, short_side)
    ends = [(x, y) for y in (0, height - crop) for x in (0, width - crop)]
    five = [*ends, _centre((width, height), crop)]
    # The mirror image's centre is not the mirrored centre where the border is odd.
    mirrored = [(width - crop - x, y) for x, y in five]
    views = crops_of_scaled(image, short_side, five + mirrored, crop)
    views[5:] = views[5:, :, ::-1]
    return [views]


def multi_scale(image: Image.Image, crop: int, short_side: int) -> list[Pixels]:
    """Take the whole image and its mirror image at each of ``SCALES``."""
    wholes = [np.asarray(scale(image, in_proportion(side, crop)))[None] for side in SCALES]
    return [np.concatenate([whole, _mirrored(whole)]) for whole in wholes]


VIEWS: dict[str, MakeViews] = {"1-crop": one_crop, "10-crop": ten_crop, "multi-scale": multi_scale}


def _centre(size: tuple[int, int], crop: int) -> tuple[int, int]:
    """Return where (x, y) the square in the middle of an image of ``size`` begins."""
    width, height = size
    return round((width - crop) / 2), round((height - crop) / 2)


def _mirrored(pixels: Pixels) -> Pixels:
    return pixels[:, :, ::-1]
