"""Images far smaller than a recipe's crops: they are refused, with the settings that fit them."""

import statistics

from deepres.data.detection.localization import LocalizationData
from deepres.data.folder import ImageFolder
from deepres.data.image_sizes import typical_short_side
from deepres.errors import UserError
from deepres.recipes import ImageNetRecipe
from deepres.recipes.crop import CROP, SHORT_SIDES, sizes_for
from deepres.recipes.localization import BoxRecipe


def check_sizes(data: ImageFolder | LocalizationData, recipe: ImageNetRecipe | BoxRecipe) -> None:
    """Make sure that images are not far smaller than the recipe's crops.

    Such crops would be a blur that takes many times the work.

    Raises:
        UserError: they are, and the recipe does not say to enlarge them.
    """
    if isinstance(data, ImageFolder):
        side = typical_short_side(data.train)
    else:  # which annotations tell
        images = data.train.images
        side = statistics.median_low(min(image.width, image.height) for image in images)
    if side is None or 2 * side >= recipe.crop or recipe.small_images == "enlarge":
        return
    fitting = sizes_for(max(1, round(side * CROP / SHORT_SIDES[0])), recipe.paper())
    settings = " ".join(f"--set {field}={_written(value)}" for field, value in fitting.items())
    raise UserError(
        f"the images of {data.location} are small: their short side is {side} pixels, and the "
        f"recipe of {recipe.model} is for crops of {recipe.crop} pixels. Fit them by {settings}, "
        "or have the images enlarged by --set small_images=enlarge"
    )


def _written(value: int | tuple[int, ...]) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
