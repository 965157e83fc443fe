"""Where R-CNNs say that the objects of given classes are, among the boxes that RPNs propose."""

from collections.abc import Sequence
from contextlib import closing

import torch
from torch import Tensor
from torchvision.ops import clip_boxes_to_image

from deepres.data.detection.boxed_images import BoxedImages
from deepres.data.detection.warped_regions import ProposedRegions
from deepres.data.loading import load
from deepres.detection.localization_rcnn import RegionLocalizer
from deepres.evaluation.detection.localizer_inference import propose
from deepres.execution import Execution
from deepres.models.classifier import check_outputs


def locate_by_regions(
    members: Sequence[RegionLocalizer],
    images: BoxedImages,
    classes: Tensor,
    views: str,
    execution: Execution,
) -> Tensor:
    """Return the best box of each image for each of its classes, (N, K, 4) in the image's pixels.

    It is that of the proposals which the R-CNN is surest of, moved as it says. The members of an
    ensemble judge what any of them proposes; probabilities and moved boxes are averaged.

    Args:
        members: one R-CNN, or an ensemble; in evaluation mode, on the execution's device.
        images: N of them.
        classes: K for each image, (N, K) int64 from 0.
        views: in which the RPNs propose: ``1-crop``, ``single-scale`` or ``multi-scale``.
        execution: which processes decode, and which share the images; each gets all boxes.

    Raises:
        BadImage: an image cannot be decoded.
        UserError: a network's answer is no finite number.
    """
    device, world = execution.device, execution.world
    proposals = [
        propose(
            member.proposer,
            images,
            classes,
            views,
            execution,
            count=member.proposals,
            nms_iou=member.nms_iou,
        )
        for member in members
    ]
    warps = list(dict.fromkeys(member.warp for member in members))
    places = [
        (i, k) for i in range(world.rank, len(images), world.size) for k in range(classes.shape[1])
    ]
    regions = ProposedRegions(images, proposals, warps, places)
    best = torch.zeros(*classes.shape, 4)
    with (
        execution.progress("regions", len(places)) as bar,
        closing(load(regions, range(len(places)), execution)) as stream,
    ):
        for done, ((i, k), given, of_warps) in enumerate(stream, 1):
            squares = {
                warp: pixels.to(device, non_blocking=True).permute(0, 3, 1, 2)
                for warp, pixels in zip(warps, of_warps, strict=True)
            }
            own = classes[i, k].to(device).expand(len(given))
            found = [member(squares[member.warp], own, given.to(device)) for member in members]
            boxes, logits = (torch.stack(column).cpu() for column in zip(*found, strict=True))
            check_outputs(boxes)
            check_outputs(logits)
            surest = logits.double().sigmoid().mean(0).argmax()
            width, height = images.sizes[i].tolist()
            best[i, k] = clip_boxes_to_image(boxes[:, surest].mean(0), (height, width))
            bar.update(done)
    return world.sum(best)
