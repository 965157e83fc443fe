import re

import pytest

from deepres.errors import UserError
from deepres.models.create import build_empty
from deepres.recipes import Recipe, fine_tuned, get_recipe, recipe_from_dict
from deepres.recipes.cifar10 import HIGHWAYS, NETWORKS


@pytest.mark.parametrize("name", NETWORKS)
def test_the_papers_numbers(name: str) -> None:
    recipe = get_recipe(name)
    assert recipe.model == name
    assert (recipe.steps, recipe.batch_size) == (64_000, 128)
    assert (recipe.lr, recipe.lr_drops, recipe.lr_divisor) == (0.1, (32_000, 48_000), 10)
    assert (recipe.momentum, recipe.weight_decay) == (0.9, 1e-4)
    assert (recipe.pad, recipe.flip, recipe.scaled_from) == (4, True, None)
    warm_up = 0.01 if name in ("resnet110", "resnet1202") else None
    assert (recipe.warm_up_lr, recipe.warm_up_until_error_pct) == (warm_up, 80.0)


def test_every_depth_of_the_form_has_a_recipe() -> None:
    assert get_recipe("resnet8").model == "resnet8"
    assert get_recipe("resnet50-cifar").model == "resnet50-cifar"


@pytest.mark.parametrize("name", ["resnet20", "plain50", "resnet110", "resnet1202"])
def test_the_longer_spelling_is_the_same_network(name: str) -> None:
    assert get_recipe(f"{name}-cifar") == get_recipe(name)
    fine_tuning = fine_tuned(f"{name}-cifar", files=True)
    assert fine_tuning == fine_tuned(name, files=True)
    assert build_empty(f"{name}-cifar").architecture == build_empty(name).architecture


def test_an_earlier_run_without_the_warm_up_is_not_the_papers() -> None:
    fields = get_recipe("resnet110").to_dict() | {"model": "resnet110-cifar", "warm_up_lr": None}
    assert recipe_from_dict(fields, Recipe).deviations() == {"warm_up_lr": None}


@pytest.mark.parametrize("name", HIGHWAYS)
def test_gates_and_identity_are_trained_alike(name: str) -> None:
    assert {**get_recipe(name).to_dict(), "model": "resnet20"} == get_recipe("resnet20").to_dict()


def test_one_layer_residual_functions_are_a_departure() -> None:
    paper = get_recipe("resnet20")
    assert paper.model_options() == {}
    changed = paper.changed(["residual_layers=1"])
    assert changed.deviations() == {"residual_layers": 1}
    assert changed.model_options() == {"residual_layers": 1}
    with pytest.raises(UserError, match="residual_layers must be 1 or 2, got 3"):
        paper.changed(["residual_layers=3"])
    for name in ("plain20", "highway19"):
        with pytest.raises(UserError, match=f"{name} has no residual functions"):
            get_recipe(name).changed(["residual_layers=1"])


def test_a_run_from_before_there_was_the_choice_loads() -> None:
    fields = get_recipe("resnet20").to_dict()
    del fields["residual_layers"]
    assert recipe_from_dict(fields, Recipe) == get_recipe("resnet20")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("resnet21", "; did you mean resnet20 or resnet18?"),
        ("ResNet-26", "; did you mean resnet26?"),
        ("resnet_50", "; did you mean resnet50?"),
        ("resnet2", "; did you mean resnet8 or resnet14?"),
        ("plain51", "; did you mean plain50 or plain56?"),
        ("higway19", "; did you mean highway19"),
        ("vgg16", ": there are plain18"),
        ("x", ": there are plain18"),
    ],
)
def test_others_have_none(name: str, said: str) -> None:
    with pytest.raises(UserError, match=re.escape(f"no recipe '{name}'{said}")):
        get_recipe(name)


def test_deviations_from_the_paper_are_named() -> None:
    paper = get_recipe("resnet20")
    assert paper.deviations() == {}
    assert paper.scaled_to(1_000).deviations() == {}
    assert paper.changed(["lr=0.05", "flip=false"]).deviations() == {"lr": 0.05, "flip": False}
    assert paper.extended(70_000).deviations() == {"steps": 70_000}
    assert paper.scaled_to(1_000).extended(2_000).deviations()["lr_drops"] == (500, 750)
