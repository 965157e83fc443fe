"""Faster R-CNN on a classification network: the detector as one module."""

from collections.abc import Sequence
from typing import Any, Self

import torch
from torch import Tensor
from torchvision.models.detection.generalized_rcnn import GeneralizedRCNN
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.transform import GeneralizedRCNNTransform, resize_boxes

from deepres.detection.backbones import STRIDE, first_stages, freeze_batch_norm, split
from deepres.detection.region_heads import RegionHeads
from deepres.detection.rpn import ProposalNetwork, Target
from deepres.errors import UserError
from deepres.models import Classifier, StagedNetwork, build_network
from deepres.models.exchange.preparation import IMAGENET_MEAN
from deepres.recipes.detector import VOC, DetectorSettings

PARTS = {"shared": "backbone", "rpn": "rpn", "region": "roi_heads"}
"""What the alternating training trains one by one, and the modules that hold it: the shared
layers, the RPN's own, and those that run for each region."""


class Detector(GeneralizedRCNN):  # type: ignore[misc]
    """Finds objects in images: float RGB (3, H, W) in [0, 1], of any sizes.

    Called in training mode with images and targets it returns the losses, and in evaluation mode
    with images each one's ``boxes``, ``labels`` and ``scores`` (and ``masks``, (N, 1, H, W) in
    [0, 1]), in its own pixels. Made by ``create_detector``.

    Args:
        network: gives the backbone's layers and their weights; it is not changed.
        mean: what is subtracted from each channel, (3,).
        std: what is divided by after that, (3,).
        classes: their names, without the background: label i is ``classes[i - 1]``.
        settings: all other numbers.
    """

    def __init__(
        self,
        network: StagedNetwork,
        mean: Tensor,
        std: Tensor,
        classes: Sequence[str],
        settings: DetectorSettings,
    ) -> None:
        halves = split(network)
        super().__init__(
            halves.shared,
            ProposalNetwork(halves.shared_channels, settings),
            RegionHeads(halves, 1 + len(classes), settings),
            scaling(settings.short_side, settings.long_side, mean.tolist(), std.tolist()),
        )
        self.architecture: dict[str, Any] = network.architecture
        self.classes = tuple(classes)
        self.settings = settings
        self._frozen = first_stages(network, settings.frozen_stages)
        if settings.batch_norm == "frozen":
            freeze_batch_norm(self)
        else:
            freeze_batch_norm(self.backbone, self._frozen)
        self.train_parts(*PARTS)
        # One layout whatever the network came in: a resumed run computes the same bits.
        self.to(memory_format=torch.contiguous_format)

    @property
    def mean(self) -> Tensor:
        """What is subtracted from each channel, (3,)."""
        return torch.tensor(self.transform.image_mean)

    @property
    def std(self) -> Tensor:
        """What the channels are divided by after that, (3,)."""
        return torch.tensor(self.transform.image_std)

    def train_parts(self, *parts: str) -> None:
        """Let only ``parts`` (of ``PARTS``) be trained, and no stage that is frozen.

        The others take no gradients, and stay in evaluation mode, BN's averages as they are.
        """
        self._trained = parts
        for part, name in PARTS.items():
            self.get_submodule(name).requires_grad_(part in parts)
        for stage in self._frozen:
            self.backbone.get_submodule(stage).requires_grad_(False)
        self.train(self.training)

    def train(self, mode: bool = True) -> Self:
        """Set the mode: in training mode, that of the parts that are trained."""
        super().train(mode)
        for part, name in PARTS.items():
            self.get_submodule(name).train(mode and part in self._trained)
        return self

    def rpn_losses(self, images: list[Tensor], targets: list[Target]) -> dict[str, Tensor]:
        """Return the RPN's losses alone. The detector is in training mode."""
        scaled, targets = self.transform(images, targets)
        losses: dict[str, Tensor] = self.rpn(scaled, self.features(scaled), targets)[1]
        return losses

    def region_losses(
        self, images: list[Tensor], targets: list[Target], proposals: list[Tensor]
    ) -> dict[str, Tensor]:
        """Return the losses of the regions alone. The detector is in training mode.

        Args:
            images: as for a call.
            targets: as for a call.
            proposals: those of each image, (R, 4), in its own pixels.
        """
        sizes = [(image.shape[1], image.shape[2]) for image in images]
        scaled, targets = self.transform(images, targets)
        proposals = [
            resize_boxes(boxes, size, new)
            for boxes, size, new in zip(proposals, sizes, scaled.image_sizes, strict=True)
        ]
        losses: dict[str, Tensor] = self.roi_heads(
            self.features(scaled), proposals, scaled.image_sizes, targets
        )[1]
        return losses

    @torch.no_grad()
    def propose(self, images: list[Tensor], *, for_training: bool = False) -> list[Tensor]:
        """Return the RPN's boxes for each image, (R, 4), best first, in its own pixels.

        The detector is in evaluation mode.

        Args:
            images: as for a call.
            for_training: return as many as the regions are trained on (2000), not as in a test.
        """
        sizes = [(image.shape[1], image.shape[2]) for image in images]
        scaled, _ = self.transform(images)
        proposals = self.rpn.propose(scaled, self.features(scaled), for_training=for_training)
        return [
            resize_boxes(boxes, size, own)
            for boxes, size, own in zip(proposals, scaled.image_sizes, sizes, strict=True)
        ]

    def features(self, scaled: ImageList) -> dict[str, Tensor]:
        """Return the shared feature map (N, C, H / 16, W / 16), as torchvision's parts take it."""
        return {"0": self.backbone(scaled.tensors)}


def create_detector(
    backbone: Classifier | str,
    classes: Sequence[str],
    settings: DetectorSettings = VOC,
) -> Detector:
    """Build a detector on a classification network.

    Args:
        backbone: a trained network with the preparation of its input, as ``load_model`` gives it,
            or the name of one, to start from random weights. A mean image is taken for its colour.
        classes: what to find, without the background.
        settings: all numbers but the weights; by default those published for VOC.

    Raises:
        UserError: Faster R-CNN has no form for this network, or the settings do not fit it.
    """
    if not classes:
        raise UserError("a detector needs the names of at least one class")
    if isinstance(backbone, str):
        network, mean, std = build_network(backbone), torch.tensor(IMAGENET_MEAN), torch.ones(3)
    else:
        network = backbone.network
        mean, std = backbone.mean.mean((1, 2)).cpu(), backbone.std.flatten().cpu()
    return Detector(network, mean, std, classes, settings)


class Scaling(GeneralizedRCNNTransform):  # type: ignore[misc]
    """Normalises and scales images, and pads batches to whole feature positions.

    Of a picture that is a thousand times as wide as high, one row of pixels is left, not none.
    """

    def resize(self, image: Tensor, target: Target | None = None) -> tuple[Tensor, Target | None]:
        """Scale an image (3, H, W) and its target."""
        height, width = image.shape[-2:]
        least, most = sorted((height, width))
        scale = min(self.min_size[-1] / least, self.max_size / most)
        resize = super().resize
        if least * scale < 1:
            size = (max(1, int(width * scale)), max(1, int(height * scale)))
            own = (self.min_size, self.max_size, self.image_mean, self.image_std)
            resize = GeneralizedRCNNTransform(*own, fixed_size=size).resize
        resized: tuple[Tensor, Target | None] = resize(image, target)
        return resized


def scaling(short_side: int, long_side: int, mean: list[float], std: list[float]) -> Scaling:
    """Return what makes images the input of a detector."""
    return Scaling(short_side, long_side, mean, std, size_divisible=STRIDE)
