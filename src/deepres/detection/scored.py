"""What the regions of an image are taken for."""

from typing import NamedTuple

from torch import Tensor


class Scored(NamedTuple):
    """Regions with their classes' probabilities and regressed boxes, in the image's own pixels."""

    scores: Tensor
    """(R, classes), the background first; rows sum to 1."""
    boxes: Tensor
    """(R, classes, 4), within the image."""
