"""Fine-tuning, of which the paper has no recipe: a classifier goes on from given weights.

What is customary (DEVIATIONS, C33):

- a tenth of the rate that the weights were made with (R-CNN, Girshick et al. 2014, §2.3);
- as many images as BiT-HyperRule (Kolesnikov et al. 2020, §3.3) takes of a data set of less than
  20,000, 500 · 512, and its drops after 30, 60 and 90 %, in batches of a size that suits a CPU.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from deepres.errors import UserError
from deepres.recipes.cifar10 import CifarRecipe, cifar_recipe
from deepres.recipes.crop import CROP
from deepres.recipes.imagenet import ImageNetRecipe, imagenet_recipe, section_3_4

NUMBERS: dict[str, Any] = {
    "batch_size": 64,
    "steps": 4_000,
    "lr": 0.01,
    "lr_drops": (1_200, 2_400, 3_600),
    "warm_up_lr": None,
    "eval_every": 500,
    "pretrained": True,
}
CIFAR_CROP = 32


def fine_tuned(
    model: str,
    *,
    files: bool,
    crop: int | None = None,
    options: Mapping[str, Any] | None = None,
) -> CifarRecipe | ImageNetRecipe:
    """Return the recipe by which given weights of a network are trained on.

    Args:
        model: the network, as ``get_recipe`` knows it.
        files: whether it learns from a folder of images; else from CIFAR-10's.
        crop: the side of the crops of files, in pixels; None: the side that the network is for.
        options: how the weights' network was made, where not as ``create_model`` does by default.

    Raises:
        UserError: such a network is not trained, or not on such images.
    """
    of_cifar = cifar_recipe(model)
    if not (of_cifar or imagenet_recipe(model)):
        raise UserError(f"no recipe {model!r}: deepres trains no such classifier")
    papers: CifarRecipe | ImageNetRecipe
    if files:
        side = crop or (CIFAR_CROP if of_cifar else CROP)
        papers = section_3_4(of_cifar.model if of_cifar else model).with_crop(side)
    elif of_cifar:
        papers = of_cifar
    else:
        raise UserError(
            f"{model} learns from folders of images, as ImageNet, and not from CIFAR-10; name a "
            "network for CIFAR-10, e.g. resnet20, or give a folder with train/<class>/ by --data"
        )
    options = options or {}
    if unknown := options.keys() - {field.name for field in dataclasses.fields(papers)}:
        option = min(unknown)
        raise UserError(
            f"these weights of {model} have {option}={options[option]}; such a network learns from "
            "CIFAR-10 only"
        )
    return dataclasses.replace(papers, **NUMBERS, **options)
