"""The numbers of Faster R-CNN, as published (Ren et al. 2015, the paper's [32]; §4.3)."""

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

from deepres.recipes.settings import Settings


@dataclass(frozen=True, kw_only=True)
class DetectorSettings(Settings):
    """All that shapes a detector apart from its backbone, its classes and its weights.

    The defaults are those for VOC. Sizes are in pixels of the scaled image, overlaps are
    intersections over unions.

    Raises:
        UserError: a value that cannot be meant.
    """

    called: ClassVar[str] = "detector"

    short_side: int = 600
    """The shorter side of an image is scaled to this, …"""
    long_side: int = 1000
    """… or less, so that its longer side is no longer than this."""

    anchor_sizes: tuple[int, ...] = (128, 256, 512)
    """Square roots of the anchors' areas."""
    anchor_ratios: tuple[float, ...] = (0.5, 1.0, 2.0)
    """Height to width."""
    rpn_channels: int = 512
    """Filters of the RPN's 3×3 layer."""
    rpn_foreground_iou: float = 0.7
    """An anchor is an object from this overlap with one on, or if no anchor overlaps it more."""
    rpn_background_iou: float = 0.3
    """An anchor is background below this overlap with every object."""
    rpn_sampled: int = 256
    """Anchors an image in the RPN's loss, …"""
    rpn_foreground_fraction: float = 0.5
    """… of them objects, at most."""
    train_border_anchors: bool = False
    """Whether anchors that reach over the image's border take part in training."""

    proposals_before_nms_train: int = 12_000
    proposals_before_nms_test: int = 6_000
    proposals_train: int = 2_000
    proposals_test: int = 300
    proposal_nms_iou: float = 0.7
    proposal_min_size: float = 16.0
    """Proposals that are narrower or lower are dropped."""

    roi_pooling: Literal["max", "align"] = "max"
    """RoI max pooling, as published, or RoIAlign."""
    regions_sampled: int = 64
    """Regions an image in the detector's loss: 128 of two images. …"""
    region_foreground_fraction: float = 0.25
    """… of them objects, at most."""
    region_foreground_iou: float = 0.5
    """A region is of the object that it overlaps by this or more, …"""
    region_background_iou: float = 0.1
    """… else it is background if it overlaps one by this or more, else left out."""
    box_weights: tuple[float, ...] = (10.0, 10.0, 5.0, 5.0)
    """Factors of the detector's regression targets for x, y, log width and log height."""
    box_loss_beta: float = 1.0
    """Where smooth L1 turns from a parabola to a line in the detector's regression loss."""

    score_threshold: float = 0.05
    nms_iou: float = 0.3
    detections: int = 100
    """The most detections an image."""

    batch_norm: Literal["frozen", "trained"] = "frozen"
    """Whether BN is a fixed affine transform (§4.3), or is trained where the stage is."""
    frozen_stages: int = 2
    """How many of the backbone's first stages keep the weights that they came with."""
    global_context: bool = False
    """Whether each region is classified with the whole image's features beside its own."""
    masks: bool = False
    """Whether each detection's outline is predicted too."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_least(
            1,
            "short_side",
            "long_side",
            "rpn_channels",
            "rpn_sampled",
            "regions_sampled",
            "proposals_before_nms_train",
            "proposals_before_nms_test",
            "proposals_train",
            "proposals_test",
            "detections",
        )
        self._check_least(0, "proposal_min_size")
        self._check_positive("box_loss_beta")
        for name in (
            "rpn_foreground_iou",
            "rpn_background_iou",
            "rpn_foreground_fraction",
            "proposal_nms_iou",
            "region_foreground_iou",
            "region_background_iou",
            "region_foreground_fraction",
            "score_threshold",
            "nms_iou",
        ):
            self._check(name, "in [0, 1]", 0 <= getattr(self, name) <= 1)
        for name in ("anchor_sizes", "anchor_ratios", "box_weights"):
            values = getattr(self, name)
            above_0 = bool(values) and all(0 < value < math.inf for value in values)
            self._check(name, "numbers above 0", above_0)
        for name in ("anchor_sizes", "anchor_ratios"):
            values = getattr(self, name)
            self._check(name, "rising", list(values) == sorted({*values}))
        self._check("box_weights", "four numbers", len(self.box_weights) == 4)
        self._check("long_side", "at least short_side", self.long_side >= self.short_side)
        self._check("frozen_stages", "0 to 4", 0 <= self.frozen_stages <= 4)
        for part, low, high in (
            ("rpn", self.rpn_background_iou, self.rpn_foreground_iou),
            ("region", self.region_background_iou, self.region_foreground_iou),
        ):
            self._check(f"{part}_background_iou", f"at most {part}_foreground_iou", low <= high)


VOC = DetectorSettings()
"""9 anchors, Ren et al. 2015."""
COCO = DetectorSettings(anchor_sizes=(64, 128, 256, 512), region_background_iou=0.0)
"""12 anchors for small objects, and background down to no overlap (Ren et al. 2017, 4.2)."""
