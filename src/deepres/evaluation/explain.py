"""One prediction explained: the likeliest classes, where one is seen, what each block adds."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from deepres.data.named_images import GivenImage
from deepres.errors import UserError, unknown_name
from deepres.evaluation.contributions import Contribution, block_contributions
from deepres.evaluation.grad_cam import grad_cam
from deepres.evaluation.predict import Guess, predict
from deepres.models.classifier import Classifier, check_classifier


@dataclass(frozen=True)
class Explanation:
    """What a classifier sees in an image, and why."""

    pixels: NDArray[np.uint8]
    """What it saw of the image, (H, W, 3)."""
    guesses: list[Guess]
    """The likeliest classes in order."""
    target: str
    """The class that ``heat`` is of."""
    heat: NDArray[np.float32]
    """Grad-CAM's map, (h, w): how much each place speaks for ``target``."""
    blocks: list[Contribution]
    """What each residual block adds, in order; a plain network has none."""


def explain(
    classifier: Classifier, image: GivenImage, top: int = 3, target: str | None = None
) -> Explanation:
    """Explain what a classifier sees in an image.

    Args:
        classifier: with BN and blocks as they were trained; it is put into evaluation mode.
        image: an image of Pillow's, a path or a web address.
        top: how many of the likeliest classes are wanted.
        target: the class that Grad-CAM looks for; by default the likeliest, also of several that
            have one name.

    Raises:
        BadImage: the image cannot be read.
        UserError: it is no classifier, there is not one image, there is no such class, or the
            classifier's answer is no finite number.
    """
    check_classifier(classifier)
    if target is not None and target not in classifier.classes:
        raise unknown_name("class", target, classifier.classes)
    images = classifier.crops(image)
    if len(images) != 1:
        raise UserError(f"one image is explained at a time, got {len(images)}")
    (guesses,) = predict(classifier, images, top)
    target = guesses[0].name if target is None else target
    label = torch.tensor([_likeliest(classifier, images, target)], device=images.device)
    return Explanation(
        pixels=images[0].permute(1, 2, 0).cpu().numpy(),
        guesses=guesses,
        target=target,
        heat=grad_cam(classifier, images, label)[0].float().cpu().numpy(),
        blocks=block_contributions(classifier.network, classifier.prepare(images)),
    )


@torch.inference_mode()
def _likeliest(classifier: Classifier, images: Tensor, name: str) -> int:
    """Return the place of the class called ``name``; of several, the likeliest on the image."""
    places = [place for place, each in enumerate(classifier.classes) if each == name]
    if len(places) == 1:
        return places[0]
    return places[int(classifier(images)[0, places].argmax())]
