"""Detection in images, by one detector or several, with the appendix's improvements."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torchvision.ops import batched_nms, clip_boxes_to_image, remove_small_boxes

from deepres.data.detection.records import Detections
from deepres.detection.context import beside_context, with_whole_image
from deepres.detection.ensemble import average, check_members, join_proposals
from deepres.detection.faster_rcnn import Detector
from deepres.detection.masks import pasted
from deepres.detection.multi_scale import ScaledImage, maxout
from deepres.detection.refine import refine, vote
from deepres.detection.scored import Scored
from deepres.errors import UserError
from deepres.models.classifier import check_outputs
from deepres.recipes.detector import DetectorSettings
from deepres.run_contents import CONTEXT, MULTI_SCALE, REFINEMENT


@dataclass(frozen=True)
class Improvements:
    """The appendix's improvements that are switches of a test.

    Global context is one of training, ``DetectorSettings.global_context``; an ensemble is more
    than one detector.

    Raises:
        UserError: a scale of no pixels.
    """

    box_refinement: bool = False
    """With box voting."""
    scales: tuple[int, ...] = ()
    """Shorter sides in pixels for multi-scale testing; none: the detector's own alone.
    The published ones are ``multi_scale.PUBLISHED_SCALES``."""

    def __post_init__(self) -> None:
        if any(side < 1 for side in self.scales):
            given = ", ".join(map(str, self.scales))
            raise UserError(f"scales are short sides in pixels, at least 1; got {given}")


PLAIN = Improvements()


def improvements_in_use(detectors: Sequence[Detector], improvements: Improvements) -> list[str]:
    """Return the names of the improvements that a test has, in the order of Table 9."""
    in_use = {
        REFINEMENT: improvements.box_refinement,
        CONTEXT: any(detector.settings.global_context for detector in detectors),
        MULTI_SCALE: bool(improvements.scales),
    }
    return [name for name, used in in_use.items() if used]


@torch.inference_mode()
def detect(
    detectors: Sequence[Detector], images: Sequence[Tensor], improvements: Improvements = PLAIN
) -> list[Detections]:
    """Find objects in each image, one image at a time.

    Args:
        detectors: in evaluation mode and on one device; several are an ensemble, of which the
            first one's thresholds count.
        images: float RGB (3, H, W) in [0, 1], of any sizes.
        improvements: by default none.

    Returns:
        What is found, on the CPU, in each image's own pixels.

    Raises:
        UserError: the detectors find different classes, or an answer is no finite number.
    """
    check_members(detectors)
    device = next(detectors[0].parameters()).device
    return [_detect(detectors, image.to(device), improvements) for image in images]


def _detect(detectors: Sequence[Detector], image: Tensor, improvements: Improvements) -> Detections:
    members = [_Member(detector, image, improvements.scales) for detector in detectors]

    def score(boxes: Tensor) -> Scored:
        return average([member.score(boxes) for member in members])

    found = score(join_proposals([member.view.propose() for member in members]))
    if improvements.box_refinement:
        found = refine(found, score)
    settings = detectors[0].settings
    boxes, scores, labels = pick(found, settings, voting=improvements.box_refinement)
    masks = None
    by_member = [m.view.masks(boxes, labels) for m in members if m.heads.has_mask()]
    if by_member:
        size = (image.shape[1], image.shape[2])
        masks = pasted(torch.stack(by_member).mean(0), boxes, size)
    return Detections(boxes.cpu(), scores.cpu(), labels.cpu(), masks)


class _Member:
    """A detector looking at one image."""

    def __init__(self, detector: Detector, image: Tensor, scales: tuple[int, ...]) -> None:
        self.heads = detector.roi_heads
        self.size = (image.shape[1], image.shape[2])
        own = detector.settings.short_side
        self.view = ScaledImage(detector, image, own)  # proposals are made at a single scale
        self.views = [
            self.view if side == own else ScaledImage(detector, image, side)
            for side in scales or (own,)
        ]

    def score(self, boxes: Tensor) -> Scored:
        """Return what the regions ``boxes`` (R, 4) are taken for."""
        regions = boxes
        if self.heads.global_context:
            (regions,) = with_whole_image([boxes], [self.size])
        vectors = maxout(regions, self.views)
        if self.heads.global_context:
            vectors = beside_context(vectors, [len(regions)])
        logits, deltas = self.heads.box_predictor(vectors)
        check_outputs(logits)
        check_outputs(deltas)
        regressed = self.heads.box_coder.decode(deltas, [boxes]).reshape(*logits.shape, 4)
        return Scored(logits.softmax(1), clip_boxes_to_image(regressed, self.size))


def pick(
    found: Scored, settings: DetectorSettings, *, voting: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the boxes (N, 4), scores and labels that are left of all regions, best first.

    By the score threshold, non-maximum suppression of each class by itself, and the limit to
    detections an image.

    Args:
        found: what the regions are taken for.
        settings: the thresholds.
        voting: whether each box is then moved to where those vote that it suppressed.
    """
    regions, classes = torch.where(found.scores[:, 1:] > settings.score_threshold)
    labels = classes + 1
    boxes, scores = found.boxes[regions, labels], found.scores[regions, labels]
    large = remove_small_boxes(boxes, min_size=1e-2)
    boxes, scores, labels = boxes[large], scores[large], labels[large]
    kept = batched_nms(boxes, scores, labels, settings.nms_iou)[: settings.detections]
    places = boxes[kept]
    if voting:
        places = vote(places, labels[kept], boxes, scores, labels)
    return places, scores[kept], labels[kept]
