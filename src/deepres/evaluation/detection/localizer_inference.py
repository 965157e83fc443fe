"""Where a localization network says that the objects of given classes are."""

from contextlib import closing

import torch
from torch import Tensor

from deepres.data.detection.boxed_images import BoxedImages
from deepres.data.detection.localization_views import (
    SeenImages,
    batches_of_one_size,
    views_called,
)
from deepres.data.images import BadImage
from deepres.data.loading import load
from deepres.detection.localization import Localizer
from deepres.execution import Execution
from deepres.models.classifier import check_outputs


def locate(
    localizer: Localizer,
    images: BoxedImages,
    classes: Tensor,
    views: str,
    execution: Execution,
) -> Tensor:
    """Return the best box of each image for each of its classes, (N, K, 4) in the image's pixels.

    Of several views, the box with the highest score is taken.

    Args:
        localizer: in evaluation mode, on the execution's device.
        images: N of them.
        classes: K for each image, (N, K) int64 from 0.
        views: ``1-crop``, ``single-scale`` or ``multi-scale``.
        execution: which processes decode, and which share the images; each gets all boxes.

    Raises:
        BadImage: an image cannot be decoded.
        UserError: the network's answer is no finite number.
    """
    device, world = execution.device, execution.world
    looks = views_called(views, localizer.crop, localizer.short_side)
    own = range(world.rank, len(images), world.size)
    batches = batches_of_one_size(images, own, looks)
    seen = SeenImages(images, batches, looks)
    boxes = torch.zeros(*classes.shape, 4)
    done = 0
    with (
        execution.progress("locate", len(images)) as bar,
        closing(load(seen, range(len(batches)), execution)) as stream,
    ):
        for indices, of_views, bad in stream:
            if bad:
                raise BadImage(bad)
            width, height = images.sizes[indices[0]].tolist()
            highest = torch.full((len(indices), classes.shape[1]), -1.0)
            for view, pixels in zip(looks, of_views, strict=True):
                inputs = pixels.to(device, non_blocking=True).permute(0, 3, 1, 2)
                answer = localizer(inputs, classes[indices].to(device))
                found, scores = (each.cpu() for each in answer)
                check_outputs(found)
                check_outputs(scores)
                x1, y1, x2, y2 = view.window(width, height)
                across, down = ((x2 - x1) / inputs.shape[3], (y2 - y1) / inputs.shape[2])
                found = found * torch.tensor([across, down] * 2) + torch.tensor([x1, y1] * 2)
                better = scores > highest
                boxes[indices] = torch.where(better[..., None], found, boxes[indices])
                highest = torch.maximum(scores, highest)
            done += len(indices) * world.size
            bar.update(min(done, len(images)))
    return world.sum(boxes)


def same_box(images: BoxedImages, classes: Tensor, box: Tensor) -> Tensor:
    """Return one box, in shares of width and height (4,), for every image and class."""
    of_images = box * images.sizes.repeat(1, 2)
    return of_images[:, None].expand(*classes.shape, 4)
