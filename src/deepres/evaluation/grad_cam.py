"""Grad-CAM: where in an image a classifier sees a class (Selvaraju et al. 2017)."""

import torch
from torch import Tensor

from deepres.models.classifier import Classifier


def grad_cam(classifier: Classifier, images: Tensor, labels: Tensor) -> Tensor:
    """Return how much each place of the last feature map speaks for a class, (N, h, w), 0 or more.

    Their Eq. 1 and 2, on the output of the last convolutional stage: a channel weighs as much as
    the class's logit grows with it, on average over the map; the weighted channels are summed, and
    what speaks against the class is cut off.

    Args:
        classifier: in evaluation mode.
        images: (N, 3, H, W) uint8, on its device.
        labels: (N,) int64, the class that is looked for in each.
    """
    with torch.no_grad():
        maps = classifier.network.feature_map(classifier.prepare(images))  # (N, C, h, w)
    maps.requires_grad_()
    logits = classifier.network.head(maps)
    (gradient,) = torch.autograd.grad(logits.gather(1, labels[:, None]).sum(), maps)
    weights = gradient.mean((2, 3), keepdim=True)
    return (weights * maps).detach().sum(1).relu()
