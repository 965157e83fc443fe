"""Whether signals vanish on their way through a network (§4.1: with BN they do not)."""

import copy
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from deepres.models.stages import StagedNetwork

NEITHER = "neither forward nor backward signals vanish"
FACTOR = 1_000
RULE = (
    "a signal vanishes where it falls below 1/1000, and explodes where it rises above 1000 times, "
    "of what it was where it set out: forward, the standard deviation of a 3×3 layer's response, "
    "against the first layer's; backward, the norm of the loss's gradient with respect to that "
    "response, against the last layer's"
)


@dataclass(frozen=True)
class Signals:
    """What passes each 3×3 layer, in the order of the layers, forward and backward."""

    layers: tuple[str, ...]
    """The names of their convolutions in the state dict."""
    forward_std: tuple[float, ...]
    """Standard deviation of the layer's response, after BN, over a batch."""
    gradient_norm: tuple[float, ...]
    """Norm of the gradient of the batch's mean loss with respect to that response."""

    @property
    def vanish(self) -> list[str]:
        """Which of the two, "forward" and "backward", vanish; NaN counts as that."""
        return [
            way
            for way, start, passed in self._ways()
            if not all(0 < start <= FACTOR * signal for signal in passed)
        ]

    @property
    def explode(self) -> list[str]:
        """Which of the two explode."""
        return [way for way, start, passed in self._ways() if max(passed) > FACTOR * start]

    @property
    def verdict(self) -> str:
        """The paper's sentence, or what is true instead."""
        vanish, explode = " and ".join(self.vanish), " and ".join(self.explode)
        said = f"{vanish} signals vanish" if vanish else NEITHER
        return f"{said}, but {explode} signals explode" if explode else said

    def _ways(self) -> list[tuple[str, float, tuple[float, ...]]]:
        """Each way's signal where it sets out, and all along."""
        return [
            ("forward", self.forward_std[0], self.forward_std),
            ("backward", self.gradient_norm[-1], self.gradient_norm),
        ]


def measure_signals(network: StagedNetwork, images: Tensor, labels: Tensor) -> Signals:
    """Pass a training batch through ``network`` and back, as in training.

    BN normalises with the batch's own statistics; the network itself stays as it is.

    Args:
        network: at initialisation or trained.
        images: prepared, (B, C, H, W) float32.
        labels: (B,) int64.
    """
    passed = copy.deepcopy(network).train()  # its BN averages will move
    logits, _, responses = passed.intermediates(images)
    loss = F.cross_entropy(logits, labels)
    gradients = torch.autograd.grad(loss, list(responses.values()))
    return Signals(
        layers=tuple(responses),
        forward_std=tuple(response.std().item() for response in responses.values()),
        gradient_norm=tuple(gradient.norm().item() for gradient in gradients),
    )
