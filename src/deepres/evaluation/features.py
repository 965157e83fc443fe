"""What a classifier makes of images before it classifies them: a stage's output, pooled."""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from deepres.data.images import BadImage
from deepres.data.loading import Images, ViewedImages, in_parts, load
from deepres.data.views import one_crop
from deepres.errors import UserError, unknown_name
from deepres.execution import Execution
from deepres.files import atomic_write
from deepres.models.classifier import Classifier, check_outputs

IMAGES_AT_ONCE = 200


@dataclass(frozen=True)
class Features:
    """A vector for each image."""

    names: tuple[str, ...]
    values: Tensor
    """(N, C) float32."""
    bad: Sequence[str] = ()
    """A line on each image that could not be decoded and was left out."""

    def save(self, path: Path, **more: Any) -> None:
        """Write them as an .npz file: names, features, and ``more``, anything an array can hold."""
        with atomic_write(path) as file:
            np.savez(file, names=np.array(self.names), features=self.values.numpy(), **more)


@torch.inference_mode()
def pooled_features(
    classifier: Classifier,
    images: Images,
    stage: str,
    execution: Execution,
    *,
    skip_bad: bool = False,
) -> Features:
    """Return the mean of each channel of a stage's output, over the centre crop of each image.

    Args:
        classifier: in evaluation mode, on the execution's device.
        images: of any sizes; a batch of them is in memory at a time.
        stage: by the paper's name, e.g. conv5_x; what comes after it is not run. Of ``fc`` it is
            the logits.
        execution: which processes decode.
        skip_bad: leave images out that cannot be decoded, instead of stopping there.

    Raises:
        BadImage: an image cannot be decoded, and such are not to be skipped.
        UserError: there is no such stage, no image is left, or a feature is no finite number.
    """
    if stage not in classifier.network.stages:
        raise unknown_name("layer", stage, classifier.network.stages)
    parts = in_parts(range(len(images)), IMAGES_AT_ONCE)
    viewed = ViewedImages(images, parts, one_crop, classifier.crop, classifier.short_side)
    places: list[int] = []
    values: list[Tensor] = []
    left_out: list[str] = []
    with (
        execution.progress("features", len(images)) as bar,
        closing(load(viewed, range(len(parts)), execution)) as stream,
    ):
        for indices, views, bad in stream:
            if bad and not skip_bad:
                raise BadImage(f"{bad[0]}; mend it, or leave such out: --bad-images skip")
            left_out += bad
            for crops in views:  # (B, 1, H, W, 3)
                pixels = crops[:, 0].permute(0, 3, 1, 2).to(execution.device, non_blocking=True)
                out = classifier.network.run_to(stage, classifier.prepare(pixels))
                pooled = out.flatten(2).mean(2) if out.dim() > 2 else out  # logits have no places
                values.append(pooled.float().cpu())
            places += indices.tolist()
            bar.update(len(places) + len(left_out))
    if not values:
        raise UserError(f"{left_out[0]}; and so it is with all other images")
    features = torch.cat(values)
    check_outputs(features)
    return Features(tuple(images.names[i] for i in places), features, left_out)
