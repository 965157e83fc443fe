"""A trained localization network as one safetensors file."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from deepres.detection.localization import Localizer, PerClassRPN
from deepres.errors import UserError
from deepres.files import atomic_write
from deepres.models.create import create_model
from deepres.models.weights import INPUT_MEAN, INPUT_STD, METADATA, check_fit
from deepres.recipes.localization import LocalizationRecipe
from deepres.run_folder import RunFolder


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
        create_model(**architecture),
        recipe.stage,
        len(classes),
        recipe.anchor_sizes,
        recipe.anchors_per_image,
    )
    side = recipe.test_shorter_side
    return Localizer(network, mean, std, classes, shorter_side=side, crop=recipe.crop)


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
    tensors = {**localizer.network.state_dict(), **own}
    described = {
        **meta,
        "localizer": {
            "architecture": architecture,
            "recipe": recipe.to_dict(),
            "classes": localizer.classes,
        },
    }
    with atomic_write(path) as file:
        file.write(
            save(
                {name: tensor.cpu().contiguous() for name, tensor in tensors.items()},
                metadata={METADATA: json.dumps(described)},
            )
        )


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
    file = RunFolder(path).weights if path.is_dir() else path
    if not file.exists():
        raise UserError(
            f"{file}: no such file; give the folder of a finished run of deepres localize train"
        )
    try:
        with safe_open(file, framework="pt") as archive:
            meta: dict[str, Any] = json.loads((archive.metadata() or {}).get(METADATA, "{}"))
            tensors = {name: archive.get_tensor(name) for name in archive.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        raise UserError(f"{file} is damaged or no safetensors file") from error
    if "localizer" not in meta:
        raise UserError(f"{file} is no localization network; train one: deepres localize train")
    described = meta["localizer"]
    localizer = build_localizer(
        described["architecture"],
        LocalizationRecipe.from_dict(described["recipe"]),
        tuple(described["classes"]),
        tensors.pop(INPUT_MEAN),
        tensors.pop(INPUT_STD),
    )
    check_fit(localizer.network.state_dict(), tensors, file)
    localizer.network.load_state_dict(tensors)
    return localizer.eval().to(device).to(memory_format=torch.channels_last), meta
