"""§4.2: how the paper trains its CIFAR-10 networks."""

import dataclasses
import re
from typing import Any

from deepres.errors import UserError
from deepres.recipes.schema import Recipe

NETWORKS = (
    *("plain20", "plain32", "plain44", "plain56", "plain110"),
    *("resnet20", "resnet32", "resnet44", "resnet56", "resnet110", "resnet1202"),
)
"""The networks that the paper trains on CIFAR-10 (Table 6, Figures 1 and 6)."""

IMAGENET_TWINS = ("resnet50", "resnet152")
"""Depths of the form 6n+2 whose plain name means the ImageNet network."""


def section_4_2(model: str) -> Recipe:
    """64k steps of 128 images, lr 0.1 divided by 10 at 32k and 48k: the same for every depth."""
    return Recipe(
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


def warmed_up(recipe: Recipe) -> Recipe:
    """Start at lr 0.01 until the training error is below 80%: 0.1 is too large to start with."""
    return dataclasses.replace(recipe, warm_up_lr=0.01, warm_up_until_error_pct=80.0)


def get_recipe(name: str) -> Recipe:
    """Return the paper's recipe for the network called ``name``, for example ``resnet56``.

    Every depth of 6n+2 layers has one, not only those that the paper trained.

    Raises:
        UserError: the paper trains no such network on CIFAR-10.
    """
    match = re.fullmatch(r"(?:plain|resnet)([1-9]\d*)(?:-cifar)?", name)
    depth = int(match[1]) if match else 0
    if depth < 8 or depth % 6 != 2 or name in IMAGENET_TWINS:
        raise UserError(
            f"no CIFAR-10 recipe {name!r}: it takes 6n+2 layers, as {', '.join(NETWORKS)} have, "
            "or resnet50-cifar"
        )
    recipe = section_4_2(name)
    return warmed_up(recipe) if name in ("resnet110", "resnet1202") else recipe


def departures(recipe: Recipe) -> dict[str, Any]:
    """Return the fields in which ``recipe`` departs from the paper's, scaled to the same length."""
    paper = get_recipe(recipe.model)
    if recipe.steps < paper.steps:
        paper = paper.shortened(recipe.steps)
    papers = paper.to_dict()
    return {field: value for field, value in recipe.to_dict().items() if value != papers[field]}
