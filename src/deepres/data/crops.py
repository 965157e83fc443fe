"""§3.4 on single images: scaling by the shorter side, crops, and the colour augmentation."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from deepres.data.images import BadImage

# The principal components of ImageNet's RGB pixels in [0, 1]: eigenvalues, and eigenvectors as
# columns. Krizhevsky et al. (2012, §4.1) print no numbers; these are fb.resnet.torch's.
COLOUR_SCALES = torch.tensor([0.2175, 0.0188, 0.0045])
COLOUR_AXES = torch.tensor(
    [[-0.5675, 0.7192, 0.4009], [-0.5808, -0.0045, -0.8140], [-0.5836, -0.6948, 0.4203]]
)


def scaled_size(size: tuple[int, int], short_side: int) -> tuple[int, int]:
    """Return the (width, height) of an image of ``size`` scaled to that shorter side.

    The longer side is rounded down, as torchvision does.
    """
    width, height = (side * short_side // min(size) for side in size)
    return width, height


MOST_SCALED = 1 << 24
"""Pixels of a scaled image, 640×26,214 of one: more of a strip would take all memory."""


def check_length(size: tuple[int, int], short_side: int) -> None:
    """Make sure that an image of ``size`` is not too long to be seen whole at a scale.

    Raises:
        BadImage: scaled to that shorter side it would have more than ``MOST_SCALED`` pixels.
    """
    width, height = scaled_size(size, short_side)
    if width * height > MOST_SCALED:
        raise BadImage(
            f"too long to be seen whole: {size[0]}×{size[1]} pixels, scaled to a short side of "
            f"{short_side} {width:,}×{height:,}; cut it"
        )


def scale(image: Image.Image, short_side: int) -> Image.Image:
    """Scale ``image`` so that its shorter side has so many pixels.

    Raises:
        BadImage: it is so long that it would have more than ``MOST_SCALED`` pixels.
    """
    size = scaled_size(image.size, short_side)
    check_length(image.size, short_side)
    return image if size == image.size else image.resize(size, Image.Resampling.BILINEAR)


def crop_corner(size: tuple[int, int], top: float, left: float, crop: int) -> tuple[int, int]:
    """Return where (x, y) a square begins in a scaled image of ``size``, (width, height).

    ``top`` and ``left`` are shares in [0, 1) of the rows and columns where it can.
    """
    width, height = size
    return int(left * (width - crop + 1)), int(top * (height - crop + 1))


def crop_of_scaled(
    image: Image.Image,
    short_side: int,
    top: float,
    left: float,
    crop: int,
    mirror: bool = False,
) -> NDArray[np.uint8]:
    """Scale an image and cut a square out of it; only the square's pixels are computed.

    Args:
        image: an RGB image.
        short_side: what it is scaled to, in pixels.
        top: where the square begins, as a share in [0, 1) of the rows where it can.
        left: the same of the columns.
        crop: the square's side in pixels.
        mirror: whether left and right of the square change places.

    Returns:
        (crop, crop, 3).
    """
    size = scaled_size(image.size, short_side)
    square = _square(image, size, *crop_corner(size, top, left, crop), crop)
    if mirror:  # here and not by numpy, which takes five times as long over 3-byte pixels
        square = square.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return np.asarray(square)


def crops_of_scaled(
    image: Image.Image, short_side: int, corners: Sequence[tuple[int, int]], crop: int
) -> NDArray[np.uint8]:
    """Scale an image and cut squares out of it, whose corners (x, y) are given in pixels.

    Of a strip, which scaled would be huge, only the squares' pixels are computed.

    Returns:
        (len(corners), crop, crop, 3).
    """
    size = scaled_size(image.size, short_side)
    if size[0] * size[1] > MOST_SCALED:
        squares = [np.asarray(_square(image, size, x, y, crop)) for x, y in corners]
    else:
        pixels = np.asarray(scale(image, short_side))
        squares = [pixels[y : y + crop, x : x + crop] for x, y in corners]
    return np.stack(squares)


def _square(image: Image.Image, size: tuple[int, int], x: int, y: int, crop: int) -> Image.Image:
    """Return the square at (x, y) of an image scaled to ``size``, and compute nothing else."""
    across, down = image.width / size[0], image.height / size[1]
    box = (x * across, y * down, (x + crop) * across, (y + crop) * down)
    return image.resize((crop, crop), Image.Resampling.BILINEAR, box=box)


def colour_shifts(draws: Tensor, std: float) -> Tensor:
    """Return what AlexNet's augmentation adds to the RGB values in [0, 1] of each image, (B, 3).

    ``draws`` (B, 3) are standard normal; ``std`` is the paper's 0.1.
    """
    return (draws * std * COLOUR_SCALES) @ COLOUR_AXES.T
