"""What every detection data set is read into, and what a detector finds.

Boxes are (x1, y1, x2, y2) in pixels, continuous: x1 is the left edge of the leftmost pixel and x2
the right edge of the rightmost one, so a box over a whole image is (0, 0, width, height) and its
width is x2 − x1. VOC's files count pixels from 1 and include the last: theirs is (x1 + 1, …, x2).
"""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, Self

from torch import Tensor

from deepres.data.detection.outlines import Segmentation
from deepres.data.listing import odd_first, some
from deepres.errors import UserError


@dataclass(frozen=True)
class Objects:
    """The annotated objects of one image."""

    boxes: Tensor
    """(N, 4) float32."""
    labels: Tensor
    """(N,) int64, from 1; 0 is the background."""
    ignored: Tensor
    """(N,) bool: VOC's difficult objects and COCO's crowds, not trained on and not counted."""
    segmentations: tuple[Segmentation, ...] | None = None
    """Each one's outline, where the data set has them."""


@dataclass(frozen=True)
class AnnotatedImage:
    """An image file and what is on it."""

    id: str
    """VOC's name, or COCO's id as text."""
    path: Path
    width: int
    height: int
    objects: Objects


@dataclass(frozen=True)
class DetectionSet:
    """Annotated images and the names of their classes."""

    name: str
    """As people call it: VOC 2007 test."""
    classes: tuple[str, ...]
    """Without the background: label i is ``classes[i - 1]``."""
    images: tuple[AnnotatedImage, ...]
    location: str
    annotated: bool = True
    """Whether it is known what is on the images; of VOC 2012 test and COCO test-dev it is not."""
    dropped: int = 0
    """How many annotated objects were left out because they cannot be right."""
    annotations: tuple[Path, ...] = ()
    """COCO's JSON files, by which its benchmark is scored, and whose ids result files have."""

    def __len__(self) -> int:
        return len(self.images)

    @property
    def has_objects(self) -> bool:
        """Whether there is anything to find: an object that is not ignored."""
        return any(not image.objects.ignored.all() for image in self.images)

    @property
    def has_outlines(self) -> bool:
        """Whether the outline of each object is known."""
        return not self.without_outlines()

    def without_outlines(self) -> list[AnnotatedImage]:
        """Return the images on which an object's outline is not known."""
        return [
            image
            for image in self.images
            if len(image.objects.boxes) and image.objects.segmentations is None
        ]

    def fingerprint(self) -> str:
        """Return a checksum of all ids, sizes, boxes, labels and which are ignored."""
        digest = hashlib.sha256()
        for image in self.images:
            digest.update(f"{image.id}\0{image.width}\0{image.height}\n".encode())
            for tensor in (image.objects.boxes, image.objects.labels, image.objects.ignored):
                digest.update(tensor.contiguous().numpy().tobytes())
        return digest.hexdigest()[:16]

    def outlines_fingerprint(self) -> str:
        """Return a checksum of all outlines, which ``fingerprint`` leaves out."""
        digest = hashlib.sha256()
        for image in self.images:
            digest.update(f"{image.objects.segmentations}\n".encode())
        return digest.hexdigest()[:16]

    def described(self) -> dict[str, Any]:
        """Return what recipe.json has on them."""
        return {
            "source": self.name,
            "location": self.location,
            "fingerprint": self.fingerprint(),
            "images": len(self),
            "dropped_objects": self.dropped,
        }

    def paths(self) -> list[Path]:
        """Return where the images are."""
        return [image.path for image in self.images]

    def spread(self, count: int) -> Self:
        """Return the set with ``count`` of its images, evenly spread; all if there are no more."""
        if count >= len(self):
            return self
        return replace(
            self, images=tuple(self.images[i * len(self) // count] for i in range(count))
        )


class DetectionData(NamedTuple):
    """What a detector is trained on and tested on."""

    train: DetectionSet
    test: DetectionSet | None = None
    """None: there is no test."""

    def check_test(self) -> None:
        """Make sure that a detector can be tested: it knows the classes, and some are there.

        Raises:
            UserError: it cannot.
        """
        if self.test and self.test.classes != self.train.classes:
            had, has = self.train.classes, self.test.classes
            what = "other classes" if {*had} != {*has} else "the same classes in another order"
            raise UserError(
                f"{self.train.name} and {self.test.name} have {what}: {len(had)} "
                f"({some(odd_first(had, has))}) and {len(has)} ({some(odd_first(has, had))}); "
                "take a test set of the same data"
            )
        if self.test is not None and not self.test.has_objects:
            raise UserError(
                f"{self.test.name} in {self.test.location} has no objects to find, so there would "
                "be no precision; take a test set that has some"
            )


@dataclass(frozen=True)
class Detections:
    """What a detector finds on one image, most certain first, in that image's own pixels."""

    boxes: Tensor
    """(N, 4) float32."""
    scores: Tensor
    """(N,) float32, in [0, 1]; of result files float64."""
    labels: Tensor
    """(N,) int64, from 1."""
    masks: Tensor | None = None
    """(N, height, width) bool, where the detector draws them."""
