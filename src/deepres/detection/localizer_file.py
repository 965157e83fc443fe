"""A trained localization network as one safetensors file."""

from pathlib import Path
from typing import Any

import torch

from deepres.detection.localization import Localizer, PerClassRPN
from deepres.models.create import build_network
from deepres.models.weight_checks import INPUT_MEAN, INPUT_STD, building_from, take_preparation
from deepres.models.weights import open_weights, save_network
from deepres.recipes import LocalizationRecipe, recipe_from_dict


def build_localizer(
    architecture: dict[str, Any],
    recipe: LocalizationRecipe,
    classes: tuple[str, ...],
    mean: torch.Tensor,
    std: torch.Tensor,
) -> Localizer:
    """Build the recipe's localization network, the layers for boxes drawn as in torchvision's RPN.

    Args:
        architecture: of the classification network, arguments of ``create_model``.
        recipe: how it is trained.
        classes: their names.
        mean: what is subtracted from the input in [0, 1], (3, 1, 1).
        std: what it is divided by after that.

    Raises:
        UserError: the network has no such stage as the recipe wants.
    """
    network = PerClassRPN(
        build_network(**architecture),
        recipe.stage,
        len(classes),
        recipe.anchor_sizes,
        recipe.anchors_per_image,
    )
    side = recipe.test_short_side
    return Localizer(network, mean, std, classes, short_side=side, crop=recipe.crop)


def save_localizer(
    path: Path,
    localizer: Localizer,
    architecture: dict[str, Any],
    recipe: LocalizationRecipe,
    meta: dict[str, Any],
) -> None:
    """Write a localizer's tensors and, in the file's metadata, what is needed to use them.

    Args:
        path: a .safetensors file, written atomically.
        localizer: the trained network.
        architecture: of the classification network that it is built on.
        recipe: how it was trained.
        meta: what else to note, anything that JSON can hold.
    """
    own = {INPUT_MEAN: localizer.mean, INPUT_STD: localizer.std}
    described = {
        "architecture": architecture,
        "recipe": recipe.to_dict(),
        "classes": localizer.classes,
    }
    save_network(path, "localizer", {**localizer.network.state_dict(), **own}, described, meta)


def load_localizer(
    path: Path, device: str | torch.device = "cpu"
) -> tuple[Localizer, dict[str, Any]]:
    """Load a trained localizer, ready to be used, and what was noted with it.

    Args:
        path: a run's folder, or its model.safetensors.
        device: where to put it.

    Raises:
        UserError: there are no weights, or they are no localizer's.
    """
    opened = open_weights(path, "localizer")
    described = opened.network
    mean, std = take_preparation(opened.tensors, opened.file)
    colour = mean.mean((1, 2), keepdim=True)
    with building_from(opened.file):
        recipe = recipe_from_dict(described["recipe"], LocalizationRecipe)
        localizer = build_localizer(
            described["architecture"], recipe, tuple(described["classes"]), colour, std
        )
    opened.fill(localizer.network)
    return localizer.eval().to(device).to(memory_format=torch.channels_last), opened.notes
