"""How many images a part of a batch has, of which BN takes the variance."""

import torch

from deepres.errors import UserError
from deepres.execution import Execution
from deepres.models.create import build_empty
from deepres.models.shapes import ShapesAlone
from deepres.recipes import ClassificationRecipe


def fewest_images_of_a_part(recipe: ClassificationRecipe, execution: Execution) -> int:
    """Return how few images a part of a batch can have.

    Raises:
        UserError: the recipe's have fewer, or recipe and execution do not fit.
    """
    size, device = execution.world.size, execution.device
    if recipe.batch_size % (size * recipe.accumulate):
        raise UserError(
            f"batch_size={recipe.batch_size} cannot be shared evenly by {size} processes in "
            f"{recipe.accumulate} parts each; change one of the three"
        )
    if recipe.sync_batch_norm and device.type != "cuda":
        raise UserError(f"sync_batch_norm works on CUDA devices only, not on {device.type}")
    network = build_empty(recipe.model, **recipe.model_options())
    side = recipe.side
    with ShapesAlone():
        last_maps = network.feature_map(torch.empty(2, 3, side, side, device="meta"))
    fewest = 2 if last_maps[0, 0].numel() == 1 and not recipe.sync_batch_norm else 1
    if recipe.batch_size // (size * recipe.accumulate) < fewest:
        raise UserError(
            f"batch_size={recipe.batch_size} leaves a single image to a part, and BN takes no "
            f"variance of the one value that {recipe.model}'s last map has in crops of {side} "
            "pixels; take a larger batch or crop, or fewer parts and processes"
        )
    return fewest


def smallest_part(images: int, parts: int) -> int:
    """Return how many images the smallest part of a batch has, as ``torch.chunk`` divides it."""
    size = -(-images // parts)
    return images - size * (-(-images // size) - 1)
