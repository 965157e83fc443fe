"""§3.4: how the paper trains its ImageNet networks."""

import dataclasses
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self

from deepres.recipes.classification import ClassificationRecipe
from deepres.recipes.crop import CROP, SHORT_SIDES, in_proportion, sizes_for

NETWORKS = (
    "plain18",
    "plain34",
    "plain50-bottleneck",
    "plain101-bottleneck",
    "plain152-bottleneck",
    "resnet18",
    "resnet34",
    "resnet50",
    "resnet101",
    "resnet152",
)
"""The networks that the paper trains on ImageNet (Tables 2 to 5, Figure 4; of the plain bottleneck
networks §4.1 says no more than that they degrade too)."""


@dataclass(frozen=True, kw_only=True)
class ImageNetRecipe(ClassificationRecipe):
    """How one network is trained on ImageNet, or on any other folder of images."""

    kind: ClassVar[str] = "imagenet"
    pixels: ClassVar[tuple[str, ...]] = ("short_side",)
    """The fields that are in proportion to the crop."""

    shortcut: str | None = None
    """The shortcut option, "A", "B" or "C"; None: the one that ``create_model`` takes."""
    stride_on: str | None = None
    """Where a bottleneck down-samples, "1x1" or "3x3"; None: as in the paper."""
    pool: str | None = None
    """The max pool's border, "pad" or, as in the released Caffe models, "ceil"; None: "pad"."""
    short_side: tuple[int, int]
    """The shorter side of an image, in pixels, is drawn from this range, both ends included."""
    crop: int
    """The side, in pixels, of the random crop."""
    colour_std: float
    """Standard deviation of AlexNet's random shift along the colours' principal components."""
    mean_images: int = 10_000
    """How many training images the mean image is taken over."""
    bad_images: Literal["fail", "skip"] = "fail"
    """What to do about a file that cannot be decoded: stop, or leave it out of its batch."""
    small_images: Literal["refuse", "enlarge"] = "refuse"
    """What to do about a folder of images that are far smaller than the crop."""

    def __post_init__(self) -> None:
        super().__post_init__()
        low, high = self.short_side
        self._check("short_side", f"from crop={self.crop} up, rising", self.crop <= low <= high)
        self._check_least(1, "crop", "mean_images")
        self._check_least(0, "colour_std")

    def paper(self) -> Self:
        """Return the paper's recipe for the same network, in full length."""
        recipe = section_3_4(self.model)
        assert isinstance(recipe, type(self))
        return recipe

    @property
    def side(self) -> int:
        """The side, in pixels, of the images that the network is trained on: of the crops."""
        return self.crop

    def model_options(self) -> dict[str, Any]:
        """Return the options with which ``create_model`` makes the network."""
        return {"shortcut": self.shortcut, "stride_on": self.stride_on, "pool": self.pool}

    @property
    def test_short_side(self) -> int:
        """The shorter side for testing: 256 for crops of 224, others in proportion."""
        return in_proportion(SHORT_SIDES[0], self.crop)

    def with_crop(self, crop: int) -> Self:
        """Return the recipe with another crop, and the shorter sides in proportion."""
        return dataclasses.replace(self, **sizes_for(crop, self.paper()))


def section_3_4(model: str) -> ImageNetRecipe:
    """600k steps of 256 images, lr 0.1; the drops are those that Figure 4 shows, and one more."""
    return ImageNetRecipe(
        model=model,
        batch_size=256,
        steps=600_000,
        lr=0.1,
        lr_drops=(150_000, 300_000, 450_000),
        lr_divisor=10.0,
        momentum=0.9,
        weight_decay=1e-4,
        short_side=SHORT_SIDES,
        crop=CROP,
        flip=True,
        colour_std=0.1,
        eval_every=5_000,
    )


def imagenet_recipe(name: str) -> ImageNetRecipe | None:
    """Return the recipe of §3.4 for the network called ``name``; None if it has none."""
    return section_3_4(name) if name in NETWORKS else None
