"""Box refinement (the appendix): regions are pooled again where they were regressed to.

The new predictions join the old ones, and after non-maximum suppression each box that is kept
becomes the mean of those that voted for it (Gidaris & Komodakis 2015, the paper's [6]).
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torchvision.ops import box_iou

from deepres.detection.scored import Scored

VOTERS_IOU = 0.5
"""Boxes of the same class that overlap a kept one by this or more vote on where it is."""


def refine(found: Scored, score: Callable[[Tensor], Scored]) -> Scored:
    """Return the regions that were found, and as many new ones, scored where they were moved to.

    Args:
        found: what the proposals were taken for.
        score: tells what boxes (R, 4) are, in the image's own pixels.
    """
    again = score(regressed(found))
    return Scored(
        torch.cat([found.scores, again.scores]),
        torch.cat([found.boxes, again.boxes]),
    )


def regressed(found: Scored) -> Tensor:
    """Return the one box (R, 4) that each region is moved to: that of its likeliest class."""
    likeliest = 1 + found.scores[:, 1:].argmax(1)
    return found.boxes[torch.arange(len(likeliest), device=likeliest.device), likeliest]


def vote(
    kept: Tensor, kept_labels: Tensor, boxes: Tensor, scores: Tensor, labels: Tensor
) -> Tensor:
    """Return where the boxes that were kept are, by the mean of their voters, each by its score.

    Args:
        kept: (K, 4), the survivors of non-maximum suppression, which vote for themselves too.
        kept_labels: (K,).
        boxes: (N, 4), all boxes before it.
        scores: (N,), above 0.
        labels: (N,).
    """
    voters = (box_iou(kept, boxes) >= VOTERS_IOU) & (kept_labels[:, None] == labels)
    weights = voters * scores
    places: Tensor = (weights @ boxes) / weights.sum(1, keepdim=True)
    return places
