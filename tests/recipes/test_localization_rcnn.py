import json

import pytest

from deepres.errors import UserError
from deepres.recipes import (
    LocalizationRCNNRecipe,
    LocalizationRecipe,
    localization_rcnn_recipe,
    recipe_from_dict,
)

RECIPE = localization_rcnn_recipe("resnet101")


def test_the_papers_numbers() -> None:
    """Appendix C: 200 proposals an image, warped to 224, 256 regions a batch; R-CNN's quarter."""
    assert (RECIPE.proposals, RECIPE.crop, RECIPE.batch_size) == (200, 224, 256)
    assert (RECIPE.foregrounds, RECIPE.context, RECIPE.foreground_iou) == (64, 16, 0.5)
    rates = [RECIPE.learning_rate(step) for step in (0, 39_999, 40_000, 59_999)]
    assert rates == [0.01, 0.01, 0.001, 0.001]
    assert RECIPE.deviations() == {}


def test_it_is_changed_and_survives_json() -> None:
    changed = RECIPE.scaled_to(600).changed(["crop=56", "context=4", "box_weights=1,1,1,1"])
    assert changed.lr_drops == (400,)
    assert changed.deviations() == {"crop": 56, "context": 4, "box_weights": (1, 1, 1, 1)}
    fields = json.loads(json.dumps(changed.to_dict()))
    assert recipe_from_dict(fields, LocalizationRCNNRecipe) == changed
    with pytest.raises(UserError, match="trains a localization network's R-CNN; use deepres local"):
        recipe_from_dict(fields, LocalizationRecipe)


@pytest.mark.parametrize(
    "setting",
    [
        *("proposals=0", "context=112", "context=-1", "crop=0", "eval_images=0"),
        *("proposals_nms_iou=0", "foreground_iou=1.5", "foreground_fraction=0"),
        *("foreground_fraction=1", "box_weights=1,1,1", "box_weights=1,1,1,0", "bad_boxes=keep"),
    ],
)
def test_values_that_cannot_be_meant_are_refused(setting: str) -> None:
    with pytest.raises(UserError, match=f"recipe: {setting.partition('=')[0]} must be"):
        RECIPE.changed([setting])
