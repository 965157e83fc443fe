"""§4.2: how the paper trains its CIFAR-10 networks."""

import dataclasses
import re
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from deepres.errors import UserError
from deepres.recipes.classification import ClassificationRecipe

NETWORKS = (
    "plain20",
    "plain32",
    "plain44",
    "plain56",
    "plain110",
    "resnet20",
    "resnet32",
    "resnet44",
    "resnet56",
    "resnet110",
    "resnet1202",
)
"""The networks that the paper trains on CIFAR-10 (Table 6, Figures 1 and 6)."""

TRAINING_IMAGES = 50_000
"""Of CIFAR-10."""

HIGHWAYS = ("highway19", "highway32")
"""Table 6's contrast, trained as they are: gates against identity under one recipe."""

IMAGENET_TWINS = ("resnet50", "resnet152")
"""Depths of the form 6n+2 whose plain name means the ImageNet network."""


@dataclass(frozen=True, kw_only=True)
class CifarRecipe(ClassificationRecipe):
    """How one network is trained on CIFAR-10."""

    kind: ClassVar[str] = "cifar10"

    holdout: int = 0
    """How many training images, the last ones, are kept back for validation; the paper: 5,000."""
    pad: int
    """Pixels of zeros around the image before the random crop."""
    residual_layers: int = 2
    """Layers of a residual function; 1 is §3.2's remark, of which the paper saw no advantage."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_least(0, "holdout", "pad")
        some_are_left = self.holdout < TRAINING_IMAGES
        self._check("holdout", f"below CIFAR-10's {TRAINING_IMAGES:,} images", some_are_left)
        self._check("residual_layers", "1 or 2", self.residual_layers in (1, 2))
        if self.residual_layers == 1 and not self.model.startswith("resnet"):
            raise UserError(f"recipe: {self.model} has no residual functions, of 1 layer or of 2")

    def paper(self) -> Self:
        """Return the paper's recipe for the same network, in full length."""
        recipe = cifar_recipe(self.model)
        assert isinstance(recipe, type(self)), f"{self.model} has no recipe"
        return dataclasses.replace(recipe, model=self.model)  # earlier runs may be resnet20-cifar

    @property
    def side(self) -> int:
        """The side, in pixels, of CIFAR-10's images."""
        return 32

    def model_options(self) -> dict[str, Any]:
        """Return the options with which ``create_model`` makes the network."""
        return {} if self.residual_layers == 2 else {"residual_layers": self.residual_layers}


def section_4_2(model: str) -> CifarRecipe:
    """64k steps of 128 images, lr 0.1 divided by 10 at 32k and 48k: the same for every depth."""
    return CifarRecipe(
        model=model,
        batch_size=128,
        steps=64_000,
        lr=0.1,
        lr_drops=(32_000, 48_000),
        lr_divisor=10.0,
        momentum=0.9,
        weight_decay=1e-4,
        pad=4,
        flip=True,
    )


def warmed_up(recipe: CifarRecipe) -> CifarRecipe:
    """Start at lr 0.01 until the training error is below 80%: 0.1 is too large to start with."""
    return dataclasses.replace(recipe, warm_up_lr=0.01, warm_up_until_error_pct=80.0)


def cifar_recipe(name: str) -> CifarRecipe | None:
    """Return the recipe of §4.2 for the network called ``name``; None if it has none.

    Every depth of 6n+2 layers has one, not only those that the paper trained; so have the highway
    networks.
    """
    if name in HIGHWAYS:
        return section_4_2(name)
    match = re.fullmatch(r"(?:plain|resnet)([1-9]\d*)(?:-cifar)?", name)
    depth = int(match[1]) if match else 0
    if depth < 8 or depth % 6 != 2 or name in IMAGENET_TWINS:
        return None
    recipe = section_4_2(usual_name(name))
    return warmed_up(recipe) if recipe.model in ("resnet110", "resnet1202") else recipe


def usual_name(name: str) -> str:
    """Return what a network for CIFAR-10 is called everywhere: ``resnet20-cifar`` is resnet20."""
    short = name.removesuffix("-cifar")
    return name if short in IMAGENET_TWINS else short


def depths_near(depth: int) -> tuple[int, int]:
    """Return the last of §4.2's depths, 6n+2 from 8 on, up to ``depth``, or 8; and the next."""
    below = max(8, depth - (depth - 2) % 6)
    return below, below + 6
