"""Images of one class each with their boxes, in the form that goes to other processes."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import torch
from torch import Tensor

from deepres.data.detection.localization import image_class
from deepres.data.detection.records import DetectionSet


@dataclass(frozen=True)
class BoxedImages:
    """Image files with boxes in few tensors, which can be sent to other processes."""

    paths: tuple[Path, ...]
    sizes: Tensor
    """(N, 2) int64: width and height as annotated."""
    classes: Tensor
    """(N,) int64, from 0; -1: not known."""
    boxes: Tensor
    """(M, 4) float32, of all images in turn, as shares of their widths and heights."""
    first: Tensor
    """(N + 1,) int64: where each image's boxes begin; the last is M."""

    @classmethod
    def of(cls, dataset: DetectionSet) -> Self:
        """Gather a data set's images, each of one class."""
        images = dataset.images
        sizes = torch.tensor([(image.width, image.height) for image in images])
        counts = torch.tensor([len(image.objects.boxes) for image in images])
        boxes = torch.cat([image.objects.boxes for image in images])
        return cls(
            paths=tuple(image.path for image in images),
            sizes=sizes,
            classes=torch.tensor([image_class(image) - 1 for image in images]),
            boxes=boxes / sizes.repeat(1, 2).repeat_interleave(counts, 0),
            first=torch.cat([torch.zeros(1, dtype=torch.int64), counts.cumsum(0)]),
        )

    @classmethod
    def without_boxes(cls, paths: Sequence[Path], sizes: Sequence[tuple[int, int]]) -> Self:
        """Gather image files of which neither class nor boxes are known."""
        return cls(
            paths=tuple(paths),
            sizes=torch.tensor(sizes),
            classes=torch.full((len(paths),), -1),
            boxes=torch.empty(0, 4),
            first=torch.zeros(len(paths) + 1, dtype=torch.int64),
        )

    def __len__(self) -> int:
        return len(self.paths)

    def boxes_of(self, i: int) -> Tensor:
        """Return the boxes (n, 4) of the ``i``-th image, as shares of its width and height."""
        return self.boxes[self.first[i] : self.first[i + 1]]

    def mean_box(self) -> Tensor:
        """Return the mean of all boxes, (4,), as shares of the images' widths and heights."""
        return self.boxes.double().mean(0).float()
