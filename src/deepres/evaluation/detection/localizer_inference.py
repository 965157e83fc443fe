"""Where a localization network says that the objects of given classes are."""

from collections.abc import Generator
from contextlib import closing

import torch
from torch import Tensor
from torchvision.ops import nms

from deepres.data.detection.boxed_images import BoxedImages
from deepres.data.detection.localization_views import (
    SeenImages,
    batches_of_one_size,
    views_called,
)
from deepres.data.detection.warped_regions import Proposals
from deepres.data.loading import load
from deepres.detection.localization import Localizer
from deepres.execution import Execution
from deepres.models.classifier import check_outputs

BEFORE_NMS = 6_000
"""How many boxes of a class non-maximum suppression chooses from, the surest ones."""


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
    boxes = torch.zeros(*classes.shape, 4)
    with closing(_candidates(localizer, images, classes, views, execution, "locate")) as found:
        for indices, of_anchors, logits in found:
            best = logits.argmax(2)[..., None, None].expand(-1, -1, 1, 4)
            boxes[indices] = of_anchors.gather(2, best)[:, :, 0].cpu()
    return execution.world.sum(boxes)


def propose(
    localizer: Localizer,
    images: BoxedImages,
    classes: Tensor,
    views: str,
    execution: Execution,
    *,
    count: int,
    nms_iou: float,
) -> Proposals:
    """Return the ``count`` best boxes of each image for each of its classes, or fewer.

    Args:
        localizer: as for ``locate``, and all others.
        images: as there.
        classes: as there.
        views: as there; boxes of all of them are candidates.
        execution: as there.
        count: how many are wanted.
        nms_iou: a box that overlaps a better one by more than this is left out.

    Raises:
        BadImage: as by ``locate``.
        UserError: as by ``locate``.
    """
    boxes = torch.zeros(*classes.shape, count, 4)
    counts = torch.zeros(classes.shape, dtype=torch.int64)
    with closing(_candidates(localizer, images, classes, views, execution, "propose")) as found:
        for indices, of_anchors, logits in found:
            for i, of_image, scores in zip(indices.tolist(), of_anchors, logits, strict=True):
                for k, (own, certainty) in enumerate(zip(of_image, scores, strict=True)):
                    surest = certainty.topk(min(BEFORE_NMS, len(certainty)))
                    own = own[surest.indices]
                    kept = own[nms(own, surest.values, nms_iou)[:count]]
                    boxes[i, k, : len(kept)], counts[i, k] = kept.cpu(), len(kept)
    return Proposals(execution.world.sum(boxes), execution.world.sum(counts))


def _candidates(
    localizer: Localizer,
    images: BoxedImages,
    classes: Tensor,
    views: str,
    execution: Execution,
    label: str,
) -> Generator[tuple[Tensor, Tensor, Tensor]]:
    """Yield for this process's share of the images what all anchors of all views say.

    Each time: which images (B,), boxes (B, K, A, 4) in their pixels and logits (B, K, A), these two
    on the device.
    """
    device, world = execution.device, execution.world
    looks = views_called(views, localizer.crop, localizer.short_side)
    own = range(world.rank, len(images), world.size)
    batches = batches_of_one_size(images, own, looks)
    seen = SeenImages(images, batches, looks)
    done = 0
    with (
        execution.progress(label, len(images)) as bar,
        closing(load(seen, range(len(batches)), execution)) as stream,
    ):
        for indices, of_views in stream:
            width, height = images.sizes[indices[0]].tolist()
            boxes, logits = [], []
            for view, pixels in zip(looks, of_views, strict=True):
                inputs = pixels.to(device, non_blocking=True).permute(0, 3, 1, 2)
                found, certainty = localizer(inputs, classes[indices].to(device))
                check_outputs(found)
                check_outputs(certainty)
                x1, y1, x2, y2 = view.window(width, height)
                across, down = ((x2 - x1) / inputs.shape[3], (y2 - y1) / inputs.shape[2])
                scale = torch.tensor([across, down] * 2, device=device)
                boxes.append(found * scale + torch.tensor([x1, y1] * 2, device=device))
                logits.append(certainty)
            yield indices, torch.cat(boxes, 2), torch.cat(logits, 2)
            done += len(indices) * world.size
            bar.update(min(done, len(images)))


def same_box(images: BoxedImages, classes: Tensor, box: Tensor) -> Tensor:
    """Return one box, in shares of width and height (4,), for every image and class."""
    of_images = box * images.sizes.repeat(1, 2)
    return of_images[:, None].expand(*classes.shape, 4)
