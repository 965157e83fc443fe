"""Appendix C: how the paper trains the R-CNN that is the second half of its localization."""

from dataclasses import dataclass
from typing import ClassVar, Self

from deepres.recipes.crop import CROP
from deepres.recipes.localization import BoxRecipe


@dataclass(frozen=True, kw_only=True)
class LocalizationRCNNRecipe(BoxRecipe):
    """How a classification network learns to judge and move the boxes that an RPN proposes."""

    kind: ClassVar[str] = "localization-rcnn"
    pixels: ClassVar[tuple[str, ...]] = ("context",)

    proposals: int
    """How many boxes of an image the RPN proposes for a class, those with the highest scores."""
    proposals_nms_iou: float
    """A proposal that overlaps one of a higher score by more than this is left out."""
    context: int
    """How many pixels of the crop, on each side, show what is around the box."""
    foreground_iou: float
    """From which overlap with an object on a region is one; all others are background."""
    foreground_fraction: float
    """The share of objects among the regions of a batch."""
    box_weights: tuple[float, ...]
    """Factors of the four numbers that the regression is to give."""
    eval_images: int = 1_000

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_least(1, "proposals")
        fits = 0 <= 2 * self.context < self.crop
        self._check("context", f"0 or more, and less than half of crop={self.crop}", fits)
        for field in ("proposals_nms_iou", "foreground_iou", "foreground_fraction"):
            self._check(field, "above 0 and at most 1", 0 < getattr(self, field) <= 1)
        positive = len(self.box_weights) == 4 and min(self.box_weights) > 0
        self._check("box_weights", "four numbers above 0", positive)
        between = 0 < self.foregrounds < self.batch_size
        self._check(
            "foreground_fraction",
            f"so that a batch of {self.batch_size} has objects and background",
            between,
        )

    @property
    def foregrounds(self) -> int:
        """How many regions of a batch are objects."""
        return round(self.foreground_fraction * self.batch_size)

    def paper(self) -> Self:
        """Return the paper's recipe for the same network, in full length."""
        recipe = localization_rcnn_recipe(self.model)
        assert isinstance(recipe, type(self))
        return recipe


def localization_rcnn_recipe(model: str) -> LocalizationRCNNRecipe:
    """Return appendix C's recipe for a network that was trained on ImageNet.

    Batch, crop and proposals are the paper's; on the rest it is silent. The rate is a tenth of
    pre-training's, and context and the share of objects are R-CNN's (Girshick et al. 2014).
    """
    return LocalizationRCNNRecipe(
        model=model,
        batch_size=256,
        steps=60_000,
        lr=0.01,
        lr_drops=(40_000,),
        lr_divisor=10.0,
        momentum=0.9,
        weight_decay=1e-4,
        crop=CROP,
        proposals=200,
        proposals_nms_iou=0.7,
        context=16,
        foreground_iou=0.5,
        foreground_fraction=0.25,
        box_weights=(10.0, 10.0, 5.0, 5.0),
        flip=True,
        eval_every=5_000,
    )
