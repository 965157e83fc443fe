import json

import pytest

from deepres.errors import UserError
from deepres.recipes import (
    LocalizationRecipe,
    get_recipe,
    localization_recipe,
    recipe_from_dict,
)

RECIPE = localization_recipe("resnet101")


def test_the_papers_numbers() -> None:
    """Appendix C: crops of 224, 256 of them a batch, 8 anchors of each."""
    assert (RECIPE.crop, RECIPE.batch_size, RECIPE.anchors_per_image) == (224, 256, 8)
    assert RECIPE.short_side == get_recipe("resnet101").short_side  # "as in Sec. 3.4"
    assert RECIPE.test_short_side == 256
    rates = [RECIPE.learning_rate(step) for step in (0, 39_999, 40_000, 59_999)]
    assert rates == [0.01, 0.01, 0.001, 0.001]
    assert RECIPE.deviations() == {}


def test_it_is_shortened_and_changed_like_others() -> None:
    short = RECIPE.scaled_to(600).changed(["crop=56", "short_side=64,80", "anchor_sizes=14,28"])
    assert short.lr_drops == (400,)
    assert short.test_short_side == 64
    assert short.deviations() == {
        "crop": 56,
        "short_side": (64, 80),
        "anchor_sizes": (14, 28),
    }


def test_it_survives_json() -> None:
    changed = RECIPE.changed(["stage=conv5_x", "bad_boxes=skip"])
    assert (
        recipe_from_dict(json.loads(json.dumps(changed.to_dict())), LocalizationRecipe) == changed
    )
    with pytest.raises(UserError, match="this run trains a classifier; use deepres train"):
        recipe_from_dict(get_recipe("resnet18").to_dict(), LocalizationRecipe)


@pytest.mark.parametrize(
    "setting",
    [
        *("crop=300", "crop=0", "anchor_sizes=", "anchor_sizes=28,14", "anchors_per_image=1"),
        *("colour_std=-1", "stage=conv3_x", "bad_boxes=keep", "eval_images=0"),
    ],
)
def test_values_that_cannot_be_meant_are_refused(setting: str) -> None:
    field = "short_side" if setting == "crop=300" else setting.partition("=")[0]
    with pytest.raises(UserError, match=f"recipe: {field} must be"):
        RECIPE.changed([setting])
