"""Images and targets in the form that torchvision's detectors take."""

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from deepres.data.detection.outlines import Segmentation
from deepres.data.detection.packages import detection_package
from deepres.data.detection.records import AnnotatedImage
from deepres.data.images import naming_bad_files, open_image, turn_of, upright_size
from deepres.errors import UserError


def image_size(path: Path) -> tuple[int, int]:
    """Return an image's width and height, upright; as ``size_and_turn`` does."""
    return size_and_turn(path)[0]


def size_and_turn(path: Path) -> tuple[tuple[int, int], Image.Transpose | None]:
    """Return an image's width and height, upright, and what turns it so, if anything does.

    Of a JPEG the header alone is read.

    Raises:
        BadImage: it is missing, damaged or no image.
        OSError: the system refused to read it.
    """
    with naming_bad_files(path), Image.open(path) as image:
        return upright_size(image), turn_of(image)


def image_tensor(image: AnnotatedImage) -> Tensor:
    """Return an image's pixels, (3, height, width) float32 RGB in [0, 1].

    Raises:
        BadImage: it is damaged or no image.
        UserError: it is not of the size that its annotation says.
    """
    picture = open_image(image.path)
    if wrong := wrong_size(image, picture.size):
        raise UserError(wrong)
    return as_tensor(picture)


def wrong_size(image: AnnotatedImage, size: tuple[int, int]) -> str:
    """Say that a picture of ``size`` is not what was annotated; nothing: it can be."""
    if size == (image.width, image.height):
        return ""
    return (
        f"{image.path} is {size[0]}×{size[1]} pixels (upright, as its EXIF data say), but its "
        f"annotation says {image.width}×{image.height}: the boxes are of another picture"
    )


def as_tensor(picture: Image.Image) -> Tensor:
    """Return an RGB image's pixels, (3, height, width) float32 in [0, 1]."""
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1).contiguous().float() / 255


def target(image: AnnotatedImage, masks: bool = False) -> dict[str, Tensor]:
    """Return what there is to learn from an image; ignored objects are left out.

    Args:
        image: of a data set.
        masks: whether to draw each object's outline too.

    Returns:
        ``boxes`` (N, 4) float32, ``labels`` (N,) int64 and, if wanted, ``masks``
        (N, height, width) uint8, 1 on the object.

    Raises:
        UserError: masks are wanted, and the image's objects have no outlines.
    """
    objects = image.objects
    counted = ~objects.ignored
    wanted = {"boxes": objects.boxes[counted], "labels": objects.labels[counted]}
    if masks:
        if objects.segmentations is None and counted.any():
            raise UserError(
                f"{image.path}: its objects have no outlines, so masks cannot be learnt"
            )
        outlines = objects.segmentations or ()
        kept = [outlines[i] for i in counted.nonzero().flatten().tolist()]
        wanted["masks"] = draw_masks(kept, image.width, image.height)
    return wanted


def draw_masks(outlines: Sequence[Segmentation], width: int, height: int) -> Tensor:
    """Return the pixels inside each of N outlines, (N, height, width) uint8 of 0 and 1."""
    drawn = torch.zeros(len(outlines), height, width, dtype=torch.uint8)
    for mask, outline in zip(drawn, outlines, strict=True):
        coco = detection_package("pycocotools.mask")
        with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
            # It uses NumPy as before 2.0.
            pixels = coco.decode(compressed_runs(outline, width, height))
        mask.copy_(torch.from_numpy(pixels))
    return drawn


def compressed_runs(outline: Segmentation, width: int, height: int) -> dict[str, object]:
    """Return an outline, of any of COCO's three forms, as compressed run lengths."""
    coco = detection_package("pycocotools.mask")
    if isinstance(outline, list):
        return dict(coco.merge(coco.frPyObjects(outline, height, width)))
    if isinstance(outline["counts"], list):
        return dict(coco.frPyObjects(outline, height, width))
    return outline
