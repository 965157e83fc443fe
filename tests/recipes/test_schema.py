import dataclasses
import json
import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepres.errors import UserError
from deepres.recipes import Recipe, detection_recipe, get_recipe, recipe_from_dict
from deepres.recipes.schema import naming

PAPER = get_recipe("resnet110")


def test_shortening_scales_every_milestone() -> None:
    short = PAPER.scaled_to(1_000)
    assert (short.steps, short.lr_drops, short.scaled_from) == (1_000, (500, 750), 64_000)
    assert (short.log_every, short.eval_every) == (25, 125)
    assert short.warm_up_until_error_pct == 80.0


@given(st.integers(1, 63_999))
def test_any_length_can_be_shortened_to(steps: int) -> None:
    short = PAPER.scaled_to(steps)
    assert short.scaled_from == 64_000
    assert all(0 < drop < steps for drop in short.lr_drops)
    assert steps / short.log_every <= 640


def test_its_own_length_is_no_other_and_none_is_none() -> None:
    assert PAPER.scaled_to(64_000) is PAPER
    with pytest.raises(UserError, match="a run has 1 step or more, got 0"):
        PAPER.scaled_to(0)


def test_a_scaled_recipe_is_not_scaled_again() -> None:
    """Of three steps one drop is left: 2,000 made of these would lack the other."""
    short = PAPER.scaled_to(3)
    assert short.scaled_to(3) is short
    message = "scaled from 64,000 steps to 3 already; scale the whole one to 2,000"
    with pytest.raises(UserError, match=message):
        short.scaled_to(2_000)


def test_a_longer_recipe_is_the_papers_in_proportion() -> None:
    """§4.1's footnote: three times the iterations, under which plain nets degrade all the same."""
    longer = PAPER.scaled_to(192_000)
    assert (longer.steps, longer.lr_drops) == (192_000, (96_000, 144_000))
    assert (longer.log_every, longer.eval_every) == (PAPER.log_every, PAPER.eval_every)
    assert longer.deviations() == {}
    detector = detection_recipe("coco", "resnet101").scaled_to(3 * 4 * 320_000)
    assert detector.phase_starts == (960_000, 1_920_000, 2_880_000)
    assert [detector.learning_rate(step) for step in (719_999, 720_000, 960_000)] == [
        *(0.001, 0.0001, 0.001)
    ]


def test_extending_moves_the_end_alone() -> None:
    longer = PAPER.scaled_to(1_000).extended(2_000)
    assert (longer.steps, longer.lr_drops, longer.scaled_from) == (2_000, (500, 750), 64_000)
    assert PAPER.extended(64_000) == PAPER  # the same command again, after an interruption
    with pytest.raises(UserError, match="the run has 64000 steps; to extend it give more"):
        PAPER.extended(63_999)


def test_a_recipe_survives_json() -> None:
    assert recipe_from_dict(json.loads(json.dumps(PAPER.to_dict())), Recipe) == PAPER


def test_names_of_before_are_still_read() -> None:
    recipe = get_recipe("resnet18")
    now = recipe.to_dict()
    before = {("shorter_side" if key == "short_side" else key): now[key] for key in now}
    assert recipe_from_dict(before, Recipe) == recipe
    assert recipe.changed(["shorter_side=230,300"]) == recipe.changed(["short_side=230,300"])
    detector = detection_recipe("coco", "resnet18").changed(["bad_boxes=drop"])
    assert detector.bad_boxes == "skip"
    assert recipe_from_dict({**detector.to_dict(), "bad_boxes": "drop"}, Recipe) == detector


def test_a_recipe_of_another_version_is_named() -> None:
    with pytest.raises(UserError, match="another version of deepres: this one does not know novel"):
        recipe_from_dict({**PAPER.to_dict(), "novel": 1}, Recipe)
    known = {key: value for key, value in PAPER.to_dict().items() if key not in ("lr", "flip")}
    with pytest.raises(UserError, match=r"another version of deepres: it lacks flip, lr$"):
        recipe_from_dict(known, Recipe)
    detector = detection_recipe("coco", "resnet18").to_dict()
    with pytest.raises(UserError, match="another version of deepres: this one does not know novel"):
        recipe_from_dict({**detector, "novel": 1}, Recipe)
    with pytest.raises(UserError, match="another version of deepres: it is of kind 'mnist'"):
        recipe_from_dict({**PAPER.to_dict(), "kind": "mnist"}, Recipe)


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("steps", 20.0, "steps must be a whole number, got 20.0"),
        ("batch_size", True, "batch_size must be a whole number, got True"),
        ("batch_size", "16", "batch_size must be a whole number, got '16'"),
        ("lr_plateau", 2.5, "lr_plateau must be a whole number or none, got 2.5"),
        ("lr_drops", 5, "lr_drops must be whole numbers, got 5"),
        ("lr_drops", (1.5,), r"lr_drops must be whole numbers, got \(1.5,\)"),
        ("lr", "0.1", "lr must be a number, got '0.1'"),
        ("momentum", False, "momentum must be a number, got False"),
        ("flip", 1, "flip must be true or false, got 1"),
        ("model", None, "model must be text, got None"),
        ("precision", 16, "precision must be one of auto, fp32, bf16, got 16"),
    ],
)
def test_a_value_of_another_type_is_refused(field: str, value: Any, said: str) -> None:
    with pytest.raises(UserError, match=f"recipe: {said}"):
        dataclasses.replace(PAPER, **{field: value})
    with pytest.raises(UserError, match=f"recipe: {said}"):
        recipe_from_dict({**PAPER.to_dict(), field: value}, Recipe)


def test_a_length_that_is_no_whole_number_is_refused() -> None:
    length: Any
    for length in (20.0, "20", None, True):
        for recipe in (PAPER, detection_recipe("coco", "resnet18")):
            for changed in (recipe.scaled_to, recipe.extended):
                with pytest.raises(UserError, match=r"steps must be a whole number, got .*(20|e)"):
                    changed(length)


def test_numpys_numbers_become_pythons() -> None:
    changes = {"steps": np.int64(9), "lr": np.float32(0.5), "lr_drops": [np.int16(4)]}
    recipe = dataclasses.replace(PAPER, **changes)
    assert json.loads(json.dumps(recipe.to_dict()))["lr_drops"] == [4]
    types = [type(each) for each in (recipe.steps, recipe.lr, recipe.lr_drops[0])]
    assert types == [int, float, int]
    detector = detection_recipe("coco", "resnet18")
    settings: Any = {"short_side": np.int64(600), "anchor_sizes": [np.int64(64)]}
    detector = dataclasses.replace(
        detector, detector=dataclasses.replace(detector.detector, **settings)
    )
    assert json.loads(json.dumps(detector.to_dict()))["anchor_sizes"] == [64]
    with pytest.raises(UserError, match=r"detector: short_side must be a whole number, got 1.5"):
        dataclasses.replace(detector.detector, short_side=1.5)


@pytest.mark.parametrize(
    ("assignment", "field", "value"),
    [
        ("lr=0.05", "lr", 0.05),
        ("lr=1", "lr", 1.0),
        ("holdout=5_000", "holdout", 5_000),
        ("lr_drops=100,200", "lr_drops", (100, 200)),
        ("lr_drops=", "lr_drops", ()),
        ("warm_up_lr=none", "warm_up_lr", None),
        ("warm_up_lr=0.02", "warm_up_lr", 0.02),
        ("flip=false", "flip", False),
        ("precision=bf16", "precision", "bf16"),
        ("accumulate=2", "accumulate", 2),
        ("sync_batch_norm=true", "sync_batch_norm", True),
    ],
)
def test_any_field_can_be_set(assignment: str, field: str, value: object) -> None:
    found = getattr(PAPER.changed([assignment]), field)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("lr", "--set takes field=value, got 'lr'"),
        ("lr=fast", "--set lr: expected a number, got 'fast'"),
        ("batch_size=1.5", "--set batch_size: expected a whole number"),
        ("flip=maybe", "--set flip: expected true or false"),
        ("lr_drops=a", "--set lr_drops: expected whole numbers separated by commas"),
        ("lr_drop=3", "unknown recipe field 'lr_drop'; did you mean lr_drops"),
        ("model=vgg16", "unknown recipe field 'model'"),
        ("steps=100", "use --steps"),
        ("lr=0", "lr must be above 0, got 0.0"),
        ("lr=nan", "lr must be finite, got nan"),
        ("lr_drops=48000,32000", "lr_drops must be rising steps between 0 and steps=64000"),
        ("lr_drops=64000", "lr_drops must be rising steps"),
        ("momentum=1", r"momentum must be in \[0, 1\), got 1.0"),
        ("batch_size=0", "batch_size must be at least 1, got 0"),
        ("batch_size=1000000000", "batch_size must be at most 1,048,576, got 1000000000"),
        ("lr_divisor=1e-300", "lr_divisor must be between 0.001 and 1,000,000, got 1e-300"),
        ("pad=-1", "pad must be 0 or more, got -1"),
        ("precision=fp8", "precision must be one of auto, fp32, bf16, got fp8"),
        ("accumulate=0", "accumulate must be at least 1, got 0"),
        ("lr_plateau=3", "lr_plateau takes the place of lr_drops; add --set lr_drops="),
        ("warm_up_until_error_pct=0", r"must be in \(0, 100\], got 0.0"),
    ],
)
def test_a_value_that_cannot_be_meant_is_refused(assignment: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        PAPER.changed([assignment])


@pytest.mark.parametrize("given", ["lr=1", None, [1], {"lr": 1}])
def test_changes_are_a_list_of_text(given: Any) -> None:
    with pytest.raises(UserError, match=re.escape(f"a list of field=value, got {given!r}")):
        PAPER.changed(given)


@pytest.mark.parametrize("name", [None, 20, ["resnet20"]])
def test_what_is_no_name_has_no_recipe(name: Any) -> None:
    with pytest.raises(UserError, match=r"expected a network's name, e\.g\. 'resnet20', got "):
        get_recipe(name)


def test_a_folder_is_called_by_what_tells_runs_apart() -> None:
    settings = ["lr=0.05", "precision=bf16", "train_set=my/list"]
    assert naming(settings) == ["lr=0.05", "train_set=my-list"]
