"""A trained network with the input preparation that belongs to its weights."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from deepres.data.named_images import GivenImage, open_given_image
from deepres.data.transforms import prepare
from deepres.data.views import one_crop
from deepres.errors import UserError
from deepres.models.stages import StagedNetwork


class Classifier(nn.Module):
    """Maps images as they come from a file to logits.

    Args:
        network: what was trained.
        mean: what was subtracted from its input, in [0, 1]: the mean image (C, H, W), or the mean
            of each channel (C, 1, 1). Images of another size get the mean image's own mean.
        classes: the names of its classes, in order.
        std: what the input was divided by after that, (C, 1, 1); by default 1.
        crop: the side in pixels of the square that it was trained on; by default the network's.
        short_side: what the shorter side of an image is scaled to before the square is cut out.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        network: StagedNetwork,
        mean: Tensor,
        classes: tuple[str, ...],
        *,
        std: Tensor | None = None,
        crop: int | None = None,
        short_side: int | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("mean", mean)
        self.register_buffer("std", torch.ones(len(mean), 1, 1) if std is None else std)
        self.classes = classes
        self.crop = crop or network.input_size
        self.short_side = short_side or self.crop

    def crops(self, images: GivenImage | Sequence[GivenImage]) -> Tensor:
        """Cut out what the network sees of images: the centre, (N, 3, crop, crop) uint8.

        Args:
            images: one, several or none, each an image of Pillow's, a path or a web address.

        Raises:
            BadImage: one cannot be read.
        """
        if isinstance(images, str) or not isinstance(images, Sequence):
            images = [images]
        none = np.empty((0, self.crop, self.crop, 3), np.uint8)
        centres = [one_crop(open_given_image(i), self.crop, self.short_side)[0] for i in images]
        cut = np.concatenate([none, *centres])
        return torch.from_numpy(cut).permute(0, 3, 1, 2).to(self.mean.device)

    def prepare(self, images: Tensor) -> Tensor:
        """Turn images (N, C, H, W) uint8 into the network's input, in its precision.

        Raises:
            UserError: the images are of another type.
        """
        mean = self.mean
        if mean.shape[1:] not in (images.shape[2:], (1, 1)):
            mean = mean.mean((1, 2), keepdim=True)
        x = prepare(images, mean, self.std).to(next(self.network.parameters()).dtype)
        return x.contiguous(memory_format=torch.channels_last)

    def forward(self, images: Tensor | GivenImage | Sequence[GivenImage]) -> Tensor:
        """Map images to logits (N, classes) float32.

        Args:
            images: (N, C, H, W) uint8, or what ``crops`` takes.

        Raises:
            BadImage: one cannot be read.
            UserError: they are of another type.
        """
        if not isinstance(images, Tensor):
            images = self.crops(images)
        logits: Tensor = self.network(self.prepare(images))
        return logits.float()


def check_classifier(given: object) -> None:
    """Make sure that what a caller gave is a classifier; a compiled one is, too.

    Raises:
        UserError: it is something else, as a network alone.
    """
    if not (isinstance(given, nn.Module) and hasattr(given, "classes")):
        what = type(given).__name__ if isinstance(given, nn.Module) else repr(given)
        raise UserError(f"expected a classifier, as load_model returns it, got {what}")


def check_labels(labels: Tensor, classes: int) -> None:
    """Make sure that labels are of a network's classes: another would be a wrong number, or crash.

    Args:
        labels: (N,) int64.
        classes: how many the network tells apart.

    Raises:
        UserError: one is not; it is named.
    """
    if len(others := labels[(labels < 0) | (labels >= classes)]):
        raise UserError(
            f"an image has the label {others[0]}, and the network's {classes:,} classes go from 0 "
            f"to {classes - 1:,}"
        )


def check_outputs(outputs: Tensor) -> None:
    """Make sure that what a network answers are numbers: NaN would pass for an answer.

    Raises:
        UserError: one is NaN or infinite.
    """
    if not outputs.isfinite().all():
        raise UserError(
            "the network's answer is no finite number: its weights cannot be right; restore them "
            "from a copy, or train again"
        )
