"""ILSVRC's localization error: the right class, and a box that half covers an object of it."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torchvision.ops import box_iou

from deepres.data.detection.records import Objects

LEAST_OVERLAP = 0.5
"""Intersection over union from which on a box is right; the organisers' own program lets exactly
a half pass."""


def right_guesses(classes: Tensor, boxes: Tensor, truth: Sequence[Objects]) -> Tensor:
    """Tell which guesses are right: some object has the guessed class and overlaps the box enough.

    Args:
        classes: K guesses for each image, the likeliest first, (N, K) int64 labels from 1.
        boxes: where each is said to be, (N, K, 4).
        truth: the objects of each image; ignored ones do not count.

    Returns:
        (N, K) bool.
    """
    right = torch.zeros(classes.shape, dtype=torch.bool)
    for i, objects in enumerate(truth):
        counted = ~objects.ignored
        overlaps = box_iou(boxes[i], objects.boxes[counted])  # (K, objects)
        same = classes[i, :, None] == objects.labels[counted]
        right[i] = (same & (overlaps >= LEAST_OVERLAP)).any(1)
    return right


def localization_error_pct(right: Tensor, top: int) -> float:
    """Return the share of images of which none of the first ``top`` guesses is right, in per cent.

    ``right`` is what ``right_guesses`` returns. With fewer guesses all of them count.
    """
    return 100 * float((~right[:, :top].any(1)).double().mean())
