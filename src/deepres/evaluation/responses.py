"""How strongly each 3×3 layer responds (Figure 7)."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from deepres.errors import UserError
from deepres.models.classifier import Classifier


@dataclass(frozen=True)
class Responses:
    """The standard deviation of each 3×3 layer's response, in the order of the layers."""

    layers: tuple[str, ...]
    """The names of their convolutions in the state dict."""
    std: tuple[float, ...]
    """Over all images, channels and positions; after BN, before nonlinearity or addition."""
    images: int
    """How many images they are taken over."""


@torch.inference_mode()
def layer_responses(
    classifier: Classifier,
    batches: Iterable[Tensor],
    on_images: Callable[[int], None] = lambda done: None,
) -> Responses:
    """Measure the responses of ``classifier`` to all images of ``batches``.

    BN normalises with its averages, as in testing. Sums are in float64.

    Args:
        classifier: a trained network; it is left in the mode that it was in.
        batches: images (B, C, H, W) uint8. All 3×3 layers' responses to one batch are in memory
            at once.
        on_images: is told how many images are done.

    Raises:
        UserError: there are no images.
    """
    totals: dict[str, Tensor] = {}  # count, sum, and sum of squares of each layer's responses
    images = 0
    was_training = classifier.training
    classifier.eval()
    try:
        for batch in batches:
            *_, responses = classifier.network.intermediates(classifier.prepare(batch))
            for layer, response in responses.items():
                totals[layer] = totals.get(layer, 0) + _sums(response)
            images += len(batch)
            on_images(images)
    finally:
        classifier.train(was_training)
    if not images:
        raise UserError("there are no images to respond to")
    std = [_std(*total.tolist()) for total in totals.values()]
    return Responses(tuple(totals), tuple(std), images)


def _sums(response: Tensor) -> Tensor:
    variance, mean = torch.var_mean(response, unbiased=False)
    variance, mean = variance.cpu().double(), mean.cpu().double()
    return response.numel() * torch.stack([torch.ones_like(mean), mean, variance + mean.square()])


def _std(count: float, total: float, squares: float) -> float:
    mean = total / count
    return float(max(0.0, squares / count - mean**2) ** 0.5)
