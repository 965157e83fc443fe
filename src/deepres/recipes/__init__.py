"""Recipes by name: a recipe has its network's name."""

import re
from typing import Any, TypeVar

from deepres.errors import UserError, did_you_mean, plain_spelling
from deepres.kinds import kind_of
from deepres.recipes import cifar10, imagenet
from deepres.recipes.cifar10 import CifarRecipe, cifar_recipe
from deepres.recipes.classification import ClassificationRecipe
from deepres.recipes.detection import DetectionRecipe, detection_recipe
from deepres.recipes.fine_tuning import fine_tuned
from deepres.recipes.imagenet import ImageNetRecipe, imagenet_recipe
from deepres.recipes.localization import BoxRecipe, LocalizationRecipe, localization_recipe
from deepres.recipes.localization_rcnn import LocalizationRCNNRecipe, localization_rcnn_recipe
from deepres.recipes.schema import Recipe

__all__ = [
    "BoxRecipe",
    "CifarRecipe",
    "ClassificationRecipe",
    "DetectionRecipe",
    "ImageNetRecipe",
    "LocalizationRCNNRecipe",
    "LocalizationRecipe",
    "Recipe",
    "detection_recipe",
    "fine_tuned",
    "get_recipe",
    "localization_rcnn_recipe",
    "localization_recipe",
    "recipe_from_dict",
]

R = TypeVar("R", bound=Recipe)

CLASSES = (
    CifarRecipe,
    ImageNetRecipe,
    DetectionRecipe,
    LocalizationRecipe,
    LocalizationRCNNRecipe,
)
BY_KIND: dict[str, Any] = {each.kind: each for each in CLASSES}


def get_recipe(name: str) -> CifarRecipe | ImageNetRecipe:
    """Return the paper's recipe for the network called ``name``.

    ``resnet34`` has that of §3.4, for ImageNet; ``resnet56``, and any other network of 6n+2 layers,
    that of §4.2, for CIFAR-10. Highway networks are trained by it too.

    Raises:
        UserError: the paper trains no such network.
    """
    if not isinstance(name, str):
        raise UserError(f"expected a network's name, e.g. 'resnet20', got {name!r}")
    recipe = imagenet_recipe(name) or cifar_recipe(name)
    if recipe is None:
        question = _did_you_mean(name) or (
            f": there are {', '.join(imagenet.NETWORKS)} for ImageNet, and for "
            f"CIFAR-10 all of 6n+2 layers, as {', '.join(cifar10.NETWORKS)} or resnet50-cifar, and "
            f"{', '.join(cifar10.HIGHWAYS)}"
        )
        raise UserError(f"no recipe {name!r}{question}")
    return recipe


def _did_you_mean(name: str) -> str:
    """Return the question that names the networks that are nearest, by depth if it has one."""
    networks = (*imagenet.NETWORKS, *cifar10.NETWORKS, *cifar10.HIGHWAYS)
    match = re.fullmatch(r"(plain|resnet)(\d{1,4})", plain_spelling(name))
    if not match:
        return did_you_mean(name, networks)
    kind, depth = match[1], int(match[2])
    named = {int(each.removeprefix(kind)) for each in networks if re.fullmatch(rf"{kind}\d+", each)}
    nearest = sorted({*named, *cifar10.depths_near(depth)}, key=lambda known: abs(known - depth))
    nearest = nearest[: 1 if nearest[0] == depth else 2]
    return f"; did you mean {' or '.join(f'{kind}{each}' for each in nearest)}?"


def recipe_from_dict(fields: dict[str, Any], kind: type[R], whose: object = "this run") -> R:
    """Return the recipe that its ``to_dict`` gave.

    Args:
        fields: as JSON has them.
        kind: the class that it must be of, or of a subclass; ``Recipe``: any.
        whose: what the run is called.

    Raises:
        UserError: it is of another kind, or was written by another version.
    """
    known = kind_of(fields)
    written = BY_KIND[fields["kind"]]
    if not issubclass(written, kind):
        raise UserError(f"{whose} trains {known.trains}; use {known.train}, evaluate, …")
    recipe: R = written.from_dict(fields)
    return recipe
