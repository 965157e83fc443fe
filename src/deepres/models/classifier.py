"""A trained network with the input preparation that belongs to its weights."""

import torch
from torch import Tensor, nn

from deepres.data.transforms import prepare
from deepres.models.stages import StagedNetwork


class Classifier(nn.Module):
    """Maps images as they come from a file to logits.

    Args:
        network: what was trained.
        mean: the mean image (C, H, W) that was subtracted from its input, in [0, 1].
        classes: the names of its classes, in order.
    """

    mean: Tensor

    def __init__(self, network: StagedNetwork, mean: Tensor, classes: tuple[str, ...]) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("mean", mean)
        self.classes = classes

    def forward(self, images: Tensor) -> Tensor:
        """Map images (N, 3, H, W) uint8 to logits (N, classes) float32."""
        x = prepare(images, self.mean).contiguous(memory_format=torch.channels_last)
        logits: Tensor = self.network(x)
        return logits.float()
