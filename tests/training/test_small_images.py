import re
from pathlib import Path

import pytest
from pictures import save_pictures
from runs import train
from small_localization import tiny_recipe, tiny_weights, two_classes

from deepres.data.detection.localization import LocalizationRCNNData, open_localization_data
from deepres.data.folder import open_image_folder
from deepres.errors import UserError
from deepres.recipes import ImageNetRecipe, get_recipe
from deepres.recipes.localization import BoxRecipe, localization_recipe
from deepres.recipes.localization_rcnn import localization_rcnn_recipe
from deepres.training.small_images import check_sizes


def test_a_folder_of_small_images(tmp_path: Path) -> None:
    for part in ("train", "val"):
        save_pictures(tmp_path / part / "a", [(64, 64)] * 2 + [(90, 64), (300, 400)])
    data = open_image_folder(tmp_path)
    recipe = get_recipe("resnet18")
    assert isinstance(recipe, ImageNetRecipe)
    with pytest.raises(UserError) as refused:
        check_sizes(data, recipe)
    line = str(refused.value)
    assert "short side is 64 pixels, and the recipe of resnet18 is for crops of 224" in line
    assert line.count("\n") == 0
    fitting = re.findall(r"--set (\S+=[\d,]*\d)", line)
    assert fitting == ["crop=56", "short_side=64,120"]  # as 224 stands to 256 and 480
    assert "--set small_images=enlarge" in line
    check_sizes(data, recipe.changed(fitting))
    check_sizes(data, recipe.changed(["small_images=enlarge"]))
    check_sizes(data, recipe.changed(["crop=128", "short_side=128,128"]))  # half is not far
    with pytest.raises(UserError, match="small_images must be one of refuse, enlarge"):
        recipe.changed(["small_images=shrink"])


@pytest.mark.parametrize(
    ("recipe", "fitting"),
    [
        (
            localization_recipe("resnet18"),
            ["crop=56", "short_side=64,120", "anchor_sizes=14,28,56"],
        ),
        (localization_rcnn_recipe("resnet18"), ["crop=56", "context=4"]),
    ],
)
def test_small_images_with_boxes(tmp_path: Path, recipe: BoxRecipe, fitting: list[str]) -> None:
    data = open_localization_data(two_classes(tmp_path))
    with pytest.raises(UserError, match=r"short side is 64 pixels, .* is for crops of 224") as line:
        check_sizes(data, recipe)
    assert re.findall(r"--set (\S+=[\d,]*\d)", str(line.value)) == fitting
    check_sizes(data, recipe.changed(fitting))
    check_sizes(data, recipe.changed(["small_images=enlarge"]))


def test_both_halves_of_localization_refuse_them(tmp_path: Path) -> None:
    data = open_localization_data(two_classes(tmp_path / "tiny"))
    weights = tiny_weights(tmp_path / "weights.safetensors")
    with pytest.raises(UserError, match="are small"):
        train(localization_recipe("resnet18"), tmp_path / "large", data, weights=weights)
    train(tiny_recipe(1), tmp_path / "rpn", data, weights=weights, workers=0)
    both = LocalizationRCNNData(data, tmp_path / "rpn")
    with pytest.raises(UserError, match="are small"):
        train(localization_rcnn_recipe("resnet18"), tmp_path / "large", both)
    assert not (tmp_path / "large").exists()
