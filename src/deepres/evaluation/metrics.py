"""Errors of a classifier on a set of images."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from deepres.data.cifar10 import ImageSet


@dataclass(frozen=True)
class Evaluation:
    """What a classifier got right and wrong."""

    loss: float
    """Mean cross-entropy, in nats."""
    confusion: Tensor
    """(classes, classes) int64: how many images of the row's class were taken for the column's."""

    @property
    def images(self) -> int:
        """How many images were classified."""
        return int(self.confusion.sum())

    @property
    def errors(self) -> int:
        """How many of them wrongly."""
        return self.images - int(self.confusion.trace())

    @property
    def error_pct(self) -> float:
        """The top-1 error in per cent."""
        return 100 * self.errors / self.images

    @property
    def class_error_pct(self) -> list[float]:
        """The error on the images of each class, in per cent; NaN for a class without images."""
        return (100 * (1 - self.confusion.diag() / self.confusion.sum(1))).tolist()


@torch.inference_mode()
def evaluate(
    predict: Callable[[Tensor], Tensor],
    data: ImageSet,
    *,
    batch_size: int = 250,
    on_batch: Callable[[int], None] = lambda done: None,
) -> Evaluation:
    """Classify all images and compare with their labels.

    Args:
        predict: maps images (N, 3, H, W) uint8 to logits (N, classes), e.g. a ``Classifier`` in
            evaluation mode; it is called with images on ``data``'s device.
        data: images and labels.
        batch_size: images per call.
        on_batch: is told how many images are done.
    """
    loss = torch.zeros((), dtype=torch.float64)
    confusion = torch.zeros((), dtype=torch.int64)
    for first in range(0, len(data), batch_size):
        batch = data.subset(slice(first, first + batch_size))
        logits = predict(batch.images)  # (N, classes)
        classes = logits.shape[1]
        pairs = batch.labels * classes + logits.argmax(1)  # (N,): the cell of each image
        counts = torch.bincount(pairs, minlength=classes**2).view(classes, classes)
        confusion = confusion + counts.cpu()
        loss += F.cross_entropy(logits, batch.labels, reduction="sum").cpu()
        on_batch(min(first + batch_size, len(data)))
    return Evaluation(loss=float(loss) / len(data), confusion=confusion)
