"""What a classifier sees in single images."""

from typing import NamedTuple

import torch
from torch import Tensor

from deepres.models.classifier import Classifier, check_outputs


class Guess(NamedTuple):
    """A class and its probability in [0, 1]."""

    name: str
    probability: float


@torch.inference_mode()
def predict(classifier: Classifier, images: Tensor, top: int) -> list[list[Guess]]:
    """Return, for each of ``images`` (N, 3, H, W) uint8, the ``top`` likeliest classes in order.

    Raises:
        UserError: the classifier's answer is no finite number.
    """
    probabilities = classifier(images).softmax(1)  # (N, classes)
    check_outputs(probabilities)
    best = probabilities.topk(min(top, len(classifier.classes)))
    return [
        [Guess(classifier.classes[i], p) for p, i in zip(ps, places, strict=True)]
        for ps, places in zip(best.values.tolist(), best.indices.tolist(), strict=True)
    ]
