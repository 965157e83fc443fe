"""The paper's input preparation, by batch on the device that holds the images (§4.2).

Pixels are scaled to [0, 1] and the training set's per-pixel mean is subtracted. Padding comes
after that: it is zeros of the *prepared* image. Cutting windows from padded pixels and from an
equally padded mean, and subtracting then, is the same and leaves the images in memory as bytes.
"""

import torch
from torch import Tensor

from deepres.errors import UserError


def per_pixel_mean(images: Tensor) -> Tensor:
    """Return the mean image (C, H, W) float32 of ``images`` (N, C, H, W) uint8, in [0, 1]."""
    total = torch.zeros(images.shape[1:], dtype=torch.int64, device=images.device)  # exact
    for part in images.split(1_000):  # torch widens what it sums, so not all at once
        total += part.sum(0, dtype=torch.int64)
    return (total.double() / (255 * len(images))).float()


def prepare(images: Tensor, mean: Tensor, std: Tensor | None = None) -> Tensor:
    """Return network input for ``images`` (N, C, H, W) uint8: in [0, 1], then normalised.

    The paper subtracts a mean and divides by nothing: it has no ``std``.

    Raises:
        UserError: the images are of another type or shape.
    """
    check_bytes(images)  # of float32 the next line would change the caller's own
    centred = images.float().div_(255).sub_(mean)
    return centred if std is None else centred.div_(std)


def check_bytes(images: Tensor) -> None:
    """Make sure that images are as they come from a file, and not prepared in any way.

    Raises:
        UserError: they are not uint8, or not (N, 3, H, W).
    """
    if images.dtype != torch.uint8:
        given = str(images.dtype).removeprefix("torch.")
        raise UserError(
            f"expected images as uint8, from 0 to 255, got {given}; "
            "turn pixels in [0, 1] into (255 * images).round().to(torch.uint8)"
        )
    if images.ndim != 4 or images.shape[1] != 3:
        raise UserError(f"expected images as (N, 3, H, W), got {tuple(images.shape)}")


def padded_windows(images: Tensor, pad: int) -> Tensor:
    """Return every H×W crop of ``images`` (N, C, H, W) padded with ``pad`` zeros on each side.

    The result is a view, (N, 2·pad+1, 2·pad+1, H, W, C): image, top, left, then the crop with its
    channels last, as the convolutions want it. Only the padded images take memory.
    """
    n, channels, height, width = images.shape
    padded = images.new_zeros(n, height + 2 * pad, width + 2 * pad, channels)
    padded[:, pad : pad + height, pad : pad + width] = images.permute(0, 2, 3, 1)
    windows = padded.unfold(1, height, 1).unfold(2, width, 1)  # (N, top, left, C, H, W)
    return windows.permute(0, 1, 2, 4, 5, 3)


def augmented_batch(
    image_windows: Tensor,
    mean_windows: Tensor,
    image: Tensor,
    top: Tensor,
    left: Tensor,
    flip: Tensor,
) -> Tensor:
    """Return the prepared random crops that the draws name, some of them mirrored.

    Args:
        image_windows: ``padded_windows`` of the training images.
        mean_windows: ``padded_windows`` of the mean image, N = 1.
        image: which image, (B,) int64.
        top: the crop's first row in the padded image, (B,) int64.
        left: its first column, (B,) int64.
        flip: whether it is mirrored, (B,) bool.

    Returns:
        (B, C, H, W) float32, channels last in memory.
    """
    crops = image_windows[image, top, left].float().div_(255).sub_(mean_windows[0, top, left])
    crops = torch.where(flip[:, None, None, None], crops.flip(2), crops)  # (B, H, W, C)
    return crops.permute(0, 3, 1, 2)
