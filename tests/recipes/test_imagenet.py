import json

import pytest

from deepres.errors import UserError
from deepres.models.create import build_empty
from deepres.recipes import Recipe, get_recipe, recipe_from_dict
from deepres.recipes.imagenet import NETWORKS

PAPER = get_recipe("resnet34")


@pytest.mark.parametrize("name", NETWORKS)
def test_the_papers_numbers(name: str) -> None:
    recipe = get_recipe(name)
    assert recipe.kind == "imagenet"
    assert (recipe.model, recipe.steps, recipe.batch_size) == (name, 600_000, 256)
    assert (recipe.lr, recipe.lr_drops) == (0.1, (150_000, 300_000, 450_000))
    assert (recipe.lr_divisor, recipe.lr_plateau, recipe.warm_up_lr) == (10, None, None)
    assert (recipe.momentum, recipe.weight_decay) == (0.9, 1e-4)
    assert (recipe.short_side, recipe.crop, recipe.flip) == ((256, 480), 224, True)
    assert (recipe.colour_std, recipe.test_short_side) == (0.1, 256)
    assert recipe.model_options() == {"shortcut": None, "stride_on": None, "pool": None}


def test_a_recipe_survives_json_with_all_that_can_be_set() -> None:
    changes = ["short_side=64,80", "crop=56", "shortcut=B", "lr_plateau=3", "lr_drops="]
    recipe = PAPER.changed([*changes, "pool=ceil"])
    assert recipe_from_dict(json.loads(json.dumps(recipe.to_dict())), Recipe) == recipe
    assert recipe.deviations() == {
        "lr_drops": (),
        "lr_plateau": 3,
        "shortcut": "B",
        "pool": "ceil",
        "short_side": (64, 80),
        "crop": 56,
    }
    assert recipe.test_short_side == 64
    assert recipe.changed(["shortcut=none", "lr_plateau=none"]).shortcut is None


def test_what_is_set_of_the_network_builds_it_and_older_recipes_load() -> None:
    recipe = get_recipe("resnet50").changed(["pool=ceil", "stride_on=3x3"])
    built = build_empty(recipe.model, **recipe.model_options()).architecture
    assert (built["pool"], built["stride_on"], built["shortcut"]) == ("ceil", "3x3", "B")
    older = {field: value for field, value in PAPER.to_dict().items() if field != "pool"}
    assert recipe_from_dict(older, Recipe) == PAPER


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("short_side=256", "--set short_side: expected two whole numbers"),
        ("short_side=480,256", "short_side must be from crop=224 up, rising"),
        ("short_side=200,256", "short_side must be from crop=224 up, rising"),
        ("colour_std=-1", "colour_std must be 0 or more"),
        ("bad_images=hide", "bad_images must be one of fail, skip, got hide"),
        ("pad=4", "unknown recipe field 'pad'"),
    ],
)
def test_a_value_that_cannot_be_meant_is_refused(assignment: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        PAPER.changed([assignment])
