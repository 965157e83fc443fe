import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepres.errors import UserError
from deepres.recipes import (
    ClassificationRecipe,
    DetectionRecipe,
    LocalizationRecipe,
    Recipe,
    detection_recipe,
    get_recipe,
    localization_recipe,
    recipe_from_dict,
)

COCO = detection_recipe("coco", "resnet101")


def test_coco_is_trained_by_the_papers_numbers() -> None:
    """§4.3's appendix A: 240k steps at 0.001 and 80k at 0.0001, for either step of training."""
    assert COCO.steps == 4 * 320_000
    assert (COCO.rpn_batch_size, COCO.batch_size) == (8, 16)
    assert len(COCO.detector.anchor_sizes) * 3 == 12
    for phase in range(4):
        steps = COCO.steps_of_phase(phase)
        rates = [COCO.learning_rate(steps[i]) for i in (0, 239_999, 240_000, 319_999)]
        assert rates == [0.001, 0.001, 0.0001, 0.0001]
        assert {COCO.phase_of(steps[0]), COCO.phase_of(steps[-1])} == {phase}


@pytest.mark.parametrize(
    ("name", "train", "test"),
    [
        ("coco-trainval", "coco2014-trainval", None),
        ("coco2017", "coco2017-train", "coco2017-val"),
        ("imagenet-det", "imagenet-det-train+val1", "imagenet-det-val2"),
    ],
)
def test_others_are_trained_as_coco_is(name: str, train: str, test: str | None) -> None:
    """Appendix B: test-dev's entries, and "our algorithm is the same" for ImageNet DET."""
    recipe = detection_recipe(name, "resnet101")
    assert (recipe.train_set, recipe.test_set) == (train, test)
    ours, coco = recipe.to_dict(), COCO.to_dict()
    sets = {"dataset", "train_set", "test_set"}
    assert {field for field in ours if ours[field] != coco[field]} == sets
    assert recipe.deviations() == {}


@pytest.mark.parametrize(
    ("name", "test", "regions", "drops"),
    [
        ("voc07+12", "voc2007-test", 60_000, [30_000]),
        ("voc07++12", None, 100_000, [40_000, 80_000]),
    ],
)
def test_voc_is_trained_by_the_references_numbers(
    name: str, test: str | None, regions: int, drops: list[int]
) -> None:
    """Faster R-CNN's released code for proposals; Fast R-CNN's §5.3 for regions."""
    recipe = detection_recipe(name, "vgg16")
    assert (recipe.train_set, recipe.test_set) == (name, test)
    phases = [recipe.steps_of_phase(phase) for phase in range(4)]
    assert [len(steps) for steps in phases] == 2 * [80_000, regions]
    dropped = [
        [drop - steps.start for drop in recipe.lr_drops if drop in steps] for steps in phases
    ]
    assert dropped == 2 * [[60_000], drops]
    assert recipe.learning_rate(phases[1].stop - 1) == pytest.approx(0.001 * 0.1 ** len(drops))
    assert recipe.learning_rate(phases[2].start) == 0.001
    assert (recipe.momentum, recipe.weight_decay, recipe.lr) == (0.9, 0.0005, 0.001)
    assert (recipe.rpn_batch_size, recipe.batch_size, recipe.flip) == (1, 2, True)
    assert (recipe.lr_divisor, recipe.bias_lr_factor) == (10, 2)
    assert recipe.detector.anchor_sizes == (128, 256, 512)


def test_both_networks_are_trained_alike() -> None:
    vgg, resnet = (detection_recipe("coco", name).to_dict() for name in ("vgg16", "resnet101"))
    assert {field for field in vgg if vgg[field] != resnet[field]} == {"model"}


def test_shortening_scales_each_phase() -> None:
    short = COCO.scaled_to(16)
    assert short.phase_starts == (4, 8, 12)
    rates = [short.learning_rate(step) for step in range(16)]
    assert rates == 4 * [0.001, 0.001, 0.001, 0.0001]
    assert short.deviations() == {}


@given(st.integers(4, 5_000))
def test_any_length_has_four_phases(steps: int) -> None:
    short = COCO.scaled_to(steps)
    lengths = [len(short.steps_of_phase(phase)) for phase in range(4)]
    assert sum(lengths) == steps
    assert max(lengths) - min(lengths) <= 1
    assert [short.learning_rate(steps.start) for steps in map(short.steps_of_phase, range(4))] == (
        [0.001] * 4
    )


def test_joint_training_is_a_deviation() -> None:
    joint = detection_recipe("voc07+12", "resnet101", "joint")
    assert (joint.steps, joint.lr_drops, joint.phase_starts) == (80_000, (60_000,), ())
    assert joint.deviations() == {"schedule": "joint"}
    assert detection_recipe("voc07+12", "resnet101").deviations() == {}


def test_a_recipe_survives_json() -> None:
    changed = COCO.scaled_to(100).changed(["anchor_sizes=16,32", "roi_pooling=align", "masks=true"])
    fields = json.loads(json.dumps(changed.to_dict()))
    assert recipe_from_dict(fields, Recipe) == changed
    assert recipe_from_dict(fields, DetectionRecipe) == changed
    assert changed.deviations() == {"anchor_sizes": (16, 32), "roi_pooling": "align", "masks": True}


def test_recipes_of_each_kind_are_told_apart() -> None:
    classifier, localizer = get_recipe("resnet20"), localization_recipe("resnet18")
    of_kind = {
        "a classifier; use deepres train": (ClassificationRecipe, classifier),
        "a detector; use deepres detect train": (DetectionRecipe, COCO),
        "a localization network; use deepres localize train": (LocalizationRecipe, localizer),
    }
    for words, (_, recipe) in of_kind.items():
        for kind, own in of_kind.values():
            if own is recipe:
                assert recipe_from_dict(recipe.to_dict(), kind) == recipe
            else:
                with pytest.raises(UserError, match=f"this run trains {words}"):
                    recipe_from_dict(recipe.to_dict(), kind)
    with pytest.raises(UserError, match="another version of deepres: it is of kind 'other'"):
        recipe_from_dict({"kind": "other"}, Recipe)


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("schedule=joint", "--set schedule would leave the milestones in place; use --schedule"),
        ("phase_starts=1,2,3", "use --steps or --schedule"),
        ("dataset=coco", "unknown recipe field 'dataset'"),
        ("roi_pooling=mean", "roi_pooling must be one of max, align, got mean"),
        ("batch_norm=exact", "batch_norm must be one of frozen, trained, got exact"),
        ("bad_boxes=keep", "bad_boxes must be one of fail, skip, got keep"),
        ("long_side=500", "long_side must be at least short_side, got 500"),
        ("anchor_sizes=", r"anchor_sizes must be numbers above 0, got \(\)"),
        ("anchor_ratios=x", "--set anchor_ratios: expected numbers separated by commas, got 'x'"),
        ("eval_images=0", "eval_images must be at least 1, got 0"),
        ("detector=1", "unknown recipe field 'detector'"),
        ("bias_lr_factor=0", "bias_lr_factor must be above 0, got 0.0"),
    ],
)
def test_a_value_that_cannot_be_meant_is_refused(assignment: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        COCO.changed([assignment])


def test_too_few_steps_for_four_phases() -> None:
    with pytest.raises(UserError, match="needs at least 4 steps, got 3"):
        COCO.scaled_to(3)


def test_an_unknown_data_set() -> None:
    with pytest.raises(UserError, match=r"unknown detection data set 'voc12'; did you mean voc07"):
        detection_recipe("voc12", "resnet101")
