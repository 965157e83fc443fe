"""Errors of a classifier on a set of images."""

from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from deepres.distributed import ALONE, World
from deepres.errors import UserError
from deepres.models.classifier import check_labels


class TestImages(Protocol):
    """Images that come in batches."""

    def __len__(self) -> int: ...

    def batches(self, batch_size: int, world: World) -> Generator[tuple[Tensor, Tensor]]:
        """Yield a process's share: images (B, 3, H, W) uint8 and labels (B,)."""


@dataclass(frozen=True)
class Evaluation:
    """What a classifier got right and wrong."""

    loss: float
    """Mean cross-entropy, in nats."""
    confusion: Tensor
    """(classes, classes) int64: how many images of the row's class were taken for the column's."""
    top5_errors: int
    """For how many images the true class was not among the five likeliest."""

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
    def top5_error_pct(self) -> float:
        """The top-5 error in per cent."""
        return 100 * self.top5_errors / self.images


@torch.inference_mode()
def validate(
    predict: Callable[[Tensor], Tensor],
    data: TestImages,
    *,
    batch_size: int = 250,
    world: World = ALONE,
) -> Evaluation:
    """Classify all images and compare with their labels.

    Args:
        predict: maps images (N, 3, H, W) uint8 to logits (N, classes), e.g. a ``Classifier`` in
            evaluation mode; it is called with images on ``data``'s device.
        data: images and labels.
        batch_size: images per call.
        world: the processes that share the images; each gets the result for all of them.

    Raises:
        UserError: no image can be decoded, or a label is of none of the classes.
    """
    losses, misses = [], []  # of each batch, on the device
    confusion = torch.zeros(1, 1, dtype=torch.int64)
    with closing(data.batches(batch_size, world)) as batches:
        for images, labels in batches:
            logits = predict(images)  # (N, classes)
            classes = logits.shape[1]
            check_labels(labels, classes)
            best = logits.topk(min(5, classes)).indices  # (N, 5)
            pairs = labels * classes + best[:, 0]  # (N,): the cell of each image
            counts = torch.bincount(pairs, minlength=classes**2).view(classes, classes)
            confusion = counts + confusion.to(counts.device)
            misses.append((best != labels[:, None]).all(1).sum())
            losses.append(F.cross_entropy(logits, labels, reduction="sum"))
    [classes] = world.max(len(confusion))
    # some may have no images
    world.sum(confusion := confusion.cpu().expand(classes, classes).clone())
    if not confusion.sum():
        raise UserError(f"none of the {len(data)} images can be decoded")
    return Evaluation(
        loss=float(world.sum(_total(losses).double())) / int(confusion.sum()),
        confusion=confusion,
        top5_errors=int(world.sum(_total(misses).long())),
    )


def _total(parts: list[Tensor]) -> Tensor:
    return torch.stack(parts).cpu().double().sum() if parts else torch.zeros(())
