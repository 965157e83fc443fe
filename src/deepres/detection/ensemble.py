"""Ensembles (the appendix): the union of all members' proposals, scored by all of them."""

from collections.abc import Sequence

import torch
from torch import Tensor

from deepres.detection.faster_rcnn import Detector
from deepres.detection.scored import Scored
from deepres.errors import UserError


def check_members(detectors: Sequence[Detector]) -> None:
    """Make sure that detectors can work as one.

    Raises:
        UserError: there is none, or they find different classes.
    """
    if not detectors:
        raise UserError("there is no detector to detect with")
    for detector in detectors:
        if detector.classes != detectors[0].classes:
            raise UserError(
                "the detectors of an ensemble must have the same classes, in the same order; got "
                f"{', '.join(detectors[0].classes)} and {', '.join(detector.classes)}"
            )


def join_proposals(proposals: Sequence[Tensor]) -> Tensor:
    """Return the union (sum of R, 4) of the members' proposals (R, 4)."""
    return torch.cat(list(proposals))


def average(found: Sequence[Scored]) -> Scored:
    """Return the mean scores and boxes of what members take the same regions for."""
    return Scored(
        torch.stack([of_member.scores for of_member in found]).mean(0),
        torch.stack([of_member.boxes for of_member in found]).mean(0),
    )
