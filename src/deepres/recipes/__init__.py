"""Recipes by name: a recipe has its network's name."""

from typing import Any

from deepres.errors import UserError
from deepres.recipes import cifar10, imagenet
from deepres.recipes.cifar10 import CifarRecipe, cifar_recipe
from deepres.recipes.detection import DetectionRecipe, detection_deviations, detection_recipe
from deepres.recipes.imagenet import ImageNetRecipe, imagenet_recipe
from deepres.recipes.schema import ARITHMETIC, ClassificationRecipe, Recipe, unfit_kind

__all__ = [
    "CifarRecipe",
    "ClassificationRecipe",
    "DetectionRecipe",
    "ImageNetRecipe",
    "Recipe",
    "classification_recipe_from_dict",
    "detection_recipe",
    "detection_recipe_from_dict",
    "deviations",
    "get_recipe",
    "recipe_from_dict",
]


def get_recipe(name: str) -> CifarRecipe | ImageNetRecipe:
    """Return the paper's recipe for the network called ``name``.

    ``resnet34`` has that of §3.4, for ImageNet; ``resnet56``, and any other network of 6n+2 layers,
    that of §4.2, for CIFAR-10. Highway networks are trained by it too.

    Raises:
        UserError: the paper trains no such network.
    """
    recipe = imagenet_recipe(name) or cifar_recipe(name)
    if recipe is None:
        raise UserError(
            f"no recipe {name!r}: there are {', '.join(imagenet.NETWORKS)} for ImageNet, and for "
            f"CIFAR-10 all of 6n+2 layers, as {', '.join(cifar10.NETWORKS)} or resnet50-cifar, and "
            f"{', '.join(cifar10.HIGHWAYS)}"
        )
    return recipe


def recipe_from_dict(fields: dict[str, Any]) -> CifarRecipe | ImageNetRecipe | DetectionRecipe:
    """Return the recipe of a classifier or a detector that its ``to_dict`` gave.

    Raises:
        UserError: it is a localization network's, or was written by another version.
    """
    classes: dict[str, type[CifarRecipe] | type[ImageNetRecipe] | type[DetectionRecipe]] = {
        CifarRecipe.kind: CifarRecipe,
        ImageNetRecipe.kind: ImageNetRecipe,
        DetectionRecipe.kind: DetectionRecipe,
    }
    kind = fields.get("kind", "")
    if kind not in classes:
        raise unfit_kind(fields)
    return classes[kind].from_dict(fields)


def classification_recipe_from_dict(fields: dict[str, Any]) -> CifarRecipe | ImageNetRecipe:
    """Return a classifier's recipe that its ``to_dict`` gave.

    Raises:
        UserError: it is of another kind, or was written by another version.
    """
    recipe = recipe_from_dict(fields)
    if isinstance(recipe, DetectionRecipe):
        raise unfit_kind(fields)
    return recipe


def detection_recipe_from_dict(fields: dict[str, Any]) -> DetectionRecipe:
    """Return a detector's recipe that its ``to_dict`` gave.

    Raises:
        UserError: it is of another kind, or was written by another version.
    """
    recipe = recipe_from_dict(fields)
    if not isinstance(recipe, DetectionRecipe):
        raise unfit_kind(fields)
    return recipe


def deviations(recipe: CifarRecipe | ImageNetRecipe | DetectionRecipe) -> dict[str, Any]:
    """Return the fields in which ``recipe`` departs from the paper's, scaled to the same length.

    How it is computed, in which precision, is no deviation; a run's provenance tells it.
    """
    if isinstance(recipe, DetectionRecipe):
        return detection_deviations(recipe)
    paper: Recipe = get_recipe(recipe.model)
    if recipe.steps < paper.steps:
        paper = paper.shortened(recipe.steps)
    papers = paper.to_dict()
    return {
        field: value
        for field, value in recipe.to_dict().items()
        if value != papers[field] and field not in ARITHMETIC
    }
