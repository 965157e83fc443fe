"""What input other people's weights expect, and how an export says what ours expect."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from deepres.data.imagenet_names import imagenet_names
from deepres.data.text_lists import read_lines
from deepres.errors import UserError
from deepres.models.classifier import Classifier
from deepres.models.exchange.caffe import Blob, read_binaryproto

# torchvision's and timm's constants for ImageNet: R, G, B of pixels in [0, 1].
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
# The means that go with models made in Caffe: R, G, B of pixels from 0 to 255.
CAFFE_MEAN = (123.68, 116.779, 103.939)
# detectron2's, and OpenMMLab's; Detectron's own, (122.7717, 115.9465, 102.9801), is hardly another.
DETECTRON2_MEAN = (123.675, 116.28, 103.53)
CROP, SHORT_SIDE = 224, 256


def per_channel(values: tuple[float, ...]) -> Tensor:
    """Return ``values`` for R, G and B as a tensor (3, 1, 1)."""
    return torch.tensor(values).reshape(3, 1, 1)


def four_digits(tensor: Tensor) -> str:
    """Return a tensor's numbers, of four digits each, in a line."""
    return " ".join(f"{value:.4g}" for value in tensor.flatten().tolist())


def read_mean(file: Path) -> Tensor:
    """Read a mean image from Caffe's .binaryproto: (3, H, W), R, G and B of pixels in [0, 1].

    Raises:
        UserError: the file is missing, damaged, or holds no mean of colour images.
    """
    blob = read_binaryproto(file)
    if blob.ndim not in (3, 4) or blob.shape[-3] != 3 or blob.size != np.prod(blob.shape[-3:]):
        raise UserError(f"{file} has the shape {blob.shape}, expected a mean image (1, 3, H, W)")
    bgr = blob.reshape(blob.shape[-3:])
    return torch.from_numpy(bgr[::-1].copy()) / 255


def caffe_mean(classifier: Classifier) -> Blob:
    """Return a classifier's mean as Caffe wants it: (3, H, W), B, G and R of pixels to 255."""
    mean = classifier.mean.cpu()
    if mean.shape[1:] == (1, 1):
        mean = mean.expand(3, classifier.crop, classifier.crop)
    blob: Blob = (mean.flip(0) * 255).numpy()
    return blob


def class_names(count: int, file: Path | None) -> tuple[str, ...]:
    """Return ``count`` names, from ``file`` with a name a line if there is one.

    Names may repeat. Without a file, 1000 classes are ImageNet's. All others are
    called by their numbers, from 0.

    Raises:
        UserError: the file is missing, has not so many lines, or one is blank.
    """
    if file:
        names = tuple(read_lines(file))
        wanted = f"{file} must name {count} classes, one a line"
        if not all(names):
            raise UserError(f"{wanted}; line {names.index('') + 1} is blank: name one or delete it")
        if len(names) != count:
            raise UserError(f"{wanted}; it has {len(names)}")
        return names
    if count == 1000:
        return imagenet_names()
    return tuple(map(str, range(count)))


def describe(classifier: Classifier) -> dict[str, Any]:
    """Return what must be done to an image before it is put in, as JSON can hold it."""
    return {
        "architecture": classifier.network.architecture,
        "channels": "RGB",
        "short_side": classifier.short_side,
        "crop": classifier.crop,
        "resampling": "bilinear",
        "pixels": "in [0, 1]; mean is subtracted, then std divides",
        "mean": classifier.mean.cpu().tolist(),
        "std": classifier.std.cpu().tolist(),
        "classes": list(classifier.classes),
    }
