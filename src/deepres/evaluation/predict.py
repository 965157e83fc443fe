"""What a classifier sees in single images."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from deepres.data.named_images import GivenImage
from deepres.errors import whole_number
from deepres.models.classifier import Classifier, check_classifier, check_outputs


class Guess(NamedTuple):
    """A class and its probability in [0, 1]."""

    name: str
    probability: float


AT_ONCE = 16
"""Images in a batch."""


@torch.inference_mode()
def predict(
    classifier: Classifier, images: Tensor | GivenImage | Sequence[GivenImage], top: int = 3
) -> list[list[Guess]]:
    """Return the likeliest classes of each image, the likeliest first.

    Args:
        classifier: as ``load_model`` returns it; it is put into evaluation mode.
        images: one or several, each an image of Pillow's, a path or a web address; or a tensor
            (N, 3, H, W) uint8 on the classifier's device.
        top: how many classes of each.

    Returns:
        A list for each image, of one image, too.

    Raises:
        BadImage: an image cannot be read.
        UserError: ``top`` is below 1, something is of another type, or the classifier's answer is
            no finite number.
    """
    check_classifier(classifier)
    top = whole_number(top, "top", 1)
    if isinstance(images, str) or not isinstance(images, Tensor | Sequence):
        images = [images]
    classifier.eval()
    found = []
    for start in range(0, len(images), AT_ONCE):
        probabilities = classifier(images[start : start + AT_ONCE]).softmax(1)  # (N, classes)
        check_outputs(probabilities)
        best = probabilities.topk(min(top, len(classifier.classes)))
        found += [
            [Guess(classifier.classes[i], p) for p, i in zip(ps, places, strict=True)]
            for ps, places in zip(best.values.tolist(), best.indices.tolist(), strict=True)
        ]
    return found
