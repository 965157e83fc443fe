from typing import Any

import pytest

from deepres.recipe_words import WORDS, fields_in_words, length_in_words
from deepres.recipes import detection_recipe, get_recipe


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, ""),
        ({"batch_size": 128, "lr": 0.02}, "batches of 128, learning rate 0.02"),
        ({"lr_drops": [1_410, 2_115]}, "rate drops after 1,410 and 2,115 steps"),
        ({"lr_drops": (1_410,)}, "rate drops after 1,410 steps"),
        ({"lr_drops": [], "lr_plateau": 3}, "lr_drops=, lr_plateau=3"),
        ({"short_side": [64, 120], "crop": 56}, "shorter side 64 to 120, crops of 56"),
        ({"short_side": 240, "schedule": "joint"}, "shorter side 240, joint training"),
        ({"anchor_sizes": [16, 32, 64]}, "anchors of 16, 32 and 64"),
        ({"anchor_ratios": [0.5, 1.0]}, "anchor_ratios=0.5,1.0"),
    ],
)
def test_fields_are_said_in_words(fields: dict[str, Any], words: str) -> None:
    assert fields_in_words(fields) == words


def test_what_has_no_words_is_as_it_is_set() -> None:
    settings = ["flip=false", "warm_up_lr=none", "colour_std=0.05", "bad_images=skip"]
    changed = get_recipe("resnet34").changed(settings).to_dict()
    fields = {each: changed[each] for each in (setting.partition("=")[0] for setting in settings)}
    assert fields_in_words(fields) == ", ".join(settings)


def test_words_are_of_fields_that_there_are() -> None:
    recipes = get_recipe("resnet20"), get_recipe("resnet34"), detection_recipe("coco", "resnet101")
    assert WORDS.keys() <= {field for recipe in recipes for field in recipe.to_dict()}


def test_the_length_is_said_beside_the_recipes_own() -> None:
    assert length_in_words(64_000, None) == "64,000 steps"
    assert length_in_words(1_000, 64_000) == "1,000 steps, shortened from 64,000"
    assert length_in_words(64_000, 64_000) == "64,000 steps"  # shortened and then extended
    assert length_in_words(192_000, 64_000) == "192,000 steps, lengthened from 64,000"
