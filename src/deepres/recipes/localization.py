"""Appendix C: how the paper trains its localization network, the RPN that is its first half."""

from dataclasses import dataclass
from typing import ClassVar, Literal, Self

from deepres.recipes.crop import CROP, SHORT_SIDES, in_proportion
from deepres.recipes.schema import Recipe


@dataclass(frozen=True, kw_only=True)
class BoxRecipe(Recipe):
    """What the training of both halves has: squares to look at, images with one class's boxes."""

    crop: int
    """The side, in pixels, of the square that the network sees."""
    bad_boxes: Literal["fail", "skip"] = "fail"
    """What to do about an annotation that cannot be meant: stop, or leave it out."""
    small_images: Literal["refuse", "enlarge"] = "refuse"
    """What to do about images that are far smaller than the crop."""
    eval_images: int
    """How many test images, evenly spread, are tested on the way; the last step tests on all."""

    pixels: ClassVar[tuple[str, ...]]
    """The fields that are in proportion to the crop."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_least(1, "crop", "eval_images")


@dataclass(frozen=True, kw_only=True)
class LocalizationRecipe(BoxRecipe):
    """How a classification network learns to say where the object of a given class is."""

    kind: ClassVar[str] = "localization"
    pixels: ClassVar[tuple[str, ...]] = ("short_side", "anchor_sizes")

    stage: Literal["conv4_x", "conv5_x"]
    """The last stage of the network that is kept; the per-class layers look at its output."""
    short_side: tuple[int, int]
    """The shorter side of an image, in pixels, is drawn from this range, both ends included."""
    anchor_sizes: tuple[int, ...]
    """Square roots, in pixels, of the anchors' areas; each has the aspect ratios 1:2, 1:1, 2:1."""
    anchors_per_image: int
    """How many anchors of an image are drawn to learn from, half of them on the object."""
    colour_std: float
    """Standard deviation of AlexNet's random shift along the colours' principal components."""
    eval_images: int = 5_000

    def __post_init__(self) -> None:
        super().__post_init__()
        low, high = self.short_side
        self._check("short_side", f"from crop={self.crop} up, rising", self.crop <= low <= high)
        self._check_least(2, "anchors_per_image")
        self._check_least(0, "colour_std")
        sides = self.anchor_sizes
        rising = bool(sides) and sides[0] > 0 and list(sides) == sorted(set(sides))
        self._check("anchor_sizes", "rising numbers of pixels", rising)

    def paper(self) -> Self:
        """Return the paper's recipe for the same network, in full length."""
        recipe = localization_recipe(self.model)
        assert isinstance(recipe, type(self))
        return recipe

    @property
    def test_short_side(self) -> int:
        """The shorter side for testing: 256 for crops of 224, others in proportion."""
        return in_proportion(SHORT_SIDES[0], self.crop)


def localization_recipe(model: str) -> LocalizationRecipe:
    """Return appendix C's recipe for a network that was trained on ImageNet.

    Batch, crop and sampled anchors are the paper's; on the rest it is silent.
    """
    return LocalizationRecipe(
        model=model,
        batch_size=256,
        steps=60_000,
        lr=0.01,
        lr_drops=(40_000,),
        lr_divisor=10.0,
        momentum=0.9,
        weight_decay=1e-4,
        stage="conv4_x",
        short_side=SHORT_SIDES,
        crop=CROP,
        anchor_sizes=(56, 112, 224),
        anchors_per_image=8,
        flip=True,
        colour_std=0.1,
        eval_every=5_000,
    )
