"""A trained R-CNN for localization, with the RPN that proposes to it, as one safetensors file."""

from pathlib import Path
from typing import Any

import torch

from deepres.detection.localization_rcnn import PerClassRCNN, RegionLocalizer
from deepres.detection.localizer_file import build_localizer
from deepres.models.create import build_network
from deepres.models.weight_checks import building_from
from deepres.models.weights import open_weights, save_network
from deepres.recipes import LocalizationRCNNRecipe, LocalizationRecipe, recipe_from_dict


def build_rcnn(described: dict[str, Any]) -> RegionLocalizer:
    """Build a recipe's R-CNN and its RPN, the layers for boxes drawn as in Fast R-CNN.

    What is subtracted from the inputs of both, and what they are divided by, comes with their
    weights: ``mean`` and ``std`` among the tensors.

    Args:
        described: ``architecture`` (of the classification network, arguments of ``create_model``),
            ``recipe`` and ``classes``, and in ``rpn`` the same three of the RPN.
    """
    rpn, classes = described["rpn"], tuple(described["classes"])
    recipe = recipe_from_dict(described["recipe"], LocalizationRCNNRecipe)
    none, whole = torch.zeros(3, 1, 1), torch.ones(3, 1, 1)
    proposer = build_localizer(
        rpn["architecture"],
        recipe_from_dict(rpn["recipe"], LocalizationRecipe),
        classes,
        none.clone(),
        whole.clone(),
    )
    network = build_network(**described["architecture"])
    return RegionLocalizer(
        proposer,
        PerClassRCNN(network, len(classes), recipe.box_weights),
        none,
        whole,
        crop=recipe.crop,
        context=recipe.context,
        proposals=recipe.proposals,
        nms_iou=recipe.proposals_nms_iou,
    )


def save_rcnn(
    path: Path, localizer: RegionLocalizer, described: dict[str, Any], meta: dict[str, Any]
) -> None:
    """Write the tensors of both networks and, in the file's metadata, what is needed to use them.

    Args:
        path: a .safetensors file, written atomically.
        localizer: the trained networks.
        described: what ``build_rcnn`` takes.
        meta: what else to note, anything that JSON can hold.
    """
    save_network(path, "rcnn", localizer.state_dict(), described, meta)


def load_rcnn(
    path: Path, device: str | torch.device = "cpu"
) -> tuple[RegionLocalizer, dict[str, Any]]:
    """Load a trained R-CNN and its RPN, ready to be used, and what was noted with them.

    Args:
        path: a run's folder, or its model.safetensors.
        device: where to put it.

    Raises:
        UserError: there are no weights, or they are no R-CNN's for localization.
    """
    opened = open_weights(path, "rcnn")
    with building_from(opened.file):
        localizer = build_rcnn(opened.network)
    opened.fill(localizer)
    return localizer.eval().to(device).to(memory_format=torch.channels_last), opened.notes
